// A call beside the one before it that it is like: why the two are not one.

import { html } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { useLive } from "./live.js";
import { Copy } from "./parts.js";
import { link } from "./route.js";

/** Nothing if the call has no predecessor. What is recorded of the two does not change. */
export function Compared({ call }) {
  const { value: compared } = useLive(
    (signal, changes, old) =>
      changes ? Promise.resolve(old) : rpc("compare_execution", { id: call.id }, signal),
    [call.id],
  );
  if (!compared) return null;
  return html`<h3>Compared with the call before</h3>
    <p>The newest call before it of this session with the same method, host and path: ${compared.sentence}</p>
    <p><a href=${link(["calls", compared.execution_id])}>Show that call</a></p>
    ${compared.rule.length > 0 &&
    html`<p class="faint">If that does not change what the call does, add to its rule:</p>
      ${compared.rule.map(
        (line) => html`<p><code>${line}</code> <${Copy} text=${line} label="the line" /></p>`,
      )}`}`;
}
