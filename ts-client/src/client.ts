import { StateApi } from "./api.js";
import { type RunToolCall, type RunToolOptions, runTool, type ToolContext } from "./run-tool.js";

/** The client of the engine: the state API, and tool calls that take effect once. */
export class StateEngineClient extends StateApi {
  /**
   * Runs `fn` at most once for this call, across all callers and processes. Each caller gets the
   * recorded outcome. If the process dies in `fn`, or `fn` throws, the call is in doubt and does not run
   * again until someone settles it.
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
