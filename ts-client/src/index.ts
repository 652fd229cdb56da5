export { StateEngineClient } from "./client.js";
export {
  ConnectionError,
  InDoubtError,
  InProgressError,
  isStateEngineError,
  NotExecutedError,
  RpcError,
  StateEngineError,
  ToolFailedError,
  UnrecordedError,
} from "./errors.js";
export type { ErrorFacts, ToolRan } from "./errors.js";
export { assertJson } from "./json.js";
export type { ExecuteOptions, ExecutionFilter, UpdateOptions } from "./options.js";
export type { RunToolCall, RunToolOptions, ToolContext } from "./run-tool.js";
export type { CallOptions, ClientOptions } from "./transport.js";
export type {
  Activity,
  BusyReason,
  Channel,
  ChannelStatus,
  ChannelType,
  Claim,
  ComparedExecution,
  ComparedPart,
  EffectClass,
  Event as AuditEvent,
  ExecutedTool,
  ExecutionDetail,
  ExecutionPage,
  ExecutionStatus,
  ExecutionSummary,
  Goal,
  GoalStatus,
  Importance,
  JsonObject,
  Memory,
  MemoryType,
  Methods,
  OnMismatch,
  Origin,
  Outcome,
  Page,
  Priority,
  Session,
  SessionStatus,
  SessionSummary,
  Stats,
  Timestamp,
  ToolExecution,
  User,
  Verdict,
} from "./wire.js";
export { wrapTools } from "./wrap-tools.js";
export type { ToolScope, WrappedCall } from "./wrap-tools.js";
