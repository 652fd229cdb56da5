// The executions that a search finds, newest first, and the rows that all lists of executions share.

import { html } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { Empty } from "./empty.js";
import { day, plural, timeOfDay } from "./format.js";
import { newestFirst, usePages } from "./pages.js";
import { Chip, Duplicates, More, PhaseBar, Problem, Skeleton, word } from "./parts.js";
import { parse, withKey } from "./query.js";
import { link } from "./route.js";

const STATES = ["", "running", "completed", "failed", "in_doubt", "pending", "cancelled"];

/** The pages of a search. `fixed` holds params that the search line cannot change. */
export function useCalls(line, fixed, deps) {
  return usePages(
    {
      method: "search_executions",
      params: () => ({ ...parse(line).params, ...fixed }),
      order: newestFirst,
      readOne: (id, signal) => rpc("get_execution_detail", { id, text_bytes: 0 }, signal),
    },
    [line, ...deps],
  );
}

export function Calls({ params }) {
  const line = params.q ?? "";
  const { params: filter, problems } = parse(line);
  const list = useCalls(line, {}, []);
  const open = (id) => link(["calls"], { ...params, call: id });
  return html`<section aria-labelledby="title">
    <div class="head">
      <h1 id="title">Calls</h1>
      <span class="faint" role="status">
        ${list.loaded ? plural(list.items.length, "call") + (list.next ? " and more" : "") : ""}
      </span>
      <div class="tabs" role="group" aria-label="Status">
        ${STATES.map(
          (state) => html`<a
            href=${link(["calls"], { q: withKey(line, "state", state) })}
            aria-current=${(filter.status ?? "") === state ? "true" : undefined}>
            ${state ? word(state) : "all"}</a>`,
        )}
        <a
          href=${link(["calls"], { q: withKey(line, "is", filter.duplicated ? "" : "duplicated") })}
          aria-current=${filter.duplicated ? "true" : undefined}>with duplicates</a>
      </div>
    </div>
    ${problems.map((problem) => html`<p class="problem">${problem}</p>`)}
    <${CallList} list=${list} open=${open} shown=${params.call} searched=${line !== ""} />
  </section>`;
}

/** Rows of calls, with the days and the gaps between them. */
export function CallList({ list, open, shown, searched, renderBetween }) {
  const { items, next, error, loaded } = list;
  if (loaded && items.length === 0 && !next) {
    return searched ? html`<p class="none">No calls match.</p>` : html`<${Empty} />`;
  }
  return html`
    ${error && html`<${Problem} error=${error} reload=${list.reload} />`}
    ${!loaded && !error && html`<${Skeleton} />`}
    <ol class="calls" aria-label="Calls, newest first">
      ${items.map((call, at) => {
        const before = items[at - 1];
        const newDay = !before || day(before.created_at) !== day(call.created_at);
        return html`
          ${newDay && html`<li class="day" key=${`day ${call.id}`}>${day(call.created_at)}</li>`}
          ${renderBetween?.(before, call)}
          <${CallRow} key=${call.id} call=${call} href=${open(call.id)} shown=${call.id === shown} />
        `;
      })}
    </ol>
    <${More} next=${next} load=${list.more} busy=${list.busy} />
  `;
}

function CallRow({ call, href, shown }) {
  return html`<li class=${`call is-${call.status}${shown ? " shown" : ""}`}>
    <a data-row href=${href} aria-current=${shown ? "true" : undefined}>
      <span class="when">${timeOfDay(call.started_at ?? call.created_at, { millis: true })}</span>
      <span class="what">
        <span class="tool">${call.tool_name}</span>
        <span class="preview">${preview(call)}</span>
      </span>
      <span class="marks">
        <${Duplicates} n=${call.duplicates} />
        ${call.attempt > 1 && html`<span class="faint">attempt ${call.attempt}</span>`}
        <${Chip} status=${call.status} />
      </span>
      <${PhaseBar} call=${call} />
    </a>
  </li>`;
}

/** For a proxied call, only the path: the tool's name already has the method and the host. */
function preview(call) {
  if (call.origin !== "proxy") return call.preview;
  const url = call.preview.slice(call.preview.indexOf(" ") + 1);
  const path = /^[a-z]+:\/\/[^/]*(\/.*)$/.exec(url)?.[1] ?? url;
  return call.answer_status ? `${path} → ${call.answer_status}` : path;
}

