// What an empty store shows: two commands that make the first call appear.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { engine, readiness } from "./api.js";
import { Copy } from "./parts.js";

export function Empty() {
  const [proxy, setProxy] = useState(undefined);
  useEffect(() => {
    readiness().then((ready) => setProxy(ready.proxy), () => setProxy(null));
  }, []);
  if (proxy === undefined) return null;
  const commands = proxy
    ? `export HTTP_PROXY=${proxy} http_proxy=${proxy}\ncurl -d 'hello=world' http://httpbin.org/post`
    : `curl -H 'Content-Type: application/json' ${engine} -d \\
  '{"jsonrpc":"2.0","id":1,"method":"create_user","params":{"username":"ada"}}'
curl -H 'Content-Type: application/json' ${engine} -d \\
  '{"jsonrpc":"2.0","id":2,"method":"create_session","params":{"user_id":"THE_ID"}}'`;
  return html`<div class="empty">
    <h2>No calls yet</h2>
    <p>
      ${proxy
        ? "Run these two commands to see the first call here. Run the second again: nothing is sent twice."
        : "This engine runs without its proxy. Run these two commands to see the first session here."}
    </p>
    <div class="commands">
      <pre tabindex="0">${commands}</pre>
      <${Copy} text=${commands} label="the commands" />
    </div>
  </div>`;
}
