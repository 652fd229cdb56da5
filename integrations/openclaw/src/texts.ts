import type { Execution } from "./engine.ts";

/** The prefix of each text that the model gets in place of a tool's output. It marks the text as not the
 * tool's. */
const MARK = "[state-engine]";

/** A stored result: a first line, then the tool's own text. */
export function replayed(execution: Execution, text: string): string {
  const at = execution.completed_at ?? execution.created_at;
  const head = `${MARK} Already done, NOT run again: this exact call ran at ${at}.`;
  if (execution.outcome === "executed" && execution.error === null) {
    return `${head} It succeeded; this is not an error. Its stored result:\n${text}`;
  }
  return `${head} It ended with an error, and nothing else is known about it:\n${text}`;
}

export function inFlight(): string {
  return `${MARK} NOT run: the same call is being executed right now. Its result will be the answer to that call. Do not repeat it.`;
}

export function inDoubt(execution: Execution): string {
  const { id, attempt } = execution;
  const at = execution.started_at ?? execution.created_at;
  return (
    `${MARK} NOT run: this exact call was started at ${at} (execution ${id}, attempt ${attempt}) and its outcome is UNKNOWN. ` +
    `It may already have taken effect. Do not repeat it, and do not reword it to get past this. ` +
    `Check by other means whether it took effect, and report this to the user. ` +
    `A person settles it with: openclaw-state-engine resolve ${id} --ran --evidence "..." ` +
    `(or --did-not-run, after which the call runs again).`
  );
}

export function elsewhere(execution: Execution): string {
  return `${MARK} NOT run: this exact call was started at ${execution.started_at} (execution ${execution.id}) by another process, and no outcome is known yet. It may still take effect. Try again in a minute.`;
}

export function engineDown(url: string, why: string): string {
  return (
    `${MARK} NOT run, and nothing was changed: the state engine at ${url} cannot record the call (${why}), ` +
    `and calls that act are held back until it can. Report this to the user. The operator can start the engine with ` +
    `"openclaw-state-engine serve", or set onEngineDown to "allow" to run calls unrecorded.`
  );
}

export function notJson(why: string): string {
  return `${MARK} NOT run, and nothing was changed: ${why}. Call the tool again with such parameters.`;
}

export function cancelled(): string {
  return `${MARK} NOT run: the call was cancelled before it started.`;
}

export function invokedBefore(execution: Execution): string {
  const at = execution.started_at ?? execution.created_at;
  return (
    `${MARK} NOT run again: a call with this idempotencyKey was passed to the tool at ${at} ` +
    `(execution ${execution.id}). OpenClaw does not report to plugins how calls over this interface ended. ` +
    `Check whether it took effect. If it did not, settle it with ` +
    `"openclaw-state-engine resolve ${execution.id} --did-not-run --evidence ...", or use a different key.`
  );
}

export function otherInput(execution: Execution): string {
  return `${MARK} NOT run: this idempotencyKey belongs to a call with different arguments (execution ${execution.id}). Use a different key.`;
}

export function blankKey(): string {
  return `${MARK} NOT run: idempotencyKey must not be blank: leave it out, or send 1 to 255 characters that are not only spaces`;
}

/** For a resumed agent: the calls whose results did not reach it. */
export function ledger(calls: readonly { execution: Execution; text: string | undefined }[]): string {
  const lines = calls.map(({ execution, text }) => {
    const call = `- ${execution.tool_name} (execution ${execution.id})`;
    if (text !== undefined) return `${call}: completed before the interruption; result: ${text}`;
    return `${call}: outcome UNKNOWN; it may have taken effect. Do not repeat it: check whether it did`;
  });
  return `${MARK} Tool calls of the interrupted turn, from the durable record:\n${lines.join("\n")}`;
}
