import { type Engine, HEARTBEAT_MS, refused } from "./engine.ts";
import type { KnownCall } from "./goal.ts";
import type { Logger, ToolResult } from "./host.ts";
import { storedResult, statusOf, textOf } from "./results.ts";

const MAX_ERROR_CHARS = 1_000;
const RETRY_DELAY_MS = 5_000;
/** How long the host has to report the end of a cancelled tool. */
const GRACE_MS = 5_000;

/** How a tool call ended, as the host reports it. */
export interface Ending {
  result: ToolResult;
  isError: boolean;
}

/** A call that this process may run. Its lease is extended until its outcome is recorded. */
export class Call {
  readonly known: KnownCall;
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #lease: string;
  readonly #signal: AbortSignal | undefined;
  readonly #heartbeat: NodeJS.Timeout;
  /** Set as soon as the host has reported how the call ended. */
  finishing: Promise<void> | undefined;

  constructor(engine: Engine, log: Logger, known: KnownCall, lease: string, signal: AbortSignal | undefined) {
    this.#engine = engine;
    this.#log = log;
    this.known = known;
    this.#lease = lease;
    this.#signal = signal;
    this.#heartbeat = setInterval(() => void this.#extendLease(), HEARTBEAT_MS).unref();
    const onAbort = () => void setTimeout(() => this.#abandon(), GRACE_MS).unref();
    signal?.addEventListener("abort", onAbort, { once: true });
  }

  /** The host may never report how a cancelled call ended. Its lease then expires, and it is in doubt. If
   * the host reports the end later, it is still recorded. */
  #abandon(): void {
    if (this.finishing) return;
    clearInterval(this.#heartbeat);
    this.known.live = false;
  }

  /** Records how the call ended. Only the first ending counts; later ones wait until it is recorded. If
   * the engine does not answer, this returns after a while and the recording goes on in the background. */
  finish(ending: Ending): Promise<void> {
    this.finishing ??= this.#finish(ending);
    return this.finishing;
  }

  async #finish({ result, isError }: Ending): Promise<void> {
    const status = statusOf(result);
    const output = storedResult(result, isError);
    const failed = isError || status === "error" || status === "failed";
    this.known.failed = failed;
    if (status === "blocked" || status === "skipped") {
      return this.#record(() => this.#engine.finish(this.#lease, "not_executed", { error: status }));
    }
    if (!failed) return this.#record(() => this.#engine.finish(this.#lease, "executed", { output }));
    const error = textOf(output).slice(0, MAX_ERROR_CHARS) || "error";
    // A tool that was cancelled may have taken effect before.
    const outcome = this.#signal?.aborted ? "unknown" : "executed";
    return this.#record(() => this.#engine.finish(this.#lease, outcome, { output, error }));
  }

  async #record(finish: () => Promise<unknown>): Promise<void> {
    if (await this.#try(finish)) return;
    void this.#retry(finish);
  }

  async #retry(finish: () => Promise<unknown>): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS).unref());
    } while (!(await this.#try(finish)));
  }

  /** Whether nothing is left to try: the engine recorded the outcome, or refused it for good. */
  async #try(finish: () => Promise<unknown>): Promise<boolean> {
    try {
      await finish();
    } catch (error) {
      const { executionId } = this.known;
      this.#log.warn(`state-engine: the outcome of execution ${executionId} is not recorded: ${String(error)}`);
      if (!refused(error)) return false;
    }
    clearInterval(this.#heartbeat);
    this.known.live = false;
    return true;
  }

  async #extendLease(): Promise<void> {
    try {
      await this.#engine.extendLease(this.#lease);
    } catch (error) {
      // The call has ended, or a person has settled it.
      if (refused(error)) clearInterval(this.#heartbeat);
    }
  }
}
