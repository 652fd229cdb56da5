// Generated from the engine's own types by `cargo xtask gen`: do not edit.

/** A JSON object. */
export type JsonObject = { [key in string]: unknown };

/** Any JSON. The engine keeps its text; JavaScript rounds numbers of more than 15 digits. */
export type Json = unknown;

/** A point in time: RFC 3339, UTC, with microseconds. */
export type Timestamp = string;

/**
 * Where a session is in its life; `active` and `paused` ones take proxied calls.
 */
export type SessionStatus = "active" | "paused" | "completed" | "failed" | "abandoned";

/**
 * Where a goal is in its life.
 */
export type GoalStatus = "pending" | "in_progress" | "completed" | "failed" | "cancelled";

/**
 * How urgent a goal is; the stored number sorts.
 */
export type Priority = "low" | "medium" | "high" | "critical";

/**
 * The state of an execution as the wire tells it (docs/SEMANTICS.md, "States").
 */
export type ExecutionStatus = "pending" | "running" | "completed" | "failed" | "cancelled" | "in_doubt";

/**
 * Which door an execution came by.
 */
export type Origin = "api" | "proxy";

/**
 * What repeating a call would do, as far as rules and its method tell.
 */
export type EffectClass = "once" | "idempotent" | "keyed";

/**
 * What is known of an attempt, or of an execution over all its attempts. Ordered: the more
 * certain an effect, the greater, so that the join of two attempts is their maximum.
 */
export type Outcome = "not_executed" | "unknown" | "executed";

/**
 * How long a memory is meant to last.
 */
export type MemoryType = "short_term" | "long_term";

/**
 * How much a memory matters.
 */
export type Importance = "low" | "medium" | "high" | "critical";

/**
 * What kind of place a channel is.
 */
export type ChannelType = "chat" | "email" | "calendar" | "voice" | "webhook" | "custom";

/**
 * Whether a channel is in use.
 */
export type ChannelStatus = "active" | "paused" | "inactive";

/**
 * Whom executions, sessions and memories belong to; no key, result or record crosses users.
 */
export type User = {
  id: string,
  username: string,
  display_name: string | null,
  email: string | null,
  metadata: JsonObject,
  active: boolean,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * One run of work by an agent for a user, over restarts.
 */
export type Session = {
  id: string,
  user_id: string,
  channel_id: string | null,
  status: SessionStatus,
  /**
   * As stored, with the session's name (if it has one) shown as the member `name`.
   */
  metadata: JsonObject,
  context: JsonObject,
  last_activity_at: Timestamp,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * What a session is meant to reach; executions belong to goals.
 */
export type Goal = {
  id: string,
  user_id: string,
  session_id: string,
  parent_goal_id: string | null,
  title: string,
  description: string | null,
  status: GoalStatus,
  priority: Priority,
  context: JsonObject,
  result: Json | null,
  started_at: Timestamp | null,
  completed_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * One logical effect on the world: a tool call that is meant to happen once.
 */
export type ToolExecution = {
  id: string,
  goal_id: string,
  session_id: string,
  user_id: string,
  tool_name: string,
  tool_input: Json,
  status: ExecutionStatus,
  output: Json | null,
  error: string | null,
  idempotency_key: string | null,
  started_at: Timestamp | null,
  completed_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
  /**
   * The number of the newest dispatch, from 1; 0 while it was never leased.
   */
  attempt: number,
  /**
   * What is known of it, once it is terminal or in doubt.
   */
  outcome: Outcome | null,
  origin: Origin,
  effect: EffectClass,
  /**
   * It was claimed under a lease at least once: only the lease methods change it.
   */
  leased: boolean,
  /**
   * Which rule decided that and how it is guarded; null for the API.
   */
  rule: string | null,
};

/**
 * A text that an agent keeps about its user.
 */
export type Memory = {
  id: string,
  user_id: string,
  memory_type: MemoryType,
  importance: Importance,
  content: string,
  /**
   * An array of numbers, as its text.
   */
  embedding: number[] | null,
  source_session_id: string | null,
  source_tool_execution_id: string | null,
  tags: Array<string>,
  expires_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * Where a user talks to an agent.
 */
export type Channel = {
  id: string,
  user_id: string,
  channel_type: ChannelType,
  channel_name: string,
  channel_identifier: string,
  status: ChannelStatus,
  metadata: JsonObject,
  config: JsonObject,
  last_message_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * A page of a list, with the cursor of the next page while there is one.
 */
export type Page<T> = {
  /**
   * The rows of this page.
   */
  items: Array<T>,
  /**
   * Pass it back to get the next page; null on the last one.
   */
  next: string | null,
};

/**
 * One row of the append-only log: who changed what, when, by which rule and why.
 */
export type Event = {
  /**
   * Its number; without gaps.
   */
  seq: number,
  at: Timestamp,
  /**
   * `claimed`, `finished`, `verdict`, `boot`, … (docs/TRANSACTIONS.md lists them).
   */
  kind: string,
  execution_id: string | null,
  session_id: string | null,
  attempt: number | null,
  /**
   * Who did it: `proxy`, `api`, `engine`, `operator`.
   */
  actor: string,
  /**
   * What else is known of it; digests stand for bodies.
   */
  detail: Json,
  /**
   * SHA-256 over this row and the hash before it, in hex.
   */
  hash: string,
  /**
   * The hash of the row before it, in hex; `None` where there is none, or it was pruned.
   */
  previous: string | null,
};

/**
 * Counts over the whole store, each taken at one moment of its own.
 */
export type Stats = {
  users: number,
  sessions: {
  [key in string]: number },
  goals: number,
  /**
   * By status.
   */
  executions: {
  [key in string]: number },
  /**
   * Duplicates that were stopped, as far as they are written.
   */
  duplicates: number,
  memories: number,
  channels: number,
  events: number,
  /**
   * Calls by decision since this process started (`executed`, `replayed`, …).
   */
  decisions: {
  [key in string]: number },
  database_bytes: number,
  wal_bytes: number,
};

/**
 * The execution, with the fields that v0.1 did not have.
 */
export type ExecutedTool = {
  duplicate: boolean,
  input_mismatch: boolean,
  claim?: Claim,
  lease?: string,
  reason?: BusyReason,
  id: string,
  goal_id: string,
  session_id: string,
  user_id: string,
  tool_name: string,
  tool_input: Json,
  status: ExecutionStatus,
  output: Json | null,
  error: string | null,
  idempotency_key: string | null,
  started_at: Timestamp | null,
  completed_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
  /**
   * The number of the newest dispatch, from 1; 0 while it was never leased.
   */
  attempt: number,
  /**
   * What is known of it, once it is terminal or in doubt.
   */
  outcome: Outcome | null,
  origin: Origin,
  effect: EffectClass,
  /**
   * It was claimed under a lease at least once: only the lease methods change it.
   */
  leased: boolean,
  /**
   * Which rule decided that and how it is guarded; null for the API.
   */
  rule: string | null,
};

/**
 * A session with counts of what it did.
 */
export type SessionSummary = {
  id: string,
  user_id: string,
  username: string,
  name: string | null,
  status: SessionStatus,
  /**
   * The title of its newest goal, cut at 200 characters.
   */
  latest_goal: string | null,
  /**
   * By status.
   */
  goals: {
  [key in string]: number },
  /**
   * By status.
   */
  executions: {
  [key in string]: number },
  /**
   * How many duplicates of its executions were stopped.
   */
  duplicates: number,
  last_activity_at: Timestamp,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * An execution without what was sent and answered.
 */
export type ExecutionSummary = {
  id: string,
  goal_id: string,
  session_id: string,
  user_id: string,
  tool_name: string,
  status: ExecutionStatus,
  attempt: number,
  outcome: Outcome | null,
  origin: Origin,
  effect: EffectClass,
  rule: string | null,
  idempotency_key: string | null,
  /**
   * Cut at 300 characters.
   */
  error: string | null,
  /**
   * What was asked: method and URL of a proxied call, else the beginning of the input.
   */
  preview: string,
  /**
   * The status that the upstream answered with.
   */
  answer_status: number | null,
  /**
   * What was seen last of the newest attempt.
   */
  last_event: string | null,
  duplicates: number,
  /**
   * When duplicates came, oldest first: at most 64 of them.
   */
  duplicate_times: Array<Timestamp>,
  started_at: Timestamp | null,
  /**
   * When the newest attempt's first byte went out; known of a proxied one that is over.
   */
  sent_at: Timestamp | null,
  first_byte_at: Timestamp | null,
  completed_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
};

/**
 * A text that may be long, as much of it as was asked for.
 */
export type Excerpt = {
  /**
   * `None` where only digest and size are kept, or it is no text.
   */
  text: string | null,
  /**
   * It is JSON, written as it came.
   */
  json: boolean,
  /**
   * `text` is only its beginning.
   */
  cut: boolean,
  /**
   * Of the whole, in bytes.
   */
  size: number,
  /**
   * Of the whole, in hex, where it is stored.
   */
  sha256: string | null,
};

/**
 * What a proxied call asked, as it is kept: secrets are masked.
 */
export type RequestDetail = {
  method: string,
  url: string,
  headers: Json,
  body: Excerpt | null,
};

/**
 * What an upstream answered.
 */
export type AnswerDetail = {
  status: number,
  /**
   * As they came, in order; `Set-Cookie` is never kept.
   */
  headers: Array<[string,
  string]>,
  trailers: Array<[string,
  string]>,
  /**
   * It had `Set-Cookie`.
   */
  cookies_omitted: boolean,
  received_at: Timestamp,
  body: Excerpt,
};

/**
 * One execution with everything that is kept of it.
 */
export type ExecutionDetail = {
  username: string,
  session_name: string | null,
  goal_title: string,
  /**
   * Duplicates by how they were answered, of the newest 100 events that tell of them.
   */
  answered: {
  [key in string]: number },
  /**
   * Of a proxied execution.
   */
  request: RequestDetail | null,
  answer: AnswerDetail | null,
  /**
   * Of an execution by the API.
   */
  input: Excerpt | null,
  output: Excerpt | null,
  /**
   * Its oldest 500 events.
   */
  events: Array<Event>,
  id: string,
  goal_id: string,
  session_id: string,
  user_id: string,
  tool_name: string,
  status: ExecutionStatus,
  attempt: number,
  outcome: Outcome | null,
  origin: Origin,
  effect: EffectClass,
  rule: string | null,
  idempotency_key: string | null,
  /**
   * Cut at 300 characters.
   */
  error: string | null,
  /**
   * What was asked: method and URL of a proxied call, else the beginning of the input.
   */
  preview: string,
  /**
   * The status that the upstream answered with.
   */
  answer_status: number | null,
  /**
   * What was seen last of the newest attempt.
   */
  last_event: string | null,
  duplicates: number,
  /**
   * When duplicates came, oldest first: at most 64 of them.
   */
  duplicate_times: Array<Timestamp>,
  started_at: Timestamp | null,
  /**
   * When the newest attempt's first byte went out; known of a proxied one that is over.
   */
  sent_at: Timestamp | null,
  first_byte_at: Timestamp | null,
  completed_at: Timestamp | null,
  created_at: Timestamp,
  updated_at: Timestamp,
};

export type MinuteCounts = {
  at: Timestamp,
  /**
   * Tool calls, including duplicates.
   */
  calls: number,
  /**
   * Calls that were answered without running the tool.
   */
  duplicates: number,
};

/**
 * The time of proxied calls that reached their tool, without the time of the tool.
 */
export type Overhead = {
  calls: number,
  /**
   * Upper bounds of the buckets, in seconds; null without calls.
   */
  p50_seconds: number | null,
  p99_seconds: number | null,
};

/**
 * The last hour.
 */
export type Activity = {
  /**
   * Minutes in which something happened, oldest first.
   */
  minutes: Array<MinuteCounts>,
  overhead: Overhead,
  /**
   * Proxied calls since the start, by decision.
   */
  decisions: {
  [key in string]: number },
};

export type Claim = "execute" | "replay" | "busy" | "in_doubt";

export type BusyReason = "leased" | "unleased";

export type Verdict = "executed" | "not_executed";

export type OnMismatch = "return" | "error";

export type ExecutionPage = Page<ToolExecution>;

export type SessionSummaryPage = Page<SessionSummary>;

export type ExecutionSummaryPage = Page<ExecutionSummary>;

/** Params and result of each method. */
export interface Methods {
  /** Creates a user; a second one with the same username is a CONFLICT. */
  "create_user": {
    params: {
      username: string;
      display_name?: string | null;
      email?: string | null;
    };
    result: User;
  };
  /** A user by id. */
  "get_user": {
    params: {
      id: string;
    };
    result: User;
  };
  /** The user of that name, or null. */
  "find_user": {
    params: {
      username: string;
    };
    result: User | null;
  };
  /** Starts a session. Proxied calls find it by its name. */
  "create_session": {
    params: {
      user_id: string;
      channel_id?: string | null;
      name?: string | null;
    };
    result: Session;
  };
  /** A session by id. */
  "get_session": {
    params: {
      id: string;
    };
    result: Session;
  };
  /** The user's active session with the latest activity. */
  "get_active_session": {
    params: {
      user_id: string;
    };
    result: Session | null;
  };
  /** Sessions, newest first; without a user, of all users. */
  "list_sessions": {
    params: {
      user_id?: string | null;
    };
    result: Array<Session>;
  };
  /** Updates the changed members of a session. */
  "update_session": {
    params: {
      session: Session;
      if_updated_at?: string | null;
    };
    result: null;
  };
  /** Creates a goal of a session. */
  "create_goal": {
    params: {
      user_id: string;
      session_id: string;
      title: string;
      description?: string | null;
    };
    result: Goal;
  };
  /** A goal by id. */
  "get_goal": {
    params: {
      id: string;
    };
    result: Goal;
  };
  /** Updates the changed members of a goal. */
  "update_goal": {
    params: {
      goal: Goal;
      if_updated_at?: string | null;
    };
    result: null;
  };
  /** Goals that are pending or in progress: critical ones first, then the oldest. */
  "list_pending_goals": {
    params: {
      session_id: string;
    };
    result: Array<Goal>;
  };
  /** All goals of a session. */
  "list_goals": {
    params: {
      session_id: string;
    };
    result: Array<Goal>;
  };
  /** Records a tool call without a key. */
  "create_tool_execution": {
    params: {
      user_id: string;
      session_id: string;
      goal_id: string;
      tool_name: string;
      tool_input: unknown;
    };
    result: ToolExecution;
  };
  /** The execution that holds the key, new or existing; lease: true also says who may run it. */
  "execute_tool_idempotent": {
    params: {
      user_id: string;
      session_id: string;
      goal_id: string;
      tool_name: string;
      tool_input: unknown;
      idempotency_key?: string | null;
      lease?: boolean | null;
      lease_ms?: number | null;
      wait_ms?: number | null;
      claim_id?: string | null;
      on_mismatch?: OnMismatch | null;
    };
    result: ExecutedTool;
  };
  /** An execution by id. */
  "get_tool_execution": {
    params: {
      id: string;
    };
    result: ToolExecution;
  };
  /** The current holder of a key; a CONFLICT if several users or namespaces hold it. */
  "find_by_idempotency_key": {
    params: {
      key: string;
      user_id?: string | null;
    };
    result: ToolExecution | null;
  };
  /** Updates the changed members of an execution that was never leased. */
  "update_tool_execution": {
    params: {
      execution: ToolExecution;
      if_updated_at?: string | null;
    };
    result: null;
  };
  /** The executions of a goal, oldest first. */
  "list_tool_executions": {
    params: {
      goal_id: string;
    };
    result: Array<ToolExecution>;
  };
  /** Records the outcome of a leased execution. May be repeated. */
  "finish_tool_execution": {
    params: {
      lease: string;
      outcome: Outcome;
      output?: unknown | null;
      error?: string | null;
    };
    result: ToolExecution;
  };
  /** Extends a lease, or revives an unsettled execution that is in doubt at that attempt. */
  "extend_lease": {
    params: {
      lease: string;
      lease_ms?: number | null;
    };
    result: ToolExecution;
  };
  /** Settles an execution that is in doubt at that attempt; STALE otherwise. */
  "resolve_tool_execution": {
    params: {
      id: string;
      attempt: number;
      verdict: Verdict;
      evidence: string;
      output?: unknown | null;
    };
    result: ToolExecution;
  };
  /** Waits until an execution is over or in doubt; after the timeout, returns it as it is. */
  "await_tool_execution": {
    params: {
      id: string;
      timeout_ms: number;
    };
    result: ToolExecution;
  };
  /** The executions of a session, oldest first; after: the id of the last one seen. */
  "list_session_executions": {
    params: {
      session_id: string;
      limit?: number | null;
      after?: string | null;
    };
    result: Array<ToolExecution>;
  };
  /** Executions by filter, newest first, page by page. */
  "list_executions": {
    params: {
      user_id?: string | null;
      session_id?: string | null;
      goal_id?: string | null;
      status?: ExecutionStatus | null;
      tool_name?: string | null;
      origin?: Origin | null;
      after?: string | null;
      before?: string | null;
      limit?: number | null;
      cursor?: string | null;
    };
    result: ExecutionPage;
  };
  /** Creates a memory: a text about a user. */
  "create_memory": {
    params: {
      user_id: string;
      content: string;
      importance?: Importance | null;
      tags?: Array<string> | null;
    };
    result: Memory;
  };
  /** A memory by id. */
  "get_memory": {
    params: {
      id: string;
    };
    result: Memory;
  };
  /** Updates the changed members of a memory. */
  "update_memory": {
    params: {
      memory: Memory;
      if_updated_at?: string | null;
    };
    result: null;
  };
  /** Memories of a user, newest first; 50 unless limit says otherwise. */
  "list_memories": {
    params: {
      user_id: string;
      limit?: number | null;
    };
    result: Array<Memory>;
  };
  /** Creates a channel of a user. */
  "create_channel": {
    params: {
      user_id: string;
      channel_type: ChannelType;
      channel_name: string;
      channel_identifier: string;
    };
    result: Channel;
  };
  /** A channel by id. */
  "get_channel": {
    params: {
      id: string;
    };
    result: Channel;
  };
  /** Updates the changed members of a channel. */
  "update_channel": {
    params: {
      channel: Channel;
      if_updated_at?: string | null;
    };
    result: null;
  };
  /** Channels of a user, newest first. */
  "list_channels": {
    params: {
      user_id: string;
    };
    result: Array<Channel>;
  };
  /** The audit log, oldest first; after: the number of the last event seen. */
  "list_events": {
    params: {
      execution_id?: string | null;
      session_id?: string | null;
      after?: number | null;
      limit?: number | null;
    };
    result: Array<Event>;
  };
  /** Sessions with counts of what they did, the latest activity first, page by page. */
  "list_session_summaries": {
    params: {
      user_id?: string | null;
      status?: SessionStatus | null;
      text?: string | null;
      limit?: number | null;
      cursor?: string | null;
    };
    result: SessionSummaryPage;
  };
  /** One session with its counts. */
  "get_session_summary": {
    params: {
      id: string;
    };
    result: SessionSummary;
  };
  /** Executions without bodies, newest first. A short page may still have a cursor. */
  "search_executions": {
    params: {
      user_id?: string | null;
      session_id?: string | null;
      goal_id?: string | null;
      status?: ExecutionStatus | null;
      origin?: Origin | null;
      tool?: string | null;
      text?: string | null;
      duplicated?: boolean | null;
      after?: string | null;
      before?: string | null;
      limit?: number | null;
      cursor?: string | null;
    };
    result: ExecutionSummaryPage;
  };
  /** Everything stored about an execution, with its events; texts up to text_bytes (65,536). */
  "get_execution_detail": {
    params: {
      id: string;
      text_bytes?: number | null;
    };
    result: ExecutionDetail;
  };
  /** Tool calls of the last hour, per minute. */
  "get_activity": {
    params: Record<string, never>;
    result: Activity;
  };
  /** Counts over the whole store. */
  "get_stats": {
    params: Record<string, never>;
    result: Stats;
  };
  /** This document. */
  "rpc.discover": {
    params: Record<string, never>;
    result: JsonObject;
  };
}
