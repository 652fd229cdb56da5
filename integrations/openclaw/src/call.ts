import { type Engine, KEEP_EVERY_MS, refused } from "./engine.ts";
import type { Known } from "./goal.ts";
import type { Logger, ToolResult } from "./host.ts";
import { kept, statusOf, textOf } from "./results.ts";

const MAX_ERROR = 1_000;
const AGAIN_MS = 5_000;
/** How long a tool that was cancelled has to say how it ended. */
const GRACE_MS = 5_000;

/** How a tool call ended, as the host tells it. */
export interface Ending {
  result: ToolResult;
  isError: boolean;
}

/** A call that this process may run: its lease, kept until its outcome is recorded. */
export class Call {
  readonly known: Known;
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #lease: string;
  readonly #signal: AbortSignal | undefined;
  readonly #keeper: NodeJS.Timeout;
  /** Set from the moment that its ending was told. */
  finishing: Promise<void> | undefined;

  constructor(engine: Engine, log: Logger, known: Known, lease: string, signal: AbortSignal | undefined) {
    this.#engine = engine;
    this.#log = log;
    this.known = known;
    this.#lease = lease;
    this.#signal = signal;
    this.#keeper = setInterval(() => void this.#keep(), KEEP_EVERY_MS).unref();
    const onAbort = () => void setTimeout(() => this.#letGo(), GRACE_MS).unref();
    signal?.addEventListener("abort", onAbort, { once: true });
  }

  /** Nobody may ever tell how a cancelled call ended: its lease runs out, and it is in doubt. Should its
   * ending be told after all, it is recorded. */
  #letGo(): void {
    if (this.finishing) return;
    clearInterval(this.#keeper);
    this.known.live = false;
  }

  /** Records how it ended. The first ending counts; others wait for it to be recorded. Returns after a
   * while even where the engine does not answer: it is then recorded later, from the background. */
  finish(ending: Ending): Promise<void> {
    this.finishing ??= this.#finish(ending);
    return this.finishing;
  }

  async #finish({ result, isError }: Ending): Promise<void> {
    const status = statusOf(result);
    const output = kept(result, isError);
    const failed = isError || status === "error" || status === "failed";
    this.known.failed = failed;
    if (status === "blocked" || status === "skipped") {
      return this.#record(() => this.#engine.finish(this.#lease, "not_executed", { error: status }));
    }
    if (!failed) return this.#record(() => this.#engine.finish(this.#lease, "executed", { output }));
    const error = textOf(output).slice(0, MAX_ERROR) || "error";
    // A tool that was cut off may have acted before.
    const outcome = this.#signal?.aborted ? "unknown" : "executed";
    return this.#record(() => this.#engine.finish(this.#lease, outcome, { output, error }));
  }

  async #record(finish: () => Promise<unknown>): Promise<void> {
    if (await this.#tried(finish)) return;
    void this.#insist(finish);
  }

  async #insist(finish: () => Promise<unknown>): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
    } while (!(await this.#tried(finish)));
  }

  /** Whether it need not be tried again: the engine has it, or has its own word on it. */
  async #tried(finish: () => Promise<unknown>): Promise<boolean> {
    try {
      await finish();
    } catch (error) {
      const { executionId } = this.known;
      this.#log.warn(`state-engine: the outcome of execution ${executionId} is not recorded: ${String(error)}`);
      if (!refused(error)) return false;
    }
    clearInterval(this.#keeper);
    this.known.live = false;
    return true;
  }

  async #keep(): Promise<void> {
    try {
      await this.#engine.keep(this.#lease);
    } catch (error) {
      // Settled by a person meanwhile, or over.
      if (refused(error)) clearInterval(this.#keeper);
    }
  }
}
