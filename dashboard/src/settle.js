// The form in which a person settles a call in doubt: whether it ran, and how they know.

import { html, useState } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { moment, shortId } from "./format.js";

/** What is known about a call in doubt, how to check it, and the two verdicts. */
export function Settle({ call, settled }) {
  const [evidence, setEvidence] = useState("");
  const [verdict, setVerdict] = useState(null);
  const [state, setState] = useState({ busy: false, error: null });
  const reason = evidence.trim();

  const settle = async (event) => {
    event.preventDefault();
    if (!verdict || !reason) {
      setState({ busy: false, error: verdict ? "Say how you know." : "Say whether it ran." });
      return;
    }
    setState({ busy: true, error: null });
    try {
      const params = { id: call.id, attempt: call.attempt, verdict, evidence: reason };
      await rpc("resolve_tool_execution", params);
      setState({ busy: false, error: null });
      settled?.();
    } catch (error) {
      setState({ busy: false, error: error.message });
    }
  };

  const name = `verdict-${call.id}`;
  const choice = (value, text, consequence) =>
    html`<label class="choice">
      <input type="radio" name=${name} checked=${verdict === value} onChange=${() => setVerdict(value)} />
      <span><b>${text}</b><br /><span class="faint">${consequence}</span></span>
    </label>`;
  return html`<form class="settle" onSubmit=${settle} aria-label=${`Settle ${call.tool_name} ${shortId(call.id)}`}>
    <p><b>It may have taken effect.</b> ${seen(call)}</p>
    <p>${howToVerify(call)}</p>
    <fieldset>
      <legend class="hidden">Did it run?</legend>
      ${choice("executed", "It ran", "A repeat will not be sent.")}
      ${choice("not_executed", "It did not run", "The next identical call is sent.")}
    </fieldset>
    <label class="reason">
      <span>How do you know? <span class="faint">It is kept in the audit log.</span></span>
      <textarea
        rows="2"
        maxlength="4096"
        required
        value=${evidence}
        placeholder="What you looked at, and what you found"
        onInput=${(event) => setEvidence(event.target.value)}></textarea>
    </label>
    ${state.error && html`<p class="problem" role="alert">${state.error}</p>`}
    <button type="submit" class="primary" disabled=${state.busy}>
      ${state.busy ? "Settling…" : "Settle"}
    </button>
  </form>`;
}

function seen(call) {
  const event = call.last_event === "unknown" ? "its caller does not know the outcome" : call.last_event;
  const last = event ? ` Last seen: ${event}.` : "";
  if (call.sent_at) return `It was sent at ${moment(call.sent_at)}.${last}`;
  return call.started_at ? `It was claimed at ${moment(call.started_at)}.${last}` : last;
}

/** Where to check. The engine itself cannot ask the tool. */
function howToVerify(call) {
  if (call.origin !== "proxy") {
    return `Look where ${call.tool_name} writes, and compare what is there with the input.`;
  }
  const [method, url = ""] = call.preview.split(" ", 2);
  const host = /^[a-z]+:\/\/([^/]*)/.exec(url)?.[1] ?? "the tool";
  const check = method === "POST" ? "list what was created around that time" : "read what should have changed";
  return `Check at ${host}: ${check}, and compare it with the request.`;
}
