import type { Goal } from "@openclaw/ts-client";
import { type Engine, type Execution, type Place, refused } from "./engine.ts";
import type { Logger } from "./host.ts";

/** One guarded call, as the plugin remembers it. All of it can be read again from the engine. */
export interface Known {
  /** What tells it from other calls of the session: tool and parameters. */
  readonly base: string;
  /** Counts the times that it was meant, within a goal. */
  readonly n: number;
  readonly key: string;
  readonly goal: TurnGoal;
  /** The run that last asked for it. */
  runId: string;
  executionId?: string;
  /** It is being claimed or executed by this process. */
  live: boolean;
  /** Its result stands in the agent's transcript. */
  delivered: boolean;
  failed: boolean;
}

const KEY = /^openclaw:v1:[^:]+:([0-9a-f]{32}):([0-9]+)$/;

/** The key of the `n`th call that is meant in `scope`, a goal or a session. */
export function keyOf(scope: string, base: string, n: number): string {
  return `openclaw:v1:${scope}:${base}:${n}`;
}

const AGAIN_MS = 5_000;
const TRIES = 720;

/** A turn of the agent: a goal in the engine, and which of its results were delivered.
 *
 * The list of the delivered is the goal's context. It is written after the transcript: a crash between
 * the two leaves a call undelivered that was delivered, so that it is replayed once, never run twice. */
export class TurnGoal {
  readonly place: Place;
  readonly runId: string;
  readonly calls: Known[] = [];
  readonly #delivered: Set<string>;
  readonly #engine: Engine;
  readonly #log: Logger;
  #resumed: boolean;
  #status: "in_progress" | "completed" = "in_progress";
  #writing: Promise<void> | undefined;
  #dirty = false;

  constructor(engine: Engine, log: Logger, place: Place, runId: string, context: Record<string, unknown> = {}) {
    this.#engine = engine;
    this.#log = log;
    this.place = place;
    this.runId = runId;
    const { delivered, resumed } = context;
    this.#delivered = new Set(Array.isArray(delivered) ? delivered.map(String) : []);
    this.#resumed = resumed === true;
  }

  /** A turn that an earlier process left open, with its guarded calls. */
  static async read(engine: Engine, log: Logger, place: Omit<Place, "goal_id">, goal: Goal): Promise<TurnGoal> {
    const turn = new TurnGoal(engine, log, { ...place, goal_id: goal.id }, `before ${goal.id}`, goal.context);
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

  /** Nothing of it is open: every result there is was delivered. */
  get settled(): boolean {
    return this.calls.every((call) => !call.live && (call.delivered || call.executionId === undefined));
  }

  /** A run goes on where this turn was interrupted: its calls are that run's. Once, and not by a later run,
   * which means its calls anew. */
  resumeBy(runId: string): void {
    if (this.#resumed || this.settled) return;
    this.#resumed = true;
    for (const call of this.calls) call.runId = runId;
    this.#save();
  }

  deliver(call: Known): void {
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

  /** What was asked to be written is written, or given up. */
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
    for (let tries = 0; this.#dirty && tries < TRIES; tries += 1) {
      this.#dirty = false;
      const context = { delivered: [...this.#delivered], resumed: this.#resumed };
      try {
        await this.#engine.updateGoal({ id: this.place.goal_id, status: this.#status, context });
      } catch (error) {
        this.#dirty = !refused(error);
        this.#log.warn(`state-engine: a delivery is not recorded: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
      }
    }
  }
}
