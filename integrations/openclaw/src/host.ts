/** The types of OpenClaw's plugin API (2026.9.6) that this plugin uses. The package itself is not imported,
 * so the built file has no dependencies and its tests need no gateway. */

export interface ToolCallContext {
  agentId?: string;
  sessionKey?: string;
  sessionId?: string;
  runId?: string;
  /** Aborts when the tool call is cancelled. */
  abortSignal?: AbortSignal;
}

export interface BeforeToolCall {
  toolName: string;
  params: Record<string, unknown>;
  runId?: string;
  toolCallId?: string;
}

export interface BeforeToolCallResult {
  block: true;
  /** The model gets it as the tool's output. */
  blockReason: string;
}

export interface ToolResult {
  content: unknown[];
  details?: unknown;
}

export interface AfterToolCall extends BeforeToolCall {
  result?: unknown;
  error?: string;
}

export interface MiddlewareEvent {
  toolCallId: string;
  toolName: string;
  isError?: boolean;
  result: ToolResult;
}

export interface ToolResultMessage {
  role: string;
  toolCallId?: string;
  content: unknown[];
  details?: unknown;
  isError?: boolean;
}

export interface PersistEvent {
  toolName?: string;
  toolCallId?: string;
  message: ToolResultMessage;
  /** Whether the host created it in place of a lost result. */
  isSynthetic?: boolean;
}

export interface PromptContext extends ToolCallContext {
  inputProvenance?: { kind?: string; sourceTool?: string };
}

export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

interface Hooks {
  before_tool_call(
    event: BeforeToolCall,
    context: ToolCallContext,
  ): Promise<BeforeToolCallResult | undefined>;
  after_tool_call(event: AfterToolCall, context: ToolCallContext): Promise<void>;
  /** Synchronous: a promise would be ignored. */
  tool_result_persist(event: PersistEvent, context: ToolCallContext): { message: ToolResultMessage } | undefined;
  before_prompt_build(
    event: unknown,
    context: PromptContext,
  ): Promise<{ prependContext: string } | undefined>;
  agent_end(event: { runId?: string }, context: ToolCallContext): Promise<void>;
}

export interface PluginApi {
  pluginConfig?: unknown;
  config?: unknown;
  logger: Logger;
  on<K extends keyof Hooks>(
    hook: K,
    handler: Hooks[K],
    options?: { priority?: number; timeoutMs?: number },
  ): void;
  registerAgentToolResultMiddleware(
    handler: (event: MiddlewareEvent, context: ToolCallContext) => Promise<{ result: ToolResult } | undefined>,
    options: { runtimes: string[] },
  ): void;
}
