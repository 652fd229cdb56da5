// Figures of the store and of the last hour.

import { html } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { bytes, count, plural, span, sum, timeOfDay } from "./format.js";
import { useLive, useNow } from "./live.js";
import { Problem, Skeleton, word } from "./parts.js";
import { link } from "./route.js";

const MINUTES = 60;

export function Stats() {
  const { value, error, reload } = useLive(async (signal) => {
    const [stats, activity] = await Promise.all([
      rpc("get_stats", {}, signal),
      rpc("get_activity", {}, signal),
    ]);
    return { stats, activity };
  }, []);
  if (error && !value) return html`<${Problem} error=${error} reload=${reload} />`;
  if (!value) return html`<${Skeleton} />`;
  const { stats, activity } = value;
  const { overhead } = activity;
  const seconds = (value) => (value === null ? "–" : span(value * 1000));
  return html`<section aria-labelledby="title">
    <div class="head"><h1 id="title">Statistics</h1></div>
    <div class="tiles">
      <${Tile} name="Calls" value=${count(sum(stats.executions))} />
      <${Tile} name="Duplicates stopped" value=${count(stats.duplicates)} strong=${true} />
      <${Tile} name="In doubt" value=${count(stats.executions.in_doubt ?? 0)} />
      <${Tile} name="Sessions" value=${count(sum(stats.sessions))} />
      <${Tile} name="Overhead, p50" value=${seconds(overhead.p50_seconds)}
        note=${`of ${plural(overhead.calls, "proxied call")} in the last hour`} />
      <${Tile} name="Overhead, p99" value=${seconds(overhead.p99_seconds)}
        note="without the tool's own time" />
      <${Tile} name="Database" value=${bytes(stats.database_bytes)} />
      <${Tile} name="Write-ahead log" value=${bytes(stats.wal_bytes)} />
    </div>
    <${PerMinute} minutes=${activity.minutes} />
    <div class="columns">
      <${Table} title="Calls by status" counts=${stats.executions}
        href=${(status) => link(["calls"], { q: `state:${status}` })} />
      <${Table} title="Proxied calls by decision" note="since the engine started"
        counts=${activity.decisions} />
      <${Table} title="Sessions by status" counts=${stats.sessions}
        href=${(status) => link([], { status })} />
      <${Table} title="Stored" counts=${{
        users: stats.users,
        goals: stats.goals,
        memories: stats.memories,
        channels: stats.channels,
        events: stats.events,
      }} />
    </div>
  </section>`;
}

function Tile({ name, value, note, strong }) {
  return html`<div class=${strong ? "tile strong" : "tile"}>
    <span class="name">${name}</span>
    <span class="value">${value}</span>
    ${note && html`<span class="faint">${note}</span>`}
  </div>`;
}

/** Bars of the last hour. The part that was stopped is on top. */
function PerMinute({ minutes }) {
  const now = useNow(15_000);
  const newest = Math.floor(now / 60_000);
  const by = new Map(minutes.map((one) => [Math.floor(Date.parse(one.at) / 60_000), one]));
  const shown = Array.from({ length: MINUTES }, (_, at) => {
    const minute = newest - MINUTES + 1 + at;
    return { minute, ...(by.get(minute) ?? { calls: 0, duplicates: 0 }) };
  });
  const most = Math.max(1, ...shown.map((one) => one.calls));
  const calls = shown.reduce((all, one) => all + one.calls, 0);
  const duplicates = shown.reduce((all, one) => all + one.duplicates, 0);
  const height = (n) => (n / most) * 100;
  const at = (minute) => timeOfDay(new Date(minute * 60_000).toISOString()).slice(0, 5);
  const summary = `${plural(calls, "call")} in the last hour; ${plural(duplicates, "duplicate was", "duplicates were")} stopped`;
  return html`<figure class="minutes">
    <figcaption><h2>Calls per minute</h2><span class="faint">${summary}</span>
    </figcaption>
    <svg viewBox="0 0 600 100" preserveAspectRatio="none" role="img" aria-label=${summary}>
      ${shown.map(
        (one, index) => html`<g>
          <title>${`${at(one.minute)}: ${plural(one.calls, "call")}, ${one.duplicates} stopped`}</title>
          <rect class="ground" x=${index * 10} y="0" width="10" height="100" />
          <rect class="ran" x=${index * 10 + 1} width="8"
            y=${100 - height(one.calls - one.duplicates)} height=${height(one.calls - one.duplicates)} />
          <rect class="stopped" x=${index * 10 + 1} width="8"
            y=${100 - height(one.calls)} height=${height(one.duplicates)} />
        </g>`,
      )}
    </svg>
    <div class="ends faint" aria-hidden="true">
      <span>${at(shown[0].minute)}</span>
      <span><i class="key ran"></i>let through <i class="key stopped"></i>stopped</span>
      <span>now</span>
    </div>
  </figure>`;
}

function Table({ title, note, counts, href }) {
  const rows = Object.entries(counts).filter(([, n]) => n > 0);
  const most = Math.max(1, ...rows.map(([, n]) => n));
  return html`<div class="card">
    <h2>${title} ${note && html`<span class="faint">${note}</span>`}</h2>
    ${rows.length === 0
      ? html`<p class="faint">none yet</p>`
      : html`<table class="list figures">
          <thead class="hidden"><tr><th scope="col">name</th><th scope="col">number</th></tr></thead>
          <tbody>
            ${rows
              .sort(([, a], [, b]) => b - a)
              .map(
                ([name, n]) => html`<tr>
                  <td>${href ? html`<a href=${href(name)}>${word(name)}</a>` : word(name)}</td>
                  <td class="end">
                    <span class="meter" aria-hidden="true"
                      ><span style=${{ width: `${(n / most) * 100}%` }}></span></span>
                    ${count(n)}
                  </td>
                </tr>`,
              )}
          </tbody>
        </table>`}
  </div>`;
}
