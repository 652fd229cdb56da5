// One execution, with everything that is recorded of it.

import { html, useState } from "../vendor/preact-htm.js";
import { rpc, rpcText } from "./api.js";
import { Attempts, Events } from "./attempts.js";
import { Compared } from "./compared.js";
import { bytes, count, moment, plural, shortId, timeOfDay } from "./format.js";
import { useLive } from "./live.js";
import { Chip, Copy, Duplicates, Json, Problem, Skeleton, download } from "./parts.js";
import { link } from "./route.js";
import { Settle } from "./settle.js";

/** How many bytes of each text are shown at first, and the most that is stored. */
const EXCERPT_BYTES = 16 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;

/** `close` is the link that closes the pane, if the call is shown in one. */
export function Call({ id, close }) {
  const [limit, setLimit] = useState(EXCERPT_BYTES);
  const { value: call, error, reload } = useLive(
    (signal, changes, old) =>
      changes && old && !changes.some((change) => touches(change, id))
        ? Promise.resolve(old)
        : rpc("get_execution_detail", { id, text_bytes: limit }, signal),
    [id, limit],
  );
  if (error && !call) {
    return html`<section class="detail"><${Problem} error=${error} reload=${reload} /></section>`;
  }
  if (!call) return html`<section class="detail"><${Skeleton} /></section>`;
  const alone = !close && html`<nav class="crumbs"><a href=${link(["calls"])}>Calls</a></nav>`;
  return html`${alone}<section class=${close ? "detail" : "detail alone"} aria-labelledby="call-title">
    <h1 class="hidden">Call</h1>
    <div class="head">
      <h2 id="call-title">${call.tool_name}</h2>
      <${Chip} status=${call.status} />
      <span class="grow"></span>
      ${close && html`<a class="button quiet small" href=${link(["calls", id])}>Full page</a>`}
      <button type="button" class="quiet small" onClick=${() => save(call)}>Export JSON</button>
      ${close && html`<a class="button quiet small" href=${close} aria-label="Close">✕</a>`}
    </div>
    <p class="lead">${inWords(call)}</p>
    ${call.status === "in_doubt" && html`<${Settle} call=${call} settled=${reload} />`}
    <${Attempts} call=${call} />
    <${Facts} call=${call} />
    <${DuplicateAnswers} call=${call} />
    <${Request} call=${call} more=${() => setLimit(MAX_BYTES)} />
    ${call.request && html`<${Compared} call=${call} />`}
    <${Answer} call=${call} more=${() => setLimit(MAX_BYTES)} />
    <${Events} events=${call.events} />
  </section>`;
}

const touches = (change, id) => change.kind === "many" || change.execution_id === id;

async function save(call) {
  const text = await rpcText("get_execution_detail", { id: call.id, text_bytes: MAX_BYTES });
  download(`call-${call.id}.json`, text);
}

/** The outcome of a call in words, and what a repeat would do. */
function inWords(call) {
  const stopped =
    call.duplicates === 0
      ? ""
      : ` ${plural(call.duplicates, "duplicate was", "duplicates were")} stopped.`;
  switch (call.status) {
    case "completed":
      return `It ran.${stopped}`;
    case "failed":
      return (
        (call.outcome === "executed"
          ? "It ran, and the tool reported an error."
          : call.outcome === "not_executed"
            ? "It did not run. The next identical call is sent."
            : "It failed. It is not known whether it ran.") + stopped
      );
    case "in_doubt":
      return `It may have run. Repeats are held back until someone settles it.${stopped}`;
    case "running":
      return `It is running. Duplicates wait for its outcome.${stopped}`;
    case "pending":
      return `It was recorded. Nothing has reported that it ran.${stopped}`;
    default:
      return `It was cancelled.${stopped}`;
  }
}

/** The origin of the call's key, in words. */
function keyOrigin(call) {
  const key = call.idempotency_key;
  if (!key) return "none: each call is its own execution";
  const derived = /^auto:.*:(\d{8}):/.exec(key);
  if (!derived) return "given by the caller";
  const what = call.origin === "proxy"
    ? "user, session, credentials, method, URL, headers that count and body"
    : "user, session, goal, tool and input";
  const date = derived[1].replace(/(\d{4})(\d\d)(\d\d)/, "$1-$2-$3");
  return `derived from ${what}; ${date} is the day on which the session began`;
}

const CLASSES = {
  once: "once: a repeat may act twice",
  idempotent: "idempotent: a repeat is harmless",
  keyed: "keyed: the upstream recognizes repeats by its own key",
};

function Facts({ call }) {
  const fact = (name, value) =>
    value !== null && value !== undefined && html`<dt>${name}</dt><dd>${value}</dd>`;
  return html`<dl class="table">
    ${fact("Id", html`<code class="id">${call.id}</code> <${Copy} text=${call.id} label="the id" />`)}
    ${fact(
      "Key",
      html`${call.idempotency_key &&
        html`<code class="id">${call.idempotency_key}</code>
          <${Copy} text=${call.idempotency_key} label="the key" />`}
        <div class="faint">${keyOrigin(call)}</div>`,
    )}
    ${fact("Rule", call.rule && html`<code>${call.rule}</code>`)}
    ${fact("Effect", CLASSES[call.effect])}
    ${fact("Via", call.origin === "proxy" ? "the proxy" : "the state API")}
    ${fact(
      "Session",
      html`<a href=${link(["sessions", call.session_id])}
        >${call.session_name ?? `Session ${shortId(call.session_id)}`}</a> of ${call.username}`,
    )}
    ${fact("Goal", call.goal_title)}
    ${fact("Error", call.error)}
    ${fact("Last event", call.last_event)}
    ${fact("Recorded", moment(call.created_at))}
  </dl>`;
}

const HOW_ANSWERED = {
  replayed: "answered from the record",
  coalesced: "waited, and got the same answer",
  "in-progress": "answered that the call is running",
  "in-doubt": "answered that the call is in doubt",
  "key-reuse": "refused: the same key with a different input",
};

function DuplicateAnswers({ call }) {
  if (call.duplicates === 0) return null;
  return html`<h3>Duplicates <${Duplicates} n=${call.duplicates} /></h3>
    <ul class="echoes">
      ${Object.entries(call.answered).map(
        ([how, n]) => html`<li><b>${count(n)}</b> ${HOW_ANSWERED[how] ?? how}</li>`,
      )}
    </ul>
    ${call.duplicate_times.length > 0 &&
    html`<p class="faint">at ${call.duplicate_times
      .map((time) => timeOfDay(time, { millis: true }))
      .join(", ")}</p>`}`;
}

function Request({ call, more }) {
  if (!call.request) {
    return html`<h3>Input</h3><${Text} excerpt=${call.input} more=${more} label="the input" />`;
  }
  const { method, url, headers, body } = call.request;
  return html`<h3>Request</h3>
    <p class="request-line"><code>${method} ${url}</code> <${Copy} text=${url} label="the URL" /></p>
    <${Headers} fields=${Object.entries(headers)} />
    ${body
      ? html`<${Text} excerpt=${body} more=${more} label="the request's body" />`
      : html`<p class="faint">no body</p>`}`;
}

function Answer({ call, more }) {
  if (call.answer) {
    const { status, headers, body, cookies_omitted: cookies } = call.answer;
    return html`<h3>Answer <span class="faint">${status}</span></h3>
      <${Headers} fields=${headers} />
      ${cookies && html`<p class="faint">Set-Cookie headers are not kept.</p>`}
      <${Text} excerpt=${body} more=${more} label="the answer's body" />`;
  }
  if (!call.output) return html`<h3>Output</h3><p class="faint">nothing is recorded</p>`;
  return html`<h3>Output</h3><${Text} excerpt=${call.output} more=${more} label="the output" />`;
}

function Headers({ fields }) {
  if (fields.length === 0) return null;
  return html`<details class="headers">
    <summary>${plural(fields.length, "header")}</summary>
    <dl class="table">
      ${fields.map(
        ([name, value]) => html`<dt>${name}</dt><dd><code>${[value].flat().join(", ")}</code></dd>`,
      )}
    </dl>
  </details>`;
}

/** A text as far as it was read, with its size. */
function Text({ excerpt, more, label }) {
  const { text, json, cut, size, sha256 } = excerpt;
  if (text === null) {
    return html`<p class="faint">
      Not kept as text: ${bytes(size)}${sha256 && html`, SHA-256 <code class="id">${sha256}</code>`}
    </p>`;
  }
  return html`<div class="text">
    <div class="text-head">
      <span class="faint">${bytes(size)}${json ? ", JSON" : ""}</span>
      <${Copy} text=${text} label=${label} />
    </div>
    ${json
      ? html`<${Json} text=${text} />`
      : html`<pre class="code" tabindex="0">${text || "(empty)"}</pre>`}
    ${cut &&
    html`<p class="faint">Cut: ${bytes(new Blob([text]).size)} of ${bytes(size)} are shown.
      <button type="button" class="quiet small" onClick=${more}>Show all</button></p>`}
  </div>`;
}
