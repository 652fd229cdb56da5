// One session: its goals and their calls in time.

import { html } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { CallList, useCalls } from "./calls.js";
import { between, moment, plural, span, sum } from "./format.js";
import { useLive } from "./live.js";
import { Ago, Chip, Copy, Counts, Duplicates, Problem } from "./parts.js";
import { link } from "./route.js";
import { Timeline } from "./timeline.js";

/** From this length on, a silence between two calls is shown. */
const MIN_SILENCE_MS = 30_000;

export function Session({ id, params }) {
  const about = useLive(
    async (signal) => {
      const [session, goals] = await Promise.all([
        rpc("get_session_summary", { id }, signal),
        rpc("list_goals", { session_id: id }, signal),
      ]);
      return { session, goals };
    },
    [id],
  );
  const goal = params.goal;
  const list = useCalls(params.q ?? "", { session_id: id, goal_id: goal }, [id, goal]);
  const open = (call) => link(["sessions", id], { ...params, call });
  if (about.error && !about.value) return html`<${Problem} ...${about} />`;
  const { session, goals } = about.value ?? { session: null, goals: [] };
  return html`<section aria-labelledby="title">
    <nav class="crumbs"><a href=${link([])}>Sessions</a></nav>
    <div class="head">
      <h1 id="title">${session?.name ?? `Session ${id.slice(-8)}`}</h1>
      ${session && html`<${Chip} status=${session.status} />`}
    </div>
    ${session &&
    html`<div class="facts">
      <div><span class="faint">User</span> ${session.username}</div>
      <div><span class="faint">Began</span> ${moment(session.created_at)}</div>
      <div><span class="faint">Last activity</span> <${Ago} time=${session.last_activity_at} /></div>
      <div class="grow"><${Counts} counts=${session.executions} /></div>
      <${Duplicates} n=${session.duplicates} />
      <div><code class="id">${id}</code> <${Copy} text=${id} label="the session's id" /></div>
    </div>`}
    <${Goals} goals=${goals} goal=${goal} id=${id} params=${params} />
    <${Timeline} calls=${list.items} goals=${goals} open=${open} shown=${params.call} />
    ${list.next &&
    list.loaded &&
    html`<p class="faint">The chart shows the newest ${plural(list.items.length, "call")}
      ${session && ` of ${sum(session.executions)}`}.</p>`}
    <${CallList} list=${list} open=${open} shown=${params.call} searched=${Boolean(goal || params.q)}
      renderBetween=${silence} />
  </section>`;
}

function Goals({ goals, goal, id, params }) {
  if (goals.length < 2) return null;
  return html`<div class="tabs goals" role="group" aria-label="Goal">
    <a href=${link(["sessions", id], { ...params, goal: undefined })}
      aria-current=${goal ? undefined : "true"}>all goals</a>
    ${goals.slice(0, 50).map(
      (one) => html`<a
        href=${link(["sessions", id], { ...params, goal: one.id })}
        aria-current=${goal === one.id ? "true" : undefined}>${one.title}</a>`,
    )}
  </div>`;
}

/** The time between a call and the next newer one, if it is long. */
function silence(newer, older) {
  if (!newer) return null;
  const end = older.completed_at ?? older.updated_at;
  const ms = between(end, newer.started_at ?? newer.created_at);
  if (ms < MIN_SILENCE_MS) return null;
  return html`<li class="silence" key=${`silence ${older.id}`}>${span(ms)} without a call</li>`;
}
