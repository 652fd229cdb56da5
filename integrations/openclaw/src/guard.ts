import { assertJson } from "@openclaw/ts-client";
import { Call, type Ending } from "./call.ts";
import { canonical, digest, masked } from "./canonical.ts";
import { Claims } from "./claims.ts";
import { type Claimed, Engine, type Execution, refused } from "./engine.ts";
import { type KnownCall, keyOf } from "./goal.ts";
import type { BeforeToolCall, BeforeToolCallResult, Logger, ToolCallContext } from "./host.ts";
import { hasBlankKey, invokedCall, recordedByCaller } from "./invoked.ts";
import { isWrapper, type Policy, policyOf } from "./policy.ts";
import { textOf } from "./results.ts";
import { NO_RUN, type Session } from "./session.ts";
import { Sessions } from "./sessions.ts";
import type { Settings } from "./settings.ts";
import * as texts from "./texts.ts";

/** The time limit of a hook. The host blocks a call itself after 15 s. */
const HOOK_MS = 13_000;
const MAX_DELIVERIES = 10_000;
/** Codes by which the engine reports that a remembered user, session or goal is gone or has ended. */
const STALE_SCOPE = new Set(["NOT_FOUND", "CONFLICT"]);

/** A result that the model gets. It is marked as delivered when it is in the transcript. */
export interface Delivery {
  known: KnownCall;
  /** Whether the result comes from the record. */
  replayed: boolean;
}

/** The hook of one call. */
interface Hook {
  /** Aborts when the hook takes too long. */
  late: AbortSignal;
  /** Whether the call runs unrecorded because the hook took too long or failed. */
  allowed: boolean;
}

/** Decides which tool calls run, and records them. */
export class Guard {
  #settings: Settings;
  #log: Logger;
  readonly #engine: Engine;
  readonly #claims: Claims;
  readonly #sessions: Sessions;
  readonly #calls = new Map<string, Call>();
  readonly #recordings = new Map<string, Promise<Execution>>();
  readonly #deliveries = new Map<string, Delivery>();
  /** The calls whose results are in the prompt of a resumed run, by run. */
  readonly #ledgers = new Map<string, KnownCall[]>();

  constructor(settings: Settings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#engine = new Engine(settings.engineUrl, settings.token);
    this.#claims = new Claims(this.#engine);
    this.#sessions = new Sessions(this.#engine, log);
  }

  /** Continues with new settings for the same engine. */
  adopt(settings: Settings, log: Logger): void {
    this.#settings = settings;
    this.#log = log;
  }

  /** Decides whether the call may run. If it may, its intent is on disk when this returns. */
  async before(event: BeforeToolCall, context: ToolCallContext): Promise<BeforeToolCallResult | undefined> {
    const policy = policyOf(event.toolName, event.params, this.#settings.tools);
    if (policy === "ignore" || isWrapper(event.toolName)) return undefined;
    const why = whyNotJson(event.params);
    if (why !== undefined) {
      this.#log.warn(`state-engine: ${event.toolName} cannot be recorded: ${why}`);
      return policy === "record" ? undefined : block(texts.notJson(why));
    }
    const by = invokedCall(event.toolCallId);
    if (by && recordedByCaller(by)) return undefined;
    if (policy === "record" || (by && by.key === undefined)) {
      this.#record(event, context);
      return undefined;
    }
    if (by && hasBlankKey(by)) return block(texts.blankKey());
    const late = AbortSignal.timeout(HOOK_MS);
    const hook: Hook = { late, allowed: false };
    const decide = () =>
      by?.key === undefined
        ? this.#claim(event, context, policy, hook)
        : this.#invoke(event, context, by.key);
    try {
      const decided = decide().catch((error: unknown) => {
        if (!refused(error) || !STALE_SCOPE.has(error.code)) throw error;
        this.#sessions.forget(context.agentId, nameOf(context));
        return decide();
      });
      return await Promise.race([decided, rejected(late)]);
    } catch (error) {
      const held = this.#engineDown(event, error);
      hook.allowed = held === undefined;
      return held;
    }
  }

  get #allows(): boolean {
    return this.#settings.onEngineDown === "allow";
  }

  #engineDown(event: BeforeToolCall, error: unknown): BeforeToolCallResult | undefined {
    const why = error instanceof Error ? error.message : String(error);
    const consequence = this.#allows ? "runs unrecorded" : "is held back";
    this.#log.warn(`state-engine: ${event.toolName} ${consequence}: ${why}`);
    return this.#allows ? undefined : block(texts.engineDown(this.#engine.url, why));
  }

  async #claim(
    event: BeforeToolCall,
    context: ToolCallContext,
    policy: Policy,
    hook: Hook,
  ): Promise<BeforeToolCallResult | undefined> {
    const session = await this.#session(context);
    const turn = await session.turn(runOf(event, context));
    const base = digest("call/v1", event.toolName, canonical(event.params));
    // No await from here until `live` is set: equal calls of one message arrive at the same time.
    const known = session.choose(base, turn, policy);
    if (known.live) return block(texts.inFlight());
    known.live = true;
    known.runId = turn.runId;
    const isNew = known.executionId === undefined;
    let granted: Claimed | undefined;
    try {
      const claimed = await this.#claims.claim(known.goal.scope, known.key, event, () => this.#allows);
      known.executionId = claimed.id;
      if (policy === "session" && isNew && claimed.claim === "replay" && claimed.status === "failed") {
        // It failed in a turn that is closed, so its error was delivered and the next call may run.
        known.delivered = known.failed = true;
        known.live = false;
        return await this.#claim(event, context, policy, hook);
      }
      if (claimed.claim !== "execute" || claimed.lease === undefined) {
        return this.#refuse(known, claimed, event, context);
      }
      if (hook.allowed) {
        // The call already runs unrecorded, and nothing will report its end.
        await this.#engine.finish(claimed.lease, "unknown", { error: "it ran before the engine answered" });
        return undefined;
      }
      if (context.abortSignal?.aborted || (hook.late.aborted && !this.#allows)) {
        await this.#claims.release(claimed.lease, "cancelled before it started");
        delete known.executionId;
        return block(texts.cancelled());
      }
      granted = claimed;
      const call = new Call(this.#engine, this.#log, known, claimed.lease, context.abortSignal);
      this.#calls.set(idOf(event.toolCallId, context), call);
      return undefined;
    } finally {
      if (granted === undefined) known.live = false;
    }
  }

  #refuse(
    known: KnownCall,
    execution: Claimed,
    event: BeforeToolCall,
    context: ToolCallContext,
  ): BeforeToolCallResult {
    if (execution.claim === "in_doubt") return block(texts.inDoubt(execution));
    if (execution.claim === "busy") return block(texts.elsewhere(execution));
    known.failed = execution.status === "failed";
    this.#addDelivery(idOf(event.toolCallId, context), { known, replayed: true });
    this.#log.info(`state-engine: ${event.toolName} is answered from execution ${execution.id}`);
    return block(texts.replayed(execution, textOf(execution.output ?? execution.error)));
  }

  /** A call over HTTP with its caller's key. It passes once. OpenClaw does not report its end to plugins. */
  async #invoke(
    event: BeforeToolCall,
    context: ToolCallContext,
    key: string,
  ): Promise<BeforeToolCallResult | undefined> {
    const session = await this.#session(context);
    const { scope } = await session.turn(NO_RUN);
    const id = keyOf(scope.session_id, digest("invoked/v1", event.toolName, key), 1);
    const claimed = await this.#claims.claim(scope, id, event, () => this.#allows);
    if (claimed.claim !== "execute" || claimed.lease === undefined) {
      return block(claimed.input_mismatch ? texts.otherInput(claimed) : texts.invokedBefore(claimed));
    }
    await this.#engine.finish(claimed.lease, "unknown", {
      error: "OpenClaw does not report to plugins how calls over /tools/invoke end",
    });
    return undefined;
  }

  /** Records a call that is never held back, in the background. */
  #record(event: BeforeToolCall, context: ToolCallContext): void {
    const recording = (async () => {
      const session = await this.#session(context);
      const { scope } = await session.turn(runOf(event, context));
      return this.#engine.recordCall(scope, event.toolName, masked(event.params));
    })();
    recording.catch((error: unknown) => this.#log.warn(`state-engine: ${event.toolName} is not recorded: ${String(error)}`));
    if (invokedCall(event.toolCallId)) return;
    if (this.#recordings.size < MAX_DELIVERIES) this.#recordings.set(idOf(event.toolCallId, context), recording);
  }

  /** Records how a call ended, before the model can act on it. */
  async after(toolCallId: string | undefined, context: ToolCallContext, ending: Ending): Promise<void> {
    const id = idOf(toolCallId, context);
    const recording = this.#recordings.get(id);
    if (recording) {
      this.#recordings.delete(id);
      const error = ending.isError ? "the tool reported an error" : null;
      recording.then((execution) => this.#engine.recordEnd(execution, error)).catch(() => {});
      return;
    }
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#addDelivery(id, { known: call.known, replayed: false });
    await call.finish(ending);
    this.#calls.delete(id);
  }

  #addDelivery(id: string, delivery: Delivery): void {
    if (this.#deliveries.size >= MAX_DELIVERIES) {
      const [oldest] = this.#deliveries.keys();
      if (oldest !== undefined) this.#deliveries.delete(oldest);
    }
    this.#deliveries.set(id, delivery);
  }

  /** Removes and returns what is being written to the transcript for a call: its own result, or those of
   * the calls inside it. */
  takeDeliveries(toolCallId: string | undefined, context: ToolCallContext): Delivery[] {
    const id = idOf(toolCallId, context);
    const inside = insideOf(toolCallId, context);
    const found = [...this.#deliveries].filter(([callId]) => callId === id || callId.startsWith(inside));
    for (const [callId] of found) this.#deliveries.delete(callId);
    return found.map(([, delivery]) => delivery);
  }

  /** Waits until the endings of the calls inside a wrapper are recorded. */
  async innerCallsRecorded(toolCallId: string, context: ToolCallContext): Promise<void> {
    const inside = insideOf(toolCallId, context);
    const calls = [...this.#calls].filter(([id]) => id.startsWith(inside));
    await Promise.all(calls.map(([, call]) => call.finishing));
  }

  /** The text for the prompt of a resumed run: its calls whose results did not reach the model. */
  async ledger(context: ToolCallContext): Promise<string | undefined> {
    const session = await this.#session(context);
    const calls: { execution: Execution; text: string | undefined }[] = [];
    const listed: KnownCall[] = [];
    for (const known of session.undelivered()) {
      if (known.executionId === undefined) continue;
      const execution = await this.#engine.execution(known.executionId);
      const executed = execution.outcome === "executed";
      if (execution.outcome === "not_executed") continue;
      if (executed) listed.push(known);
      calls.push({ execution, text: executed ? textOf(execution.output ?? execution.error) : undefined });
    }
    if (context.runId !== undefined) this.#ledgers.set(context.runId, listed);
    return calls.length === 0 ? undefined : texts.ledger(calls);
  }

  /** A run of the agent has ended: the results that its prompt listed are delivered. */
  async ended(runId: string, context: ToolCallContext): Promise<void> {
    for (const known of this.#ledgers.get(runId) ?? []) known.goal.deliver(known);
    this.#ledgers.delete(runId);
    await (await this.#session(context)).end(runId);
  }

  #session(context: ToolCallContext): Promise<Session> {
    return this.#sessions.get(context.agentId, nameOf(context));
  }
}

/** Why parameters cannot be recorded: JSON would make two different calls one. */
function whyNotJson(params: unknown): string | undefined {
  try {
    assertJson(params, "params");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function block(blockReason: string): BeforeToolCallResult {
  return { block: true, blockReason };
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error(`no decision in ${HOOK_MS} ms`)));
  });
}

function nameOf({ sessionKey, sessionId }: ToolCallContext): string {
  return sessionKey ?? sessionId ?? "unnamed";
}

function runOf(event: BeforeToolCall, context: ToolCallContext): string {
  return event.runId ?? context.runId ?? NO_RUN;
}

/** The model chooses the ids of tool calls, so another session may have the same ones. */
function idOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\n${toolCallId}`;
}

/** The prefix of the ids of calls that Tool Search makes inside a call. */
function insideOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\ntool_search_code:${toolCallId}:`;
}
