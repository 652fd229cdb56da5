// Small components that all views share.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { ago, count, moment, span } from "./format.js";
import { lines } from "./json.js";
import { duration, parts } from "./phases.js";
import { useNow } from "./live.js";

const WORDS = { in_doubt: "in doubt", in_progress: "in progress" };
const ICONS = {
  completed: "✓",
  failed: "✕",
  in_doubt: "?",
  running: "▸",
  pending: "○",
  cancelled: "–",
  active: "●",
  in_progress: "▸",
};

export const word = (status) => WORDS[status] ?? status;

/** A status in words, with an icon, because colour alone is not accessible. */
export function Chip({ status }) {
  return html`<span class=${`chip is-${status}`}>
    <span aria-hidden="true">${ICONS[status] ?? "·"}</span> ${word(status)}
  </span>`;
}

/** A status as an icon, for small spaces. Screen readers still get the word. */
export function StatusIcon({ status }) {
  return html`<span class=${`sign is-${status}`} title=${word(status)}>
    <span aria-hidden="true">${ICONS[status] ?? "·"}</span><span class="hidden">${word(status)}</span>
  </span>`;
}

/** The number of executions of each status, as a bar and in figures. */
export function Counts({ counts }) {
  const order = ["completed", "running", "pending", "failed", "cancelled", "in_doubt"];
  const shown = order.filter((status) => counts[status] > 0);
  if (shown.length === 0) return html`<span class="faint">no calls</span>`;
  return html`<div class="counts">
    <div class="stack" aria-hidden="true">
      ${shown.map(
        (status) =>
          html`<span class=${`fill is-${status}`} style=${{ flexGrow: counts[status] }}></span>`,
      )}
    </div>
    <div class="legend">
      ${shown.map(
        (status) => html`<span class=${`count is-${status}`}>
          <b>${count(counts[status])}</b> ${word(status)}</span>`,
      )}
    </div>
  </div>`;
}

export function Ago({ time }) {
  const now = useNow();
  return html`<time datetime=${time} title=${moment(time)}>${ago(time, now)}</time>`;
}

/** How long each step of a call took. */
export function PhaseBar({ call }) {
  const shown = parts(call);
  const took = duration(call);
  const label = shown.map((part) => `${part.name} ${span(part.ms)}`).join(", ");
  return html`<div class="phases">
    <div class="bar" role="img" aria-label=${label || "no step is known yet"} title=${label}>
      ${shown.map(
        (part) => html`<span
          class=${`step-${part.step.replace(" ", "-")}`}
          style=${{ flexGrow: Math.max(part.ms, 0.001) }}></span>`,
      )}
    </div>
    <span class="took">${took === null ? "running" : span(took)}</span>
  </div>`;
}

export function Duplicates({ n }) {
  if (n === 0) return null;
  return html`<span class="dup" title=${`${n} duplicates were stopped`}>
    <span aria-hidden="true">⇉</span> ${count(n)} stopped</span>`;
}

/** A button that copies a text and confirms it. */
export function Copy({ text, label }) {
  const [done, setDone] = useState("");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setDone("copied"),
      () => setDone("not copied"),
    );
  useEffect(() => {
    const timer = done && setTimeout(() => setDone(""), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return html`<button type="button" class="quiet small" onClick=${copy} aria-label=${`Copy ${label}`}>
    ${done || "Copy"}
  </button>`;
}

/** Saves a text as a file on the user's computer. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const anchor = Object.assign(document.createElement("a"), { href: url, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Formatted JSON. Only the first lines of a long one are shown at first. */
export function Json({ text }) {
  const [limit, setLimit] = useState(200);
  const all = useMemo(() => lines(text), [text]);
  const shown = all.slice(0, limit);
  return html`<pre class="code" tabindex="0">${shown.map(
    (line) =>
      html`<span class="line" style=${{ paddingLeft: `${line.depth * 1.25}em` }}>${line.parts.map(
        (part) => html`<span class=${`j-${part.kind}`}>${part.text}</span>`,
      )}</span>`,
  )}</pre>
  ${shown.length < all.length &&
  html`<button type="button" class="quiet" onClick=${() => setLimit(limit * 10)}>
    ${count(shown.length)} of ${count(all.length)} lines are shown: show more
  </button>`}`;
}

/** An error, and a button to try again. */
export function Problem({ error, reload }) {
  return html`<div class="problem" role="alert">
    <p>${error.message}</p>
    ${reload && html`<button type="button" onClick=${reload}>Try again</button>`}
  </div>`;
}

/** Loads the next page when the end of a list becomes visible. */
export function More({ next, load, busy }) {
  const ref = useRef(null);
  useEffect(() => {
    if (!next || busy) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) load();
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [next, busy]);
  if (!next) return null;
  return html`<div class="more" ref=${ref}>
    <button type="button" class="quiet" onClick=${load} disabled=${busy}>
      ${busy ? "Loading…" : "Load more"}
    </button>
  </div>`;
}

/** Grey placeholder rows while a list loads, so that its rows do not move the page. */
export function Skeleton({ rows = 8 }) {
  return html`<div class="skeleton" aria-hidden="true">
    ${Array.from({ length: rows }, () => html`<div></div>`)}
  </div>`;
}
