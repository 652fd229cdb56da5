import type { Engine, Place } from "./engine.ts";
import { type Known, keyOf, TurnGoal } from "./goal.ts";
import type { Logger } from "./host.ts";
import type { Policy } from "./policy.ts";

/** In place of a run's id: calls that come between the turns of the agent, and end none of them. */
export const NO_RUN = "none";

/** A session of an agent: its turns, and the newest of each call that a later one could repeat. */
export class Session {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #place: Omit<Place, "goal_id">;
  readonly #turns = new Map<string, Promise<TurnGoal>>();
  readonly #known = new Map<string, Known>();
  #open: TurnGoal[] = [];
  /** What earlier processes left open; the first run resumes it. */
  #interrupted: TurnGoal[] = [];

  private constructor(engine: Engine, log: Logger, place: Omit<Place, "goal_id">) {
    this.#engine = engine;
    this.#log = log;
    this.#place = place;
  }

  /** With what earlier processes left open in it. */
  static async read(engine: Engine, log: Logger, place: Omit<Place, "goal_id">): Promise<Session> {
    const session = new Session(engine, log, place);
    for (const goal of await engine.pendingGoals(place.session_id)) {
      const turn = await TurnGoal.read(engine, log, place, goal);
      session.#open.push(turn);
      session.#interrupted.push(turn);
      for (const call of turn.calls) session.#put(call);
    }
    return session;
  }

  /** Nothing in it is under way, so that it may be forgotten and read again. */
  get idle(): boolean {
    return [...this.#known.values()].every((call) => !call.live);
  }

  /** The goal of the run; made at its first call. Earlier turns that are settled are closed then. */
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
    const { user_id, session_id } = this.#place;
    if (runId !== NO_RUN) {
      this.#closeSettled();
      for (const turn of this.#interrupted.splice(0)) turn.resumeBy(runId);
    }
    const title = runId === NO_RUN ? "OpenClaw: calls outside of a run" : `OpenClaw turn ${runId}`;
    const goal = await this.#engine.createGoal(user_id, session_id, title);
    const turn = new TurnGoal(this.#engine, this.#log, { ...this.#place, goal_id: goal.id }, runId);
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

  /** A run is over: its goal is closed, unless a result of it did not arrive. */
  async end(runId: string): Promise<void> {
    const turn = await this.#turns.get(runId);
    if (!turn?.settled) return;
    this.#open = this.#open.filter((one) => one !== turn);
    this.#close(turn);
    await turn.saved();
  }

  /** Which execution a call means: one that was asked for before, or the next one. */
  choose(base: string, turn: TurnGoal, policy: Policy): Known {
    const known = this.#known.get(base);
    if (known === undefined) return this.#next(base, turn, policy, 1);
    if (known.live || !known.delivered) return known;
    const sameRun = known.runId === turn.runId && turn.runId !== NO_RUN;
    if (!known.failed && (policy === "session" || (policy === "run" && sameRun))) return known;
    const counted = policy === "session" || known.goal === turn;
    return this.#next(base, turn, policy, counted ? known.n + 1 : 1);
  }

  #next(base: string, turn: TurnGoal, policy: Policy, n: number): Known {
    const scope = policy === "session" ? this.#place.session_id : turn.place.goal_id;
    const key = keyOf(scope, base, n);
    const { runId } = turn;
    const call = { base, n, key, goal: turn, runId, live: false, delivered: false, failed: false };
    turn.calls.push(call);
    this.#put(call);
    return call;
  }

  /** The newest counts; but one whose result did not arrive before one whose result did. */
  #put(call: Known): void {
    const present = this.#known.get(call.base);
    if (present && !present.delivered && call.delivered) return;
    this.#known.set(call.base, call);
  }

  /** Calls of earlier turns whose results did not reach the model. */
  undelivered(): Known[] {
    return this.#open.flatMap((turn) => turn.calls.filter((call) => !call.delivered && !call.live));
  }
}
