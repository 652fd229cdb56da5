// The attempts of a call step by step, and its rows of the event log.

import { html } from "../vendor/preact-htm.js";
import { between, count, moment, span, timeOfDay } from "./format.js";
import { attempts } from "./phases.js";

export function Attempts({ call }) {
  const found = attempts(call.events);
  if (found.length === 0) return null;
  return html`<h3>Steps</h3>
    ${found.map(
      (attempt) => html`<div class="attempt" key=${attempt.attempt}>
        ${found.length > 1 &&
        html`<p class="faint">Attempt ${attempt.attempt}${attempt.why ? `: ${attempt.why}` : ""}</p>`}
        <ol class="steps">
          <${Step} name="claimed" at=${attempt.claimed} />
          ${call.origin === "proxy" &&
          html`<${Step} name="sent" at=${attempt.sent} since=${attempt.claimed} />
            <${Step} name="first byte" at=${attempt.firstByte} since=${attempt.sent} />`}
          <${Step} name=${recorded(attempt)} at=${attempt.recorded}
            since=${attempt.firstByte ?? attempt.sent ?? attempt.claimed} />
          <${Step} name="replied" since=${null} />
        </ol>
      </div>`,
    )}`;
}

const recorded = ({ ended }) => (ended ? `recorded: ${ended.replace("_", " ")}` : "recorded");

function Step({ name, at, since }) {
  return html`<li class=${at ? "known" : "unknown"}>
    <span class="step">${name}</span>
    ${at
      ? html`<time datetime=${at} title=${moment(at)}>${timeOfDay(at, { millis: true })}</time>`
      : html`<span class="faint">not known</span>`}
    ${at && since && html`<span class="faint">+${span(Math.max(0, between(since, at)))}</span>`}
  </li>`;
}

/** Rows of the audit log; each hash is over its row and the hash before it. */
export function Events({ events }) {
  return html`<h3>Events <span class="faint">${count(events.length)}</span></h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Events">
      <table class="list events">
        <thead>
          <tr>
            <th scope="col">Number</th>
            <th scope="col">Time</th>
            <th scope="col">Kind</th>
            <th scope="col">By</th>
            <th scope="col">Detail</th>
            <th scope="col">Hash</th>
          </tr>
        </thead>
        <tbody>
          ${events.map(
            (event) => html`<tr key=${event.seq}>
              <td>${event.seq}</td>
              <td><time datetime=${event.at} title=${moment(event.at)}>
                ${timeOfDay(event.at, { millis: true })}</time></td>
              <td>${event.kind}</td>
              <td>${event.actor}</td>
              <td class="event-detail">${detail(event.detail)}</td>
              <td class="hash">
                <code title=${event.hash}>${event.hash.slice(0, 8)}</code>${" "}
                <span class="faint" title=${event.previous ?? "the first row that is kept"}>
                  ← ${event.previous ? event.previous.slice(0, 8) : "none"}</span>
              </td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

/** Digests and times, which the page shows elsewhere. */
const OMITTED = ["input", "output", "body", "sent_at", "first_byte_at", "times"];

function detail(members) {
  if (members === null || typeof members !== "object") return "";
  return Object.entries(members)
    .filter(([name]) => !OMITTED.includes(name))
    .map(([name, value]) => `${name}: ${plain(value)}`)
    .join(", ");
}

function plain(value) {
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, inner]) => `${name} ${plain(inner)}`)
    .join(", ");
}
