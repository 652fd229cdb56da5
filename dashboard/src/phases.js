// The steps of an attempt: claimed → sent → first byte → recorded → replied, as far as they are recorded.

import { between, micros } from "./format.js";

/** The steps of a summary's latest attempt, each `{name, at}`; `at` is null if unknown. */
export function steps(call) {
  const endedAt = call.completed_at ?? (call.status === "in_doubt" ? call.updated_at : null);
  return [
    { name: "claimed", at: call.started_at ?? (call.attempt > 0 ? call.created_at : null) },
    { name: "sent", at: call.sent_at },
    { name: "first byte", at: call.first_byte_at },
    { name: "recorded", at: endedAt },
    // The proxy replies right after it has recorded, and does not record when.
    { name: "replied", at: null },
  ];
}

/** When a call started and ended, in µs. A running call ends now. */
export function extent(call, now = Date.now()) {
  const from = micros(call.started_at ?? call.created_at);
  const running = call.status === "running" || call.status === "pending";
  const to = running ? now * 1000 : micros(call.completed_at ?? call.updated_at);
  return { from, to: Math.max(from, to) };
}

/** How long the latest attempt took, in ms; null while it runs. */
export function duration(call) {
  const known = steps(call).filter((step) => step.at);
  if (call.status === "running" || known.length < 2) return null;
  return Math.max(0, between(known[0].at, known.at(-1).at));
}

/** The parts of a call's bar: each `{name, ms}` from one known step to the next. */
export function parts(call) {
  const known = steps(call).filter((step) => step.at);
  return known.slice(1).map((step, at) => ({
    name: `${known[at].name} → ${step.name}`,
    step: step.name,
    ms: Math.max(0, between(known[at].at, step.at)),
  }));
}

/**
 * The attempts of an execution from its events, oldest first:
 * `{attempt, claimed, sent, firstByte, recorded, ended}`.
 */
export function attempts(events) {
  const found = new Map();
  const of = (number) => {
    if (!found.has(number)) found.set(number, { attempt: number });
    return found.get(number);
  };
  for (const event of events) {
    if (!event.attempt) continue;
    const attempt = of(event.attempt);
    const detail = event.detail ?? {};
    if (event.kind === "claimed") {
      Object.assign(attempt, { claimed: event.at, why: detail.why, rule: detail.rule });
    } else if (["finished", "finished-late", "lost", "verdict"].includes(event.kind)) {
      if (event.kind !== "verdict") attempt.recorded = event.at;
      attempt.sent = detail.sent_at ?? attempt.sent;
      attempt.firstByte = detail.first_byte_at ?? attempt.firstByte;
      attempt.ended = detail.status ?? attempt.ended;
    }
  }
  return [...found.values()].sort((a, b) => a.attempt - b.attempt);
}
