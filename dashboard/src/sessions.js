// All sessions, latest activity first.

import { html } from "../vendor/preact-htm.js";
import { Empty } from "./empty.js";
import { count, plural, shortId, sum } from "./format.js";
import { lastActiveFirst, usePages } from "./pages.js";
import { Ago, Chip, Counts, Duplicates, More, Problem, Skeleton } from "./parts.js";
import { go, link } from "./route.js";

const STATUSES = ["", "active", "paused", "completed", "failed", "abandoned"];

export function Sessions({ params }) {
  const { q = "", status = "" } = params;
  const list = usePages(
    {
      method: "list_session_summaries",
      params: () => ({ text: q || undefined, status: status || undefined }),
      order: lastActiveFirst,
    },
    [q, status],
  );
  const { items, next, error, loaded } = list;
  const isEmpty = loaded && items.length === 0;
  return html`<section aria-labelledby="title">
    <div class="head">
      <h1 id="title">Sessions</h1>
      <span class="faint" role="status">
        ${loaded ? plural(items.length, "session") + (next ? " and more" : "") : ""}
      </span>
      <div class="tabs" role="group" aria-label="Status">
        ${STATUSES.map(
          (one) => html`<a
            href=${link([], { q, status: one })}
            aria-current=${one === status ? "true" : undefined}>${one || "all"}</a>`,
        )}
      </div>
    </div>
    ${error && html`<${Problem} error=${error} reload=${list.reload} />`}
    ${!loaded && !error && html`<${Skeleton} />`}
    ${isEmpty && (q || status ? html`<p class="none">No sessions match.</p>` : html`<${Empty} />`)}
    ${items.length > 0 &&
    html`<table class="list sessions">
      <thead>
        <tr>
          <th scope="col">Session</th>
          <th scope="col" class="wide">User</th>
          <th scope="col">Status</th>
          <th scope="col">Calls</th>
          <th scope="col" class="wide">Duplicates</th>
          <th scope="col" class="end">Last activity</th>
        </tr>
      </thead>
      <tbody>
        ${items.map((item) => html`<${Row} key=${item.id} item=${item} />`)}
      </tbody>
    </table>`}
    <${More} next=${next} load=${list.more} busy=${list.busy} />
  </section>`;
}

function Row({ item }) {
  const goals = sum(item.goals);
  const open = link(["sessions", item.id]);
  return html`<tr
    data-row
    tabindex="-1"
    onClick=${(event) => event.target.closest("a") || go(["sessions", item.id])}
    onKeyDown=${(event) => event.key === "Enter" && go(["sessions", item.id])}>
    <td>
      <a class="title" href=${open}>${item.name ?? `Session ${shortId(item.id)}`}</a>
      <div class="sub">
        ${item.latest_goal ?? "no goal yet"}${goals > 1 && html` <span>+${count(goals - 1)} more</span>`}
      </div>
    </td>
    <td class="wide">${item.username}</td>
    <td><${Chip} status=${item.status} /></td>
    <td><${Counts} counts=${item.executions} /></td>
    <td class="wide"><${Duplicates} n=${item.duplicates} /></td>
    <td class="end"><${Ago} time=${item.last_activity_at} /></td>
  </tr>`;
}
