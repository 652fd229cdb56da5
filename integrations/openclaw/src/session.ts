import type { Engine, Scope } from "./engine.ts";
import { type KnownCall, keyOf, TurnGoal } from "./goal.ts";
import type { Logger } from "./host.ts";
import type { Policy } from "./policy.ts";

/** Used in place of a run's id for calls between the agent's turns. They do not end a turn. */
export const NO_RUN = "none";

/** A session of an agent: its turns, and the latest of each call that a later one could repeat. */
export class Session {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #scope: Omit<Scope, "goal_id">;
  readonly #turns = new Map<string, Promise<TurnGoal>>();
  readonly #known = new Map<string, KnownCall>();
  #open: TurnGoal[] = [];
  /** Turns that earlier processes left open. The first run resumes them. */
  #interrupted: TurnGoal[] = [];

  private constructor(engine: Engine, log: Logger, scope: Omit<Scope, "goal_id">) {
    this.#engine = engine;
    this.#log = log;
    this.#scope = scope;
  }

  /** Reads a session with the turns that earlier processes left open. */
  static async read(engine: Engine, log: Logger, scope: Omit<Scope, "goal_id">): Promise<Session> {
    const session = new Session(engine, log, scope);
    for (const goal of await engine.pendingGoals(scope.session_id)) {
      const turn = await TurnGoal.read(engine, log, scope, goal);
      session.#open.push(turn);
      session.#interrupted.push(turn);
      for (const call of turn.calls) session.#put(call);
    }
    return session;
  }

  /** Whether no call of the session is running, so that it can be dropped and read again later. */
  get idle(): boolean {
    return [...this.#known.values()].every((call) => !call.live);
  }

  /** The turn of a run. The first call of a run creates it, and closes earlier turns that are settled. */
  turn(runId: string): Promise<TurnGoal> {
    const known = this.#turns.get(runId);
    if (known) return known;
    const turn = this.#begin(runId).catch((error: unknown) => {
      this.#turns.delete(runId);
      throw error;
    });
    this.#turns.set(runId, turn);
    return turn;
  }

  async #begin(runId: string): Promise<TurnGoal> {
    const { user_id, session_id } = this.#scope;
    if (runId !== NO_RUN) {
      this.#closeSettled();
      for (const turn of this.#interrupted.splice(0)) turn.resumeBy(runId);
    }
    const title = runId === NO_RUN ? "OpenClaw: calls outside a run" : `OpenClaw turn ${runId}`;
    const goal = await this.#engine.createGoal(user_id, session_id, title);
    const turn = new TurnGoal(this.#engine, this.#log, { ...this.#scope, goal_id: goal.id }, runId);
    this.#open.push(turn);
    return turn;
  }

  #closeSettled(): void {
    const settled = this.#open.filter((turn) => turn.settled);
    this.#open = this.#open.filter((turn) => !turn.settled);
    for (const turn of settled) this.#close(turn);
  }

  #close(turn: TurnGoal): void {
    turn.close();
    this.#turns.delete(turn.runId);
    for (const call of turn.calls) {
      if (this.#known.get(call.base) === call) this.#known.delete(call.base);
    }
  }

  /** A run has ended. Its goal is closed, unless one of its results was not delivered. */
  async end(runId: string): Promise<void> {
    const turn = await this.#turns.get(runId);
    if (!turn?.settled) return;
    this.#open = this.#open.filter((one) => one !== turn);
    this.#close(turn);
    await turn.saved();
  }

  /** The execution that a call refers to: an earlier one, or a new one. */
  choose(base: string, turn: TurnGoal, policy: Policy): KnownCall {
    const known = this.#known.get(base);
    if (known === undefined) return this.#next(base, turn, policy, 1);
    if (known.live || !known.delivered) return known;
    const sameRun = known.runId === turn.runId && turn.runId !== NO_RUN;
    if (!known.failed && (policy === "session" || (policy === "run" && sameRun))) return known;
    const counted = policy === "session" || known.goal === turn;
    return this.#next(base, turn, policy, counted ? known.n + 1 : 1);
  }

  #next(base: string, turn: TurnGoal, policy: Policy, n: number): KnownCall {
    const scopeId = policy === "session" ? this.#scope.session_id : turn.scope.goal_id;
    const key = keyOf(scopeId, base, n);
    const { runId } = turn;
    const call = { base, n, key, goal: turn, runId, live: false, delivered: false, failed: false };
    turn.calls.push(call);
    this.#put(call);
    return call;
  }

  /** The latest call counts. But one with an undelivered result goes before one with a delivered result. */
  #put(call: KnownCall): void {
    const present = this.#known.get(call.base);
    if (present && !present.delivered && call.delivered) return;
    this.#known.set(call.base, call);
  }

  /** Calls of earlier turns whose results did not reach the model. */
  undelivered(): KnownCall[] {
    return this.#open.flatMap((turn) => turn.calls.filter((call) => !call.delivered && !call.live));
  }
}
