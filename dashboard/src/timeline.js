// A session's calls in time, with a lane for each goal. Long quiet times are folded and hatched.

import { html } from "../vendor/preact-htm.js";
import { micros, moment, plural, span, timeOfDay } from "./format.js";
import { StatusIcon, word } from "./parts.js";
import { extent } from "./phases.js";

/** Quiet time is folded if it is this many times longer than most other times between two moments. */
const FOLD_FACTOR = 4;
/** The shortest time that is folded, in µs. */
const MIN_FOLD = 50_000;
/** The width of a fold in percent, and the most that all folds take together. */
const FOLD_WIDTH = 4;
const ALL_FOLDS_WIDTH = 40;
const MAX_LANES = 12;

/**
 * The positions of points in time, in percent: `at(µs)`, and the folds as `{left, width, ms}`. Time is
 * linear except in the folds, in which nothing starts and nothing ends.
 * @param {number[]} moments in µs
 */
export function scale(moments) {
  const points = [...new Set(moments)].sort((a, b) => a - b);
  const steps = points.slice(1).map((to, at) => ({ from: points[at], to, length: to - points[at] }));
  const lengths = steps.map((step) => step.length).sort((a, b) => a - b);
  const limit = Math.max(MIN_FOLD, FOLD_FACTOR * (lengths[Math.floor(lengths.length * 0.75)] ?? 0));
  for (const step of steps) step.folded = step.length > limit;
  // A single step cannot be compared with others.
  if (steps.length < 2) steps.forEach((step) => (step.folded = false));
  const folds = steps.filter((step) => step.folded).length;
  const fold = Math.min(FOLD_WIDTH, ALL_FOLDS_WIDTH / Math.max(folds, 1));
  const linear = steps.filter((step) => !step.folded).reduce((all, step) => all + step.length, 0);
  const linearWidth = linear === 0 ? 0 : 100 - folds * fold;
  let left = 0;
  for (const step of steps) {
    step.left = left;
    step.width = step.folded ? (linear === 0 ? 100 / folds : fold) : (linearWidth * step.length) / linear;
    left += step.width;
  }
  const place = (time) => {
    const step = steps.find((one) => time <= one.to) ?? steps.at(-1);
    if (!step) return 0;
    const share = Math.min(1, Math.max(0, (time - step.from) / step.length));
    return step.left + step.width * share;
  };
  const gaps = steps
    .filter((step) => step.folded)
    .map(({ left: at, width, length }) => ({ left: at, width, ms: length / 1000 }));
  return { at: place, gaps, first: points[0], last: points.at(-1) };
}

/** The labels above the chart: its ends and the length of each fold, as far as they do not overlap. */
function labels(time) {
  const millis = time.last - time.first < 10_000_000;
  const clock = (at) => timeOfDay(new Date(at / 1000).toISOString(), { millis });
  const all = [{ left: 0, width: 12, text: clock(time.first) }];
  for (const gap of time.gaps) all.push({ left: gap.left, width: 6, text: span(gap.ms) });
  const end = { left: 88, text: clock(time.last) };
  const shown = [];
  let free = 0;
  for (const label of all) {
    if (label.left < free || label.left + label.width > end.left) continue;
    shown.push(label);
    free = label.left + label.width;
  }
  return [...shown, { ...end, end: true }];
}

/** The chart of `calls`; `open(id)` returns a call's link. */
export function Timeline({ calls, goals, open, shown }) {
  if (calls.length === 0) return null;
  const now = Date.now();
  const time = scale(
    calls.flatMap((call) => {
      const { from, to } = extent(call, now);
      return [from, to, ...call.duplicate_times.map(micros)];
    }),
  );
  const lanes = lanesOf(calls, goals);
  return html`<figure class="timeline" aria-label="Calls in time">
    <div class="axis" aria-hidden="true">
      ${labels(time).map((label) =>
        label.end
          ? html`<span class="last">${label.text}</span>`
          : html`<span style=${{ left: `${label.left}%` }}>${label.text}</span>`,
      )}
    </div>
    ${lanes.slice(0, MAX_LANES).map(
      ({ goal, calls: inLane }) => html`<div class="lane" key=${goal.id}>
        <div class="lane-head">
          ${goal.status && html`<${StatusIcon} status=${goal.status} />`}
          <span class="goal" title=${goal.title}>${goal.title}</span>
        </div>
        <div class="track">
          ${time.gaps.map(
            (gap) => html`<span
              class="gap"
              title=${`${span(gap.ms)} in which nothing started or ended`}
              style=${{ left: `${gap.left}%`, width: `${gap.width}%` }}></span>`,
          )}
          ${inLane.map((call) => html`<${Mark} key=${call.id} call=${call} time=${time} now=${now}
            href=${open(call.id)} shown=${call.id === shown} />`)}
        </div>
      </div>`,
    )}
    <figcaption>
      <span><i class="key is-completed"></i>completed</span>
      <span><i class="key is-failed"></i>failed</span>
      <span><i class="key is-in_doubt"></i>in doubt</span>
      <span><i class="key is-running"></i>running</span>
      <span><i class="key echo"></i>duplicate, stopped</span>
      <span><i class="key gap"></i>quiet time, folded</span>
    </figcaption>
  </figure>`;
}

/** A call as a bar, and its duplicates as diamonds that are connected to it. */
function Mark({ call, time, now, href, shown }) {
  const { from, to } = extent(call, now);
  const left = time.at(from);
  const width = time.at(to) - left;
  const duplicates = call.duplicate_times.map((at) => ({ at, x: time.at(micros(at)) }));
  const reach = Math.max(left + width, ...duplicates.map((one) => one.x));
  const label = `${call.tool_name}, ${word(call.status)}, ${moment(call.started_at ?? call.created_at)}`;
  const stopped = call.duplicates > 0 ? `, ${plural(call.duplicates, "duplicate")} stopped` : "";
  return html`
    ${duplicates.length > 0 &&
    html`<span class="tie" style=${{ left: `${left}%`, width: `${reach - left}%` }}></span>`}
    <a
      class=${`mark is-${call.status}${shown ? " shown" : ""}`}
      href=${href}
      title=${label + stopped}
      aria-label=${label + stopped}
      style=${{ left: `${left}%`, width: `${width}%` }}></a>
    ${duplicates.map(
      (one) => html`<span
        class="echo"
        title=${`duplicate, stopped, ${moment(one.at)}`}
        style=${{ left: `${one.x}%` }}></span>`,
    )}
  `;
}

function lanesOf(calls, goals) {
  const lanes = new Map();
  for (const call of calls) {
    if (!lanes.has(call.goal_id)) {
      const goal = goals.find((one) => one.id === call.goal_id);
      lanes.set(call.goal_id, { goal: goal ?? { id: call.goal_id, title: "…" }, calls: [] });
    }
    lanes.get(call.goal_id).calls.push(call);
  }
  return [...lanes.values()];
}
