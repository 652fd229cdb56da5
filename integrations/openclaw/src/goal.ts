import type { Goal } from "@openclaw/ts-client";
import { type Engine, type Execution, type Scope, refused } from "./engine.ts";
import type { Logger } from "./host.ts";

/** A guarded call that the plugin keeps in memory. All of it can be read again from the engine. */
export interface KnownCall {
  /** The digest of the tool and its parameters. */
  readonly base: string;
  /** Numbers the intended repeats of equal calls in a goal or session, from 1. */
  readonly n: number;
  readonly key: string;
  readonly goal: TurnGoal;
  /** The run that made the call last. */
  runId: string;
  executionId?: string;
  /** Whether this process is claiming or executing it. */
  live: boolean;
  /** Whether its result is in the agent's transcript. */
  delivered: boolean;
  failed: boolean;
}

const KEY = /^openclaw:v1:[^:]+:([0-9a-f]{32}):([0-9]+)$/;

/** The idempotency key of the `n`th intended call within a goal or session. */
export function keyOf(scopeId: string, base: string, n: number): string {
  return `openclaw:v1:${scopeId}:${base}:${n}`;
}

const RETRY_DELAY_MS = 5_000;
const MAX_TRIES = 720;

/** A turn of the agent: a goal in the engine, and which of its results were delivered.
 *
 * The goal's context lists the executions whose results were delivered. It is written after the
 * transcript. A crash between the two replays a delivered result once; it never runs a call twice. */
export class TurnGoal {
  readonly scope: Scope;
  readonly runId: string;
  readonly calls: KnownCall[] = [];
  readonly #delivered: Set<string>;
  readonly #engine: Engine;
  readonly #log: Logger;
  #resumed: boolean;
  #status: "in_progress" | "completed" = "in_progress";
  #writing: Promise<void> | undefined;
  #dirty = false;

  constructor(engine: Engine, log: Logger, scope: Scope, runId: string, context: Record<string, unknown> = {}) {
    this.#engine = engine;
    this.#log = log;
    this.scope = scope;
    this.runId = runId;
    const { delivered, resumed } = context;
    this.#delivered = new Set(Array.isArray(delivered) ? delivered.map(String) : []);
    this.#resumed = resumed === true;
  }

  /** Reads a turn that an earlier process left open, with its guarded calls. */
  static async read(engine: Engine, log: Logger, scope: Omit<Scope, "goal_id">, goal: Goal): Promise<TurnGoal> {
    const turn = new TurnGoal(engine, log, { ...scope, goal_id: goal.id }, `before ${goal.id}`, goal.context);
    for (const execution of await engine.executions(goal.id)) turn.#remember(execution);
    return turn;
  }

  #remember(execution: Execution): void {
    const key = execution.idempotency_key;
    const [, base, n] = KEY.exec(key ?? "") ?? [];
    if (key === null || base === undefined) return;
    this.calls.push({
      base,
      n: Number(n),
      key,
      goal: this,
      runId: this.runId,
      executionId: execution.id,
      live: false,
      delivered: this.#delivered.has(execution.id) || execution.outcome === "not_executed",
      failed: execution.status === "failed",
    });
  }

  /** Whether no call is running and every result was delivered. */
  get settled(): boolean {
    return this.calls.every((call) => !call.live && (call.delivered || call.executionId === undefined));
  }

  /** A run continues this interrupted turn: its calls become that run's. Only the first run does so. A
   * later run makes new calls. */
  resumeBy(runId: string): void {
    if (this.#resumed || this.settled) return;
    this.#resumed = true;
    for (const call of this.calls) call.runId = runId;
    this.#save();
  }

  deliver(call: KnownCall): void {
    if (call.executionId === undefined) return;
    call.delivered = true;
    this.#delivered.add(call.executionId);
    this.#save();
  }

  close(): void {
    if (this.#status === "completed") return;
    this.#status = "completed";
    this.#save();
  }

  /** Resolves when the pending changes are written or given up. */
  async saved(): Promise<void> {
    await this.#writing;
  }

  #save(): void {
    this.#dirty = true;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    for (let tries = 0; this.#dirty && tries < MAX_TRIES; tries += 1) {
      this.#dirty = false;
      const context = { delivered: [...this.#delivered], resumed: this.#resumed };
      try {
        await this.#engine.updateGoal({ id: this.scope.goal_id, status: this.#status, context });
      } catch (error) {
        this.#dirty = !refused(error);
        this.#log.warn(`state-engine: the delivery of a result is not recorded: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS).unref());
      }
    }
  }
}
