import { randomUUID } from "node:crypto";
import { Call, type Ending } from "./call.ts";
import { canonical, digest, masked } from "./canonical.ts";
import { type Claimed, Engine, type Execution, type Place } from "./engine.ts";
import { type Known, keyOf } from "./goal.ts";
import type { BeforeToolCall, BeforeToolCallResult, Logger, ToolCallContext } from "./host.ts";
import { invoked, recordedByCaller } from "./invoked.ts";
import { isWrapper, type Policy, policyOf } from "./policy.ts";
import { textOf } from "./results.ts";
import type { Session } from "./session.ts";
import { Sessions } from "./sessions.ts";
import type { Settings } from "./settings.ts";
import * as texts from "./texts.ts";

/** A hook has 15 s; the claims before and after take their part of it. */
const WAIT_MS = 3_000;
const RELEASE_TRIES = 100;
const MAX_HANDED = 10_000;

/** What the model was given for a call: to be marked when it stands in the transcript. */
export interface Handed {
  known: Known;
  /** It was given from the record. */
  replayed: boolean;
}

/** Decides which tool calls run, and keeps the record of those that do. */
export class Guard {
  #settings: Settings;
  #log: Logger;
  readonly #engine: Engine;
  readonly #sessions: Sessions;
  readonly #calls = new Map<string, Call>();
  readonly #notes = new Map<string, Promise<Execution>>();
  readonly #handed = new Map<string, Handed>();

  constructor(settings: Settings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#engine = new Engine(settings.engineUrl, settings.token);
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
    try {
      if (by?.key !== undefined) return await this.#invoke(event, context, by.key);
      return await this.#claim(event, context, policy);
    } catch (error) {
      return this.#down(event, error);
    }
  }

  #down(event: BeforeToolCall, error: unknown): BeforeToolCallResult | undefined {
    const why = error instanceof Error ? error.message : String(error);
    const allowed = this.#settings.onEngineDown === "allow";
    const became = allowed ? "runs unrecorded" : "is held back";
    this.#log.warn(`state-engine: ${event.toolName} ${became}: ${why}`);
    return allowed ? undefined : block(texts.engineDown(this.#engine.url, why));
  }

  async #claim(
    event: BeforeToolCall,
    context: ToolCallContext,
    policy: Policy,
  ): Promise<BeforeToolCallResult | undefined> {
    const session = await this.#session(context);
    const turn = await session.turn(runOf(event, context));
    const base = digest("call/v1", event.toolName, canonical(event.params));
    // No await from here until `live` is set: twins of one message come at once.
    const known = session.choose(base, turn, policy);
    if (known.live) return block(texts.inFlight());
    known.live = true;
    known.runId = turn.runId;
    let granted: Claimed | undefined;
    try {
      const claimed = await this.#ask(known, event);
      known.executionId = claimed.id;
      if (claimed.claim !== "execute" || claimed.lease === undefined) {
        return this.#refuse(known, claimed, event, context);
      }
      if (context.abortSignal?.aborted) {
        await this.#engine.finish(claimed.lease, "not_executed", { error: "cancelled" });
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

  /** Claims; where another process runs it, waits a little for that to end. */
  async #ask(known: Known, event: BeforeToolCall): Promise<Claimed> {
    const claimed = await this.#askOnce(known, event);
    if (claimed.claim !== "busy") return claimed;
    const settled = await this.#engine.wait(claimed.id, WAIT_MS);
    return settled.status === "running" ? claimed : this.#askOnce(known, event);
  }

  async #askOnce(known: Known, event: BeforeToolCall): Promise<Claimed> {
    const call = {
      tool_name: event.toolName,
      tool_input: masked(event.params),
      idempotency_key: known.key,
      claim_id: randomUUID(),
    };
    try {
      return await this.#engine.claim(known.goal.place, call);
    } catch (error) {
      if (this.#settings.onEngineDown === "block") void this.#release(known.goal.place, call);
      throw error;
    }
  }

  /** A claim without an answer may have been granted; since the call does not run, it is given back. */
  async #release(place: Place, call: Parameters<Engine["claim"]>[1]): Promise<void> {
    for (let tries = 0; tries < RELEASE_TRIES; tries += 1) {
      try {
        const { claim, lease } = await this.#engine.claim(place, call);
        if (claim === "execute" && lease !== undefined) {
          await this.#engine.finish(lease, "not_executed", { error: "held back: the engine did not answer" });
        }
        return;
      } catch {
        // Down still.
      }
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
    const { place } = await session.turn("invoked");
    const call = {
      tool_name: event.toolName,
      tool_input: masked(event.params),
      idempotency_key: keyOf(place.session_id, digest("invoked/v1", event.toolName, key), 1),
      claim_id: randomUUID(),
    };
    const claimed = await this.#engine.claim(place, call);
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
      const error = ending.isError ? "the tool reported an error" : undefined;
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
    const executions = await Promise.all(session.undelivered().map((id) => this.#engine.execution(id)));
    const calls = executions
      .filter(({ outcome, status }) => outcome === "executed" || status === "in_doubt" || status === "running")
      .map((execution) => ({
        execution,
        text: execution.outcome === "executed" ? textOf(execution.output ?? execution.error) : undefined,
      }));
    return calls.length === 0 ? undefined : texts.ledger(calls);
  }

  /** A run of the agent is over. */
  async ended(runId: string, context: ToolCallContext): Promise<void> {
    await (await this.#session(context)).end(runId);
  }

  #session(context: ToolCallContext): Promise<Session> {
    const name = context.sessionKey ?? context.sessionId ?? "unnamed";
    return this.#sessions.of(context.agentId, name);
  }
}

function block(blockReason: string): BeforeToolCallResult {
  return { block: true, blockReason };
}

function runOf(event: BeforeToolCall, context: ToolCallContext): string {
  return event.runId ?? context.runId ?? context.sessionId ?? "unnamed";
}

/** Ids of tool calls are the model's, and may come again in another session. */
function idOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\n${toolCallId}`;
}

/** How the ids of calls begin that Tool Search makes inside of one. */
function insideOf(toolCallId: string | undefined, { sessionKey }: ToolCallContext): string {
  return `${sessionKey}\ntool_search_code:${toolCallId}:`;
}
