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
 * The state of an execution on the wire (docs/SEMANTICS.md, "States").
 */
export type ExecutionStatus = "pending" | "running" | "completed" | "failed" | "cancelled" | "in_doubt";

/**
 * How an execution was submitted.
 */
export type Origin = "api" | "proxy";

/**
 * The effect of repeating a call, according to the rules and its method.
 */
export type EffectClass = "once" | "idempotent" | "keyed";

/**
 * What is known about an attempt, or about an execution over all its attempts. Ordered: the more
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
 * The owner of executions, sessions and memories. No key, result or record is shared between users.
 */
export type User = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The name; no two users have the same.
   */
  username: string,
  /**
   * The name to show.
   */
  display_name: string | null,
  /**
   * The address of the user.
   */
  email: string | null,
  /**
   * An object of the client's own.
   */
  metadata: JsonObject,
  /**
   * True; the engine does not change it.
   */
  active: boolean,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * One run of work by an agent for a user, over restarts.
 */
export type Session = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The channel that it came in by.
   */
  channel_id: string | null,
  /**
   * How far it is.
   */
  status: SessionStatus,
  /**
   * As stored, with the session's name (if it has one) shown as the member `name`.
   */
  metadata: JsonObject,
  /**
   * An object of the client's own.
   */
  context: JsonObject,
  /**
   * When it was last used.
   */
  last_activity_at: Timestamp,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * What a session is meant to achieve. Executions belong to goals.
 */
export type Goal = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The session that it belongs to.
   */
  session_id: string,
  /**
   * The goal that it is a part of; of the same session.
   */
  parent_goal_id: string | null,
  /**
   * What is to be reached, in a line.
   */
  title: string,
  /**
   * The same, at length.
   */
  description: string | null,
  /**
   * How far it is.
   */
  status: GoalStatus,
  /**
   * How urgent it is.
   */
  priority: Priority,
  /**
   * An object of the client's own.
   */
  context: JsonObject,
  /**
   * Its outcome.
   */
  result: Json | null,
  /**
   * When work on it started.
   */
  started_at: Timestamp | null,
  /**
   * When it ended.
   */
  completed_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * A tool call that is meant to take effect once.
 */
export type ToolExecution = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The goal that it belongs to.
   */
  goal_id: string,
  /**
   * The session that it belongs to.
   */
  session_id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The tool's name; of a proxied call the rule's name for it, or `METHOD host`.
   */
  tool_name: string,
  /**
   * The input; of a proxied call its method, URL, headers and body, secrets masked.
   */
  tool_input: Json,
  /**
   * Its state.
   */
  status: ExecutionStatus,
  /**
   * The result; of a proxied call the status, headers and body of the answer.
   */
  output: Json | null,
  /**
   * What went wrong.
   */
  error: string | null,
  /**
   * The key that it was claimed under.
   */
  idempotency_key: string | null,
  /**
   * When the newest attempt started.
   */
  started_at: Timestamp | null,
  /**
   * When it ended.
   */
  completed_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
  /**
   * The number of the newest attempt, from 1; 0 if it was never leased.
   */
  attempt: number,
  /**
   * What is known about its effect, once it is terminal or in doubt.
   */
  outcome: Outcome | null,
  /**
   * How it was submitted.
   */
  origin: Origin,
  /**
   * The effect of repeating it.
   */
  effect: EffectClass,
  /**
   * It was claimed under a lease at least once: only the lease methods change it.
   */
  leased: boolean,
  /**
   * The rule that decided this; null for API executions.
   */
  rule: string | null,
};

/**
 * A text that an agent keeps about its user.
 */
export type Memory = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * How long it is meant to last.
   */
  memory_type: MemoryType,
  /**
   * How much it matters.
   */
  importance: Importance,
  /**
   * The text.
   */
  content: string,
  /**
   * An array of numbers, as its text.
   */
  embedding: number[] | null,
  /**
   * The session that it comes from.
   */
  source_session_id: string | null,
  /**
   * The execution that it comes from.
   */
  source_tool_execution_id: string | null,
  /**
   * Words to find it by.
   */
  tags: Array<string>,
  /**
   * After this the client no longer counts on it; the engine drops nothing.
   */
  expires_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * A place where a user talks to an agent.
 */
export type Channel = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * What kind of place it is.
   */
  channel_type: ChannelType,
  /**
   * Its name, as people know it.
   */
  channel_name: string,
  /**
   * Its address, such as a telephone number or a chat id.
   */
  channel_identifier: string,
  /**
   * Whether it is in use.
   */
  status: ChannelStatus,
  /**
   * An object of the client's own.
   */
  metadata: JsonObject,
  /**
   * Settings of the client's own.
   */
  config: JsonObject,
  /**
   * When the last message passed.
   */
  last_message_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * A page of a list, with the cursor of the next page, if there is one.
 */
export type Page<T> = {
  /**
   * The rows of this page.
   */
  items: Array<T>,
  /**
   * The cursor of the next page; null on the last one.
   */
  next: string | null,
};

/**
 * One row of the append-only log: who changed what, when, under which rule and why.
 */
export type Event = {
  /**
   * Its number; without gaps.
   */
  seq: number,
  /**
   * When it happened.
   */
  at: Timestamp,
  /**
   * `claimed`, `finished`, `verdict`, `boot`, … (docs/TRANSACTIONS.md lists them).
   */
  kind: string,
  /**
   * The execution that it is about.
   */
  execution_id: string | null,
  /**
   * The session that it is about, or the execution's.
   */
  session_id: string | null,
  /**
   * The attempt that it is about.
   */
  attempt: number | null,
  /**
   * Who did it: `proxy`, `api`, `engine`, `operator`.
   */
  actor: string,
  /**
   * Details; digests stand for bodies.
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
 * Counts over the whole store. Each is read at its own moment.
 */
export type Stats = {
  /**
   * How many users there are.
   */
  users: number,
  /**
   * Sessions by status.
   */
  sessions: {
  [key in string]: number },
  /**
   * How many goals there are.
   */
  goals: number,
  /**
   * By status.
   */
  executions: {
  [key in string]: number },
  /**
   * Stopped duplicates, as far as they are written.
   */
  duplicates: number,
  /**
   * How many memories there are.
   */
  memories: number,
  /**
   * How many channels there are.
   */
  channels: number,
  /**
   * The number of the newest event.
   */
  events: number,
  /**
   * Calls by decision since this process started (`executed`, `replayed`, …).
   */
  decisions: {
  [key in string]: number },
  /**
   * Size of the database file.
   */
  database_bytes: number,
  /**
   * Size of SQLite's write-ahead log.
   */
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
  /**
   * Of the caller that runs it, in milliseconds.
   */
  lease_left_ms?: number,
  /**
   * Its id.
   */
  id: string,
  /**
   * The goal that it belongs to.
   */
  goal_id: string,
  /**
   * The session that it belongs to.
   */
  session_id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The tool's name; of a proxied call the rule's name for it, or `METHOD host`.
   */
  tool_name: string,
  /**
   * The input; of a proxied call its method, URL, headers and body, secrets masked.
   */
  tool_input: Json,
  /**
   * Its state.
   */
  status: ExecutionStatus,
  /**
   * The result; of a proxied call the status, headers and body of the answer.
   */
  output: Json | null,
  /**
   * What went wrong.
   */
  error: string | null,
  /**
   * The key that it was claimed under.
   */
  idempotency_key: string | null,
  /**
   * When the newest attempt started.
   */
  started_at: Timestamp | null,
  /**
   * When it ended.
   */
  completed_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
  /**
   * The number of the newest attempt, from 1; 0 if it was never leased.
   */
  attempt: number,
  /**
   * What is known about its effect, once it is terminal or in doubt.
   */
  outcome: Outcome | null,
  /**
   * How it was submitted.
   */
  origin: Origin,
  /**
   * The effect of repeating it.
   */
  effect: EffectClass,
  /**
   * It was claimed under a lease at least once: only the lease methods change it.
   */
  leased: boolean,
  /**
   * The rule that decided this; null for API executions.
   */
  rule: string | null,
};

/**
 * A session with counts of its executions and goals.
 */
export type SessionSummary = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The user's name.
   */
  username: string,
  /**
   * Its name, where it has one.
   */
  name: string | null,
  /**
   * How far it is.
   */
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
  /**
   * When it was last used.
   */
  last_activity_at: Timestamp,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * An execution without its request and answer.
 */
export type ExecutionSummary = {
  /**
   * Its id.
   */
  id: string,
  /**
   * The goal that it belongs to.
   */
  goal_id: string,
  /**
   * The session that it belongs to.
   */
  session_id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The tool's name.
   */
  tool_name: string,
  /**
   * Its state.
   */
  status: ExecutionStatus,
  /**
   * The number of the newest attempt; 0 where it was never leased.
   */
  attempt: number,
  /**
   * What is known about the effect.
   */
  outcome: Outcome | null,
  /**
   * How it was submitted.
   */
  origin: Origin,
  /**
   * The effect of repeating it.
   */
  effect: EffectClass,
  /**
   * The rule that decided this; null for API executions.
   */
  rule: string | null,
  /**
   * The key that it was claimed under.
   */
  idempotency_key: string | null,
  /**
   * Cut at 300 characters.
   */
  error: string | null,
  /**
   * Method and URL of a proxied call, or the beginning of the input.
   */
  preview: string,
  /**
   * The status that the upstream answered with.
   */
  answer_status: number | null,
  /**
   * The last step that was seen of the newest attempt.
   */
  last_event: string | null,
  /**
   * How many duplicates were stopped.
   */
  duplicates: number,
  /**
   * When duplicates came, oldest first: at most 64 of them.
   */
  duplicate_times: Array<Timestamp>,
  /**
   * When the newest attempt started.
   */
  started_at: Timestamp | null,
  /**
   * When the first byte of the newest attempt was sent; known for proxied calls that have ended.
   */
  sent_at: Timestamp | null,
  /**
   * When the first byte of the answer arrived.
   */
  first_byte_at: Timestamp | null,
  /**
   * When it ended.
   */
  completed_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * A text, cut at the requested length.
 */
export type Excerpt = {
  /**
   * `None` if only digest and size are stored, or it is not text.
   */
  text: string | null,
  /**
   * It is JSON, as it arrived.
   */
  json: boolean,
  /**
   * `text` is only its beginning.
   */
  cut: boolean,
  /**
   * The size of the whole, in bytes.
   */
  size: number,
  /**
   * SHA-256 of the whole in hex, if it is stored.
   */
  sha256: string | null,
};

/**
 * The request of a proxied call as it is stored, secrets masked.
 */
export type RequestDetail = {
  /**
   * The method.
   */
  method: string,
  /**
   * The URL.
   */
  url: string,
  /**
   * The headers.
   */
  headers: Json,
  /**
   * The body; null where there was none.
   */
  body: Excerpt | null,
};

/**
 * The response of an upstream.
 */
export type AnswerDetail = {
  /**
   * The status.
   */
  status: number,
  /**
   * As they arrived, in order. `Set-Cookie` is never stored.
   */
  headers: Array<[string,
  string]>,
  /**
   * The trailers.
   */
  trailers: Array<[string,
  string]>,
  /**
   * It had `Set-Cookie`.
   */
  cookies_omitted: boolean,
  /**
   * When its head arrived.
   */
  received_at: Timestamp,
  /**
   * The body.
   */
  body: Excerpt,
};

/**
 * One execution with everything that is stored of it.
 */
export type ExecutionDetail = {
  /**
   * The user's name.
   */
  username: string,
  /**
   * The session's name, where it has one.
   */
  session_name: string | null,
  /**
   * The goal's title.
   */
  goal_title: string,
  /**
   * Duplicates by how they were answered, from the newest 100 events about them.
   */
  answered: {
  [key in string]: number },
  /**
   * The request of a proxied execution.
   */
  request: RequestDetail | null,
  /**
   * The response of the upstream.
   */
  answer: AnswerDetail | null,
  /**
   * The input of an API execution.
   */
  input: Excerpt | null,
  /**
   * The result of an API execution.
   */
  output: Excerpt | null,
  /**
   * Its oldest 500 events.
   */
  events: Array<Event>,
  /**
   * Its id.
   */
  id: string,
  /**
   * The goal that it belongs to.
   */
  goal_id: string,
  /**
   * The session that it belongs to.
   */
  session_id: string,
  /**
   * The user that it belongs to.
   */
  user_id: string,
  /**
   * The tool's name.
   */
  tool_name: string,
  /**
   * Its state.
   */
  status: ExecutionStatus,
  /**
   * The number of the newest attempt; 0 where it was never leased.
   */
  attempt: number,
  /**
   * What is known about the effect.
   */
  outcome: Outcome | null,
  /**
   * How it was submitted.
   */
  origin: Origin,
  /**
   * The effect of repeating it.
   */
  effect: EffectClass,
  /**
   * The rule that decided this; null for API executions.
   */
  rule: string | null,
  /**
   * The key that it was claimed under.
   */
  idempotency_key: string | null,
  /**
   * Cut at 300 characters.
   */
  error: string | null,
  /**
   * Method and URL of a proxied call, or the beginning of the input.
   */
  preview: string,
  /**
   * The status that the upstream answered with.
   */
  answer_status: number | null,
  /**
   * The last step that was seen of the newest attempt.
   */
  last_event: string | null,
  /**
   * How many duplicates were stopped.
   */
  duplicates: number,
  /**
   * When duplicates came, oldest first: at most 64 of them.
   */
  duplicate_times: Array<Timestamp>,
  /**
   * When the newest attempt started.
   */
  started_at: Timestamp | null,
  /**
   * When the first byte of the newest attempt was sent; known for proxied calls that have ended.
   */
  sent_at: Timestamp | null,
  /**
   * When the first byte of the answer arrived.
   */
  first_byte_at: Timestamp | null,
  /**
   * When it ended.
   */
  completed_at: Timestamp | null,
  /**
   * When it was created.
   */
  created_at: Timestamp,
  /**
   * When it was last changed.
   */
  updated_at: Timestamp,
};

/**
 * One place where two requests differ.
 */
export type ComparedPart = {
  /**
   * `method`, `url`, `query`, `header`, `member`, `field`, `body`, `key`, `credentials`, `repeat`.
   */
  part: string,
  /**
   * A header's, a query parameter's or a field's name, or a JSON pointer into the body.
   */
  name: string | null,
};

/**
 * A proxied execution that was recorded before another one like it, and where they differ.
 */
export type ComparedExecution = {
  /**
   * The earlier one.
   */
  execution_id: string,
  /**
   * At most 20 places, in the order of a request.
   */
  differs: Array<ComparedPart>,
  /**
   * There are more than are listed.
   */
  more: boolean,
  /**
   * A value is masked in both, so that it may differ unseen.
   */
  masked: boolean,
  /**
   * The lines of a rule that make the two one call, if a rule can do that.
   */
  rule: Array<string>,
  /**
   * The same in words.
   */
  sentence: string,
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
  /** The newest execution like this one that was recorded before it, and where they differ. */
  "compare_execution": {
    params: {
      id: string;
    };
    result: ComparedExecution | null;
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
