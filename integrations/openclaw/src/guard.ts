import { Call, type Ending } from "./call.ts";
import { canonical, digest, masked } from "./canonical.ts";
import { Claims } from "./claims.ts";
import { type Claimed, Engine, type Execution, refused } from "./engine.ts";
import { type Known, keyOf } from "./goal.ts";
import type { BeforeToolCall, BeforeToolCallResult, Logger, ToolCallContext } from "./host.ts";
import { invoked, recordedByCaller } from "./invoked.ts";
import { isWrapper, type Policy, policyOf } from "./policy.ts";
import { textOf } from "./results.ts";
import { NO_RUN, type Session } from "./session.ts";
import { Sessions } from "./sessions.ts";
import type { Settings } from "./settings.ts";
import * as texts from "./texts.ts";

/** Of the 15 s that the host gives to a hook, after which it blocks the call by itself. */
const HOOK_MS = 13_000;
const MAX_HANDED = 10_000;
/** Words of the engine by which a remembered user, session or goal is gone or over. */
const FORGET = new Set(["NOT_FOUND", "CONFLICT"]);

/** What the model was given for a call: to be marked when it stands in the transcript. */
export interface Handed {
  known: Known;
  /** It was given from the record. */
  replayed: boolean;
}

/** One call's hook: when it takes too long, and whether the call runs because it did. */
interface Hook {
  late: AbortSignal;
  allowed: boolean;
}

/** Decides which tool calls run, and keeps the record of those that do. */
export class Guard {
  #settings: Settings;
  #log: Logger;
  readonly #engine: Engine;
  readonly #claims: Claims;
  readonly #sessions: Sessions;
  readonly #calls = new Map<string, Call>();
  readonly #notes = new Map<string, Promise<Execution>>();
  readonly #handed = new Map<string, Handed>();
  /** What a resumed run was told in its prompt, by run. */
  readonly #told = new Map<string, Known[]>();

  constructor(settings: Settings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#engine = new Engine(settings.engineUrl, settings.token);
    this.#claims = new Claims(this.#engine);
    this.#sessions = new Sessions(this.#engine, log);
  }

  /** Goes on with other settings for the same engine. */
  adopt(settings: Settings, log: Logger): void {
    this.#settings = settings;
    this.#log = log;
  }

  /** Whether the call may run. Where it may, the intent is on disk when this returns. */
  async before(event: BeforeToolCall, context: ToolCallContext): Promise<BeforeToolCallResult | undefined> {
    const policy = policyOf(event.toolName, event.params, this.#settings.tools);
    if (policy === "ignore" || isWrapper(event.toolName)) return undefined;
    const by = invoked(event.toolCallId);
    if (by && recordedByCaller(by)) return undefined;
    if (policy === "record" || (by && by.key === undefined)) {
      this.#note(event, context);
      return undefined;
    }
    const late = AbortSignal.timeout(HOOK_MS);
    const hook: Hook = { late, allowed: false };
    const decide = () =>
      by?.key === undefined
        ? this.#claim(event, context, policy, hook)
        : this.#invoke(event, context, by.key);
    try {
      const decided = decide().catch((error: unknown) => {
        if (!refused(error) || !FORGET.has(error.code)) throw error;
        this.#sessions.forget(context.agentId, nameOf(context));
        return decide();
      });
      return await Promise.race([decided, rejected(late)]);
    } catch (error) {
      const held = this.#down(event, error);
      hook.allowed = held === undefined;
      return held;
    }
  }

  get #allows(): boolean {
    return this.#settings.onEngineDown === "allow";
  }

  #down(event: BeforeToolCall, error: unknown): BeforeToolCallResult | undefined {
    const why = error instanceof Error ? error.message : String(error);
    const became = this.#allows ? "runs unrecorded" : "is held back";
    this.#log.warn(`state-engine: ${event.toolName} ${became}: ${why}`);
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
    // No await from here until `live` is set: twins of one message come at once.
    const known = session.choose(base, turn, policy);
    if (known.live) return block(texts.inFlight());
    known.live = true;
    known.runId = turn.runId;
    const unheardOf = known.executionId === undefined;
    let granted: Claimed | undefined;
    try {
      const claimed = await this.#claims.claim(known.goal.place, known.key, event, () => this.#allows);
      known.executionId = claimed.id;
      if (policy === "session" && unheardOf && claimed.claim === "replay" && claimed.status === "failed") {
        // It failed in a turn that is closed, so that its error was delivered: the next one counts.
        known.delivered = known.failed = true;
        known.live = false;
        return await this.#claim(event, context, policy, hook);
      }
      if (claimed.claim !== "execute" || claimed.lease === undefined) {
        return this.#refuse(known, claimed, event, context);
      }
      if (hook.allowed) {
        // It runs already, unrecorded, and nothing will be told of its end.
        await this.#engine.finish(claimed.lease, "unknown", { error: "it ran before the engine answered" });
        return undefined;
      }
      if (context.abortSignal?.aborted || (hook.late.aborted && !this.#allows)) {
        await this.#claims.giveBack(claimed.lease, "cancelled before it began");
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
    known: Known,
    execution: Claimed,
    event: BeforeToolCall,
    context: ToolCallContext,
  ): BeforeToolCallResult {
    if (execution.claim === "in_doubt") return block(texts.inDoubt(execution));
    if (execution.claim === "busy") return block(texts.elsewhere(execution));
    known.failed = execution.status === "failed";
    this.#hand(idOf(event.toolCallId, context), { known, replayed: true });
    this.#log.info(`state-engine: ${event.toolName} is answered from execution ${execution.id}`);
    return block(texts.replayed(execution, textOf(execution.output ?? execution.error)));
  }

  /** A call over HTTP under a key of its caller: passed on once. Its end is not told to plugins. */
  async #invoke(
    event: BeforeToolCall,
    context: ToolCallContext,
    key: string,
  ): Promise<BeforeToolCallResult | undefined> {
    const session = await this.#session(context);
    const { place } = await session.turn(NO_RUN);
    const id = keyOf(place.session_id, digest("invoked/v1", event.toolName, key), 1);
    const claimed = await this.#claims.claim(place, id, event, () => this.#allows);
    if (claimed.claim !== "execute" || claimed.lease === undefined) {
      return block(claimed.input_mismatch ? texts.otherInput(claimed) : texts.invokedBefore(claimed));
    }
    await this.#engine.finish(claimed.lease, "unknown", {
      error: "OpenClaw does not tell plugins how calls over /tools/invoke end",
    });
    return undefined;
  }

  /** Records a call that is never held back, from the background. */
  #note(event: BeforeToolCall, context: ToolCallContext): void {
    const noted = (async () => {
      const session = await this.#session(context);
      const { place } = await session.turn(runOf(event, context));
      return this.#engine.note(place, event.toolName, masked(event.params));
    })();
    noted.catch((error: unknown) => this.#log.warn(`state-engine: ${event.toolName} is not recorded: ${String(error)}`));
    if (invoked(event.toolCallId)) return;
    if (this.#notes.size < MAX_HANDED) this.#notes.set(idOf(event.toolCallId, context), noted);
  }

  /** Records how a call ended, before the model can act on it. */
  async after(toolCallId: string | undefined, context: ToolCallContext, ending: Ending): Promise<void> {
    const id = idOf(toolCallId, context);
    const noted = this.#notes.get(id);
    if (noted) {
      this.#notes.delete(id);
      const error = ending.isError ? "the tool reported an error" : null;
      noted.then((execution) => this.#engine.noted(execution, error)).catch(() => {});
      return;
    }
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#hand(id, { known: call.known, replayed: false });
    await call.finish(ending);
    this.#calls.delete(id);
  }

  #hand(id: string, handed: Handed): void {
    if (this.#handed.size >= MAX_HANDED) {
      const [oldest] = this.#handed.keys();
      if (oldest !== undefined) this.#handed.delete(oldest);
    }
    this.#handed.set(id, handed);
  }

  /** What is being written to the transcript for a call: it, or the calls inside of it. */
  delivering(toolCallId: string | undefined, context: ToolCallContext): Handed[] {
    const id = idOf(toolCallId, context);
    const inside = insideOf(toolCallId, context);
    const found = [...this.#handed].filter(([handed]) => handed === id || handed.startsWith(inside));
    for (const [handed] of found) this.#handed.delete(handed);
    return found.map(([, handed]) => handed);
  }

  /** Waits for the endings of calls inside a wrapper that are being recorded. */
  async recorded(toolCallId: string, context: ToolCallContext): Promise<void> {
    const inside = insideOf(toolCallId, context);
    const calls = [...this.#calls].filter(([id]) => id.startsWith(inside));
    await Promise.all(calls.map(([, call]) => call.finishing));
  }

  /** What a resumed run is told of calls whose results it never saw. */
  async ledger(context: ToolCallContext): Promise<string | undefined> {
    const session = await this.#session(context);
    const calls: { execution: Execution; text: string | undefined }[] = [];
    const told: Known[] = [];
    for (const known of session.undelivered()) {
      if (known.executionId === undefined) continue;
      const execution = await this.#engine.execution(known.executionId);
      const executed = execution.outcome === "executed";
      if (execution.outcome === "not_executed") continue;
      if (executed) told.push(known);
      calls.push({ execution, text: executed ? textOf(execution.output ?? execution.error) : undefined });
    }
    if (context.runId !== undefined) this.#told.set(context.runId, told);
    return calls.length === 0 ? undefined : texts.ledger(calls);
  }

  /** A run of the agent is over: what its prompt told it has reached it. */
  async ended(runId: string, context: ToolCallContext): Promise<void> {
    for (const known of this.#told.get(runId) ?? []) known.goal.deliver(known);
    this.#told.delete(runId);
    await (await this.#session(context)).end(runId);
  }

  #session(context: ToolCallContext): Promise<Session> {
    return this.#sessions.of(context.agentId, nameOf(context));
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

/** Ids of tool calls are the model's, and may come again in another session. */
function idOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\n${toolCallId}`;
}

/** How the ids of calls begin that Tool Search makes inside of one. */
function insideOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\ntool_search_code:${toolCallId}:`;
}
