import { StateApi } from "./api.js";
import { type RunToolCall, type RunToolOptions, runTool, type ToolContext } from "./run-tool.js";

/** The engine's client: the state API, and tool calls that take effect once. */
export class StateEngineClient extends StateApi {
  /**
   * Runs `fn` at most once for this call over all callers and processes; each of them gets what was
   * recorded of it. A process that dies in `fn`, or an `fn` that throws, leaves the call in doubt,
   * and nobody runs it again until that is settled.
   *
   * @throws {InDoubtError} It may have taken effect.
   * @throws {ToolFailedError} It ran and reported a failure.
   * @throws {NotExecutedError} It had no effect; the next call runs it.
   * @throws {InProgressError} Another caller still runs it after `waitMs`.
   */
  runTool<T>(
    call: RunToolCall,
    fn: (context: ToolContext) => T | Promise<T>,
    options: RunToolOptions = {},
  ): Promise<T> {
    return runTool(this, call, fn, options);
  }
}
