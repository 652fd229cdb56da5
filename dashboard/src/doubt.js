// The calls in doubt, newest first: each with what was seen, how to check it, and the two verdicts.

import { html, useState } from "../vendor/preact-htm.js";
import { useCalls } from "./calls.js";
import { plural } from "./format.js";
import { Ago, Chip, More, Problem, Skeleton } from "./parts.js";
import { link } from "./route.js";
import { Settle } from "./settle.js";

export function Doubt() {
  const list = useCalls("state:in_doubt", {}, []);
  const [done, setDone] = useState(0);
  const { items, next, loaded, error } = list;
  const open = items.filter((call) => call.status === "in_doubt");
  return html`<section aria-labelledby="title">
    <div class="head">
      <h1 id="title">In doubt</h1>
      <span class="faint" role="status">
        ${loaded ? plural(open.length, "call") + (next ? " and more" : "") : ""}${done > 0
          ? `, ${done} settled just now`
          : ""}
      </span>
    </div>
    ${error && html`<${Problem} error=${error} reload=${list.reload} />`}
    ${!loaded && !error && html`<${Skeleton} rows=${3} />`}
    ${loaded &&
    open.length === 0 &&
    !next &&
    html`<div class="empty">
      <h2>Nothing is in doubt</h2>
      <p>
        A call whose answer was lost (a timeout, a reset, a crash) may have taken effect. The engine never
        sends such a call again by itself. The call waits here until someone settles it.
      </p>
    </div>`}
    <ol class="doubts">
      ${open.map(
        (call) => html`<li key=${call.id}>
          <div class="head">
            <h2><a href=${link(["calls", call.id])}>${call.tool_name}</a></h2>
            <${Chip} status=${call.status} />
            <span class="faint"><${Ago} time=${call.updated_at} /></span>
          </div>
          <p class="request-line"><code>${call.preview}</code></p>
          <${Settle} call=${call} settled=${() => {
            setDone((n) => n + 1);
            list.reload();
          }} />
        </li>`,
      )}
    </ol>
    <${More} next=${next} load=${list.more} busy=${list.busy} />
  </section>`;
}
