//! Every SQL statement, by name. The columns of an entity are in the same order everywhere.

/// Takes the write lock at once, so that a job cannot conflict with another writer halfway.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Starts a read transaction: all reads in it see the same state.
pub(crate) const BEGIN_READ: &str = "BEGIN";
pub(crate) const COMMIT: &str = "COMMIT";
pub(crate) const ROLLBACK: &str = "ROLLBACK";
/// Moves nothing: returns how many frames the log has.
pub(crate) const CHECKPOINT_NOOP: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Moves pages from the log into the database without blocking anybody.
pub(crate) const CHECKPOINT_PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Moves the whole log, and lets the next commit restart it.
pub(crate) const CHECKPOINT_RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";
/// Moves the whole log, and truncates it.
pub(crate) const CHECKPOINT_TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

macro_rules! user_columns {
    () => {
        "u.uuid, u.username, u.display_name, u.email, u.metadata, u.active, u.created_at, u.updated_at"
    };
}
pub(crate) const USER_BY_UUID: &str =
    concat!("SELECT ", user_columns!(), " FROM users u WHERE u.uuid = ?1");
pub(crate) const USER_BY_NAME: &str =
    concat!("SELECT ", user_columns!(), " FROM users u WHERE u.username = ?1");
pub(crate) const USER_ID: &str = "SELECT id FROM users WHERE uuid = ?1";
pub(crate) const USER_ID_BY_NAME: &str = "SELECT id, uuid FROM users WHERE username = ?1";
pub(crate) const USER_INSERT: &str = "INSERT INTO users
  (uuid, username, display_name, email, metadata, active, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, '{}', 1, ?5, ?5)";

macro_rules! session_columns {
    () => {
        "s.uuid, u.uuid, c.uuid, s.name, s.status, s.metadata, s.context, s.last_activity_at, s.created_at, s.updated_at
         FROM sessions s JOIN users u ON u.id = s.user LEFT JOIN channels c ON c.id = s.channel"
    };
}
pub(crate) const SESSION_BY_UUID: &str =
    concat!("SELECT ", session_columns!(), " WHERE s.uuid = ?1");
pub(crate) const SESSION_ACTIVE: &str = concat!(
    "SELECT ",
    session_columns!(),
    " WHERE s.user = ?1 AND s.status = 0 ORDER BY s.last_activity_at DESC, s.id DESC LIMIT 1"
);
/// A page of sessions before a row number, newest first.
pub(crate) const SESSIONS_ALL: &str =
    concat!("SELECT s.id, ", session_columns!(), " WHERE s.id < ?1 ORDER BY s.id DESC LIMIT ?2");
pub(crate) const SESSIONS_OF_USER: &str = concat!(
    "SELECT s.id, ",
    session_columns!(),
    " WHERE s.user = ?3 AND s.id < ?1 ORDER BY s.id DESC LIMIT ?2"
);
pub(crate) const SESSION_ID: &str = "SELECT id, user, created_at FROM sessions WHERE uuid = ?1";
pub(crate) const SESSION_INSERT: &str = "INSERT INTO sessions
  (uuid, user, channel, name, status, metadata, context, last_activity_at, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, 0, '{}', '{}', ?5, ?5, ?5)";
pub(crate) const SESSION_UPDATE: &str = "UPDATE sessions SET
  channel = ?2, status = ?3, metadata = ?4, context = ?5, last_activity_at = ?6, updated_at = ?7
  WHERE uuid = ?1";
pub(crate) const SESSION_TOUCH: &str =
    "UPDATE sessions SET last_activity_at = ?2 WHERE id = ?1 AND last_activity_at < ?2";
/// The newest session of a name that accepts calls.
pub(crate) const SESSION_BY_NAME: &str = "SELECT id, uuid, created_at FROM sessions
  WHERE user = ?1 AND name = ?2 AND status IN (0, 1) ORDER BY id DESC LIMIT 1";
/// Whether session ?1 accepts calls, with each other session of its name that may have calls that hold back
/// its own.
pub(crate) const SESSION_AND_UNSETTLED: &str = "SELECT s.status, p.id, p.uuid FROM sessions s
  LEFT JOIN sessions p ON p.user = s.user AND p.name = s.name AND p.unsettled = 1 AND p.id <> s.id
  WHERE s.id = ?1";
macro_rules! is_unsettled {
    () => {
        "(EXISTS (SELECT 1 FROM executions e WHERE e.session = sessions.id AND e.status = 5)
    OR EXISTS (SELECT 1 FROM executions e WHERE e.status = 1 AND +e.session = sessions.id))"
    };
}
pub(crate) const SESSION_LEFT: &str = concat!(
    "UPDATE sessions SET unsettled = ",
    is_unsettled!(),
    " WHERE id = ?1 AND name IS NOT NULL AND status NOT IN (0, 1)"
);
pub(crate) const SESSIONS_SETTLE: &str =
    concat!("UPDATE sessions SET unsettled = 0 WHERE unsettled = 1 AND NOT ", is_unsettled!());
/// The newest session of a name, of any user.
pub(crate) const SESSION_NEWEST_OF_NAME: &str =
    "SELECT uuid FROM sessions WHERE name = ?1 ORDER BY id DESC LIMIT 1";
/// Ids in a range.
pub(crate) const SESSION_IDS: &str =
    "SELECT uuid FROM sessions WHERE uuid BETWEEN ?1 AND ?2 ORDER BY uuid LIMIT ?3";
pub(crate) const EXECUTION_IDS: &str =
    "SELECT uuid FROM executions WHERE uuid BETWEEN ?1 AND ?2 ORDER BY uuid LIMIT ?3";
pub(crate) const SESSION_SCOPE: &str =
    "SELECT s.id, s.user, u.uuid, u.username, s.name, s.status, s.created_at
  FROM sessions s JOIN users u ON u.id = s.user WHERE s.uuid = ?1";

macro_rules! goal_columns {
    () => {
        "g.uuid, u.uuid, s.uuid, p.uuid, g.title, g.description, g.status, g.priority, g.context, g.result,
         g.started_at, g.completed_at, g.created_at, g.updated_at
         FROM goals g JOIN users u ON u.id = g.user JOIN sessions s ON s.id = g.session
         LEFT JOIN goals p ON p.id = g.parent"
    };
}
pub(crate) const GOAL_BY_UUID: &str = concat!("SELECT ", goal_columns!(), " WHERE g.uuid = ?1");
pub(crate) const GOALS_OF_SESSION: &str =
    concat!("SELECT ", goal_columns!(), " WHERE s.uuid = ?1 ORDER BY g.id");
pub(crate) const GOALS_PENDING: &str = concat!(
    "SELECT ",
    goal_columns!(),
    " WHERE s.uuid = ?1 AND g.status IN (0, 1) ORDER BY g.priority DESC, g.id"
);
pub(crate) const GOAL_ID: &str = "SELECT id, session, user FROM goals WHERE uuid = ?1";
pub(crate) const GOAL_OF_PROXY: &str =
    "SELECT id, uuid FROM goals WHERE session = ?1 AND of_proxy = 1";
pub(crate) const GOAL_INSERT: &str = "INSERT INTO goals
  (uuid, user, session, of_proxy, title, description, status, priority, context, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1, '{}', ?7, ?7)";
pub(crate) const GOAL_UPDATE: &str = "UPDATE goals SET
  parent = ?2, title = ?3, description = ?4, status = ?5, priority = ?6, context = ?7, result = ?8,
  started_at = ?9, completed_at = ?10, updated_at = ?11 WHERE uuid = ?1";

macro_rules! memory_columns {
    () => {
        "m.uuid, u.uuid, m.memory_type, m.importance, m.content, m.embedding, m.source_session, m.source_execution,
         m.tags, m.expires_at, m.created_at, m.updated_at FROM memories m JOIN users u ON u.id = m.user"
    };
}
pub(crate) const MEMORY_BY_UUID: &str = concat!("SELECT ", memory_columns!(), " WHERE m.uuid = ?1");
pub(crate) const MEMORIES_OF_USER: &str =
    concat!("SELECT ", memory_columns!(), " WHERE u.uuid = ?1 ORDER BY m.id DESC LIMIT ?2");
pub(crate) const MEMORY_ID: &str = "SELECT id FROM memories WHERE uuid = ?1";
pub(crate) const MEMORY_INSERT: &str = "INSERT INTO memories
  (uuid, user, memory_type, importance, content, tags, created_at, updated_at)
  VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?6)";
pub(crate) const MEMORY_UPDATE: &str = "UPDATE memories SET
  memory_type = ?2, importance = ?3, content = ?4, embedding = ?5, source_session = ?6,
  source_execution = ?7, tags = ?8, expires_at = ?9, updated_at = ?10 WHERE uuid = ?1";

macro_rules! channel_columns {
    () => {
        "c.uuid, u.uuid, c.channel_type, c.channel_name, c.channel_identifier, c.status, c.metadata, c.config,
         c.last_message_at, c.created_at, c.updated_at FROM channels c JOIN users u ON u.id = c.user"
    };
}
pub(crate) const CHANNEL_BY_UUID: &str =
    concat!("SELECT ", channel_columns!(), " WHERE c.uuid = ?1");
pub(crate) const CHANNELS_OF_USER: &str =
    concat!("SELECT ", channel_columns!(), " WHERE u.uuid = ?1 ORDER BY c.id DESC");
pub(crate) const CHANNEL_ID: &str = "SELECT id, user FROM channels WHERE uuid = ?1";
pub(crate) const CHANNEL_INSERT: &str = "INSERT INTO channels
  (uuid, user, channel_type, channel_name, channel_identifier, status, metadata, config, created_at, updated_at)
  VALUES (?1, ?2, ?3, ?4, ?5, 0, '{}', '{}', ?6, ?6)";
pub(crate) const CHANNEL_UPDATE: &str = "UPDATE channels SET
  channel_type = ?2, channel_name = ?3, channel_identifier = ?4, status = ?5, metadata = ?6, config = ?7,
  last_message_at = ?8, updated_at = ?9 WHERE uuid = ?1";

macro_rules! execution_columns {
    () => {
        "e.id, e.uuid, g.uuid, s.uuid, u.uuid, e.tool, e.input, e.status, e.output, e.error, e.idempotency_key,
         e.started_at, e.completed_at, e.created_at, e.updated_at, e.attempt, e.known, e.origin, e.class, e.rule
         FROM executions e JOIN goals g ON g.id = e.goal JOIN sessions s ON s.id = e.session
         JOIN users u ON u.id = e.user"
    };
}
pub(crate) const EXECUTION_BY_UUID: &str =
    concat!("SELECT ", execution_columns!(), " WHERE e.uuid = ?1");
pub(crate) const EXECUTION_BY_ID: &str =
    concat!("SELECT ", execution_columns!(), " WHERE e.id = ?1");
pub(crate) const EXECUTION_INPUT: &str = "SELECT input FROM executions WHERE uuid = ?1";
/// A proxied execution, for [`EXECUTION_LIKE`].
pub(crate) const EXECUTION_TO_COMPARE: &str =
    "SELECT id, session, tool, input, idempotency_key, principal, repeat FROM executions
  WHERE uuid = ?1";
/// Rule, request and body of the answer of proxied executions among the newest.
pub(crate) const RECENT_CALLS: &str = "
  SELECT e.rule, e.input, a.status, CASE WHEN a.size <= 65536 THEN a.body END
  FROM (SELECT id, origin, rule, input FROM executions ORDER BY id DESC LIMIT 500) e
  LEFT JOIN answers a ON a.execution = e.id WHERE e.origin = 1";
/// The newest proxied execution of the session ?1 before the row ?2 with the method ?3 and the URL ?4,
/// whatever its query. The tool ?5 comes first. Then whether principal and repeat are ?6 and ?7.
pub(crate) const EXECUTION_LIKE: &str = "
  SELECT uuid, input, idempotency_key, principal IS ?6, repeat IS ?7 FROM
    (SELECT id, uuid, tool, idempotency_key, principal, repeat, input,
       CASE origin WHEN 1 THEN json_extract(input, '$.method') END AS method,
       CASE origin WHEN 1 THEN json_extract(input, '$.url') END AS url
     FROM executions WHERE session = ?1 AND id < ?2 ORDER BY id DESC LIMIT 200)
  WHERE method = ?3 AND (url = ?4 OR substr(url, 1, length(?4) + 1) = ?4 || '?')
  ORDER BY tool <> ?5, id DESC LIMIT 1";
pub(crate) const EXECUTIONS_OF_GOAL: &str = concat!(
    "SELECT ",
    execution_columns!(),
    " WHERE e.goal = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3"
);
pub(crate) const EXECUTIONS_OF_SESSION: &str = concat!(
    "SELECT ",
    execution_columns!(),
    " WHERE e.session = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3"
);
/// Newest first before a row number; an absent filter is NULL.
macro_rules! execution_filter {
    () => {
        " e.id < ?1
       AND (?3 IS NULL OR u.uuid = ?3) AND (?4 IS NULL OR s.uuid = ?4) AND (?5 IS NULL OR g.uuid = ?5)
       AND (?6 IS NULL OR e.status = ?6) AND (?7 IS NULL OR e.tool = ?7) AND (?8 IS NULL OR e.origin = ?8)
       AND (?9 IS NULL OR e.created_at >= ?9) AND (?10 IS NULL OR e.created_at < ?10)
     ORDER BY e.id DESC LIMIT ?2"
    };
}
pub(crate) const EXECUTIONS_FILTERED: &str =
    concat!("SELECT ", execution_columns!(), " WHERE ", execution_filter!());
/// As [`EXECUTIONS_FILTERED`], for one goal, by its index.
pub(crate) const EXECUTIONS_FILTERED_GOAL: &str = concat!(
    "SELECT ",
    execution_columns!(),
    " WHERE e.goal = (SELECT id FROM goals WHERE uuid = ?5) AND ",
    execution_filter!()
);
/// As [`EXECUTIONS_FILTERED`], for one session, by its index.
pub(crate) const EXECUTIONS_FILTERED_SESSION: &str = concat!(
    "SELECT ",
    execution_columns!(),
    " WHERE e.session = (SELECT id FROM sessions WHERE uuid = ?4) AND ",
    execution_filter!()
);
/// As [`EXECUTIONS_FILTERED_SESSION`], for executions in doubt: the second condition names the partial index.
pub(crate) const EXECUTIONS_FILTERED_SESSION_IN_DOUBT: &str = concat!(
    "SELECT ",
    execution_columns!(),
    " WHERE e.status = 5 AND e.status NOT IN (1, 2)
       AND e.session = (SELECT id FROM sessions WHERE uuid = ?4) AND ",
    execution_filter!()
);
/// As [`EXECUTIONS_FILTERED`], for executions in doubt, by their partial index.
pub(crate) const EXECUTIONS_FILTERED_IN_DOUBT: &str =
    concat!("SELECT ", execution_columns!(), " WHERE e.status = 5 AND ", execution_filter!());

/// An execution of a list: `g`, `s` and `u` are its goal, session and user, `a` its answer.
macro_rules! summary_columns {
    () => {
        "e.id, e.uuid, g.uuid, s.uuid, u.uuid, e.tool, e.status, e.attempt, e.known, e.origin, e.class, e.rule,
         e.idempotency_key, substr(e.error, 1, 300),
         CASE e.origin WHEN 1 THEN
           substr(json_extract(e.input, '$.method') || ' ' || json_extract(e.input, '$.url'), 1, 500)
         ELSE substr(e.input, 1, 300) END,
         a.status, e.last_event, e.duplicates, e.started_at, e.sent_at, e.completed_at, e.created_at, e.updated_at
         FROM executions e JOIN goals g ON g.id = e.goal JOIN sessions s ON s.id = e.session
         JOIN users u ON u.id = e.user LEFT JOIN answers a ON a.execution = e.id"
    };
}
/// The filter of a search in the rows from ?1 up to ?2; an absent filter is NULL.
macro_rules! search_filter {
    () => {
        " e.id >= ?1 AND e.id < ?2
          AND (?5 IS NULL OR u.uuid = ?5) AND (?6 IS NULL OR g.uuid = ?6)
          AND (?7 IS NULL OR e.status = ?7) AND (?8 IS NULL OR e.origin = ?8)
          AND (?9 IS NULL OR e.tool LIKE ?9 ESCAPE '\\')
          AND (?11 = 0 OR e.duplicates > 0)
          AND (?12 IS NULL OR e.created_at >= ?12) AND (?13 IS NULL OR e.created_at < ?13)
          AND (?10 IS NULL OR e.tool LIKE ?10 ESCAPE '\\' OR e.idempotency_key LIKE ?10 ESCAPE '\\'
            OR e.error LIKE ?10 ESCAPE '\\' OR e.input LIKE ?10 ESCAPE '\\' OR e.output LIKE ?10 ESCAPE '\\'
            OR hex(e.uuid) LIKE ?14 ESCAPE '\\')
          ORDER BY e.id DESC LIMIT ?3"
    };
}
/// A step of a search; ?4 is the row of the session, for [`SEARCH_SESSION`] and [`SEARCH_IN_DOUBT`].
pub(crate) const SEARCH: &str =
    concat!("SELECT ", summary_columns!(), " WHERE ?4 IS NULL AND ", search_filter!());
/// As [`SEARCH`], for one session, by its index.
pub(crate) const SEARCH_SESSION: &str =
    concat!("SELECT ", summary_columns!(), " WHERE e.session = ?4 AND ", search_filter!());
/// As [`SEARCH`], for executions in doubt, by their partial index.
pub(crate) const SEARCH_IN_DOUBT: &str = concat!(
    "SELECT ",
    summary_columns!(),
    " WHERE e.status = 5 AND (?4 IS NULL OR e.session = ?4) AND ",
    search_filter!()
);
/// What the text of a search is looked for in.
pub(crate) const SEARCHED_TEXTS: &str =
    "SELECT tool, idempotency_key, error, input, output FROM executions WHERE id = ?1";
pub(crate) const SUMMARY_BY_UUID: &str =
    concat!("SELECT ", summary_columns!(), " WHERE e.uuid = ?1");
pub(crate) const EXECUTION_NEWEST: &str = "SELECT MAX(id) FROM executions";
pub(crate) const EXECUTION_TEXTS: &str = "SELECT e.input, e.output, u.username, s.name, g.title
  FROM executions e JOIN goals g ON g.id = e.goal JOIN sessions s ON s.id = e.session
  JOIN users u ON u.id = e.user WHERE e.id = ?1";
pub(crate) const DUPLICATES_ADD: &str =
    "UPDATE executions SET duplicates = duplicates + ?2 WHERE uuid = ?1 RETURNING id, attempt";

macro_rules! session_summary_columns {
    () => {
        "SELECT s.id, s.uuid, u.uuid, u.username, s.name, s.status, s.last_activity_at, s.created_at, s.updated_at
         FROM sessions s JOIN users u ON u.id = s.user WHERE "
    };
}
/// A page of sessions behind (activity, row), the latest activity first.
pub(crate) const SESSION_SUMMARIES: &str = concat!(
    session_summary_columns!(),
    "(s.last_activity_at, s.id) < (?1, ?2)
       AND (?4 IS NULL OR u.uuid = ?4) AND (?5 IS NULL OR s.status = ?5)
       AND (?6 IS NULL OR s.name LIKE ?6 ESCAPE '\\' OR u.username LIKE ?6 ESCAPE '\\'
         OR EXISTS (SELECT 1 FROM goals g WHERE g.session = s.id AND g.title LIKE ?6 ESCAPE '\\'))
     ORDER BY s.last_activity_at DESC, s.id DESC LIMIT ?3"
);
pub(crate) const SESSION_SUMMARY: &str = concat!(session_summary_columns!(), "s.uuid = ?1");
/// A session's executions by status, except completed ones; then the number of all as -1. Uses indexes
/// only: `+` keeps the few running ones from being searched among all of the session.
pub(crate) const SESSION_EXECUTIONS: &str = "
  SELECT status, COUNT(*) FROM executions WHERE session = ?1 AND status NOT IN (1, 2) GROUP BY status
  UNION ALL SELECT 1, COUNT(*) FROM executions WHERE status = 1 AND +session = ?1
  UNION ALL SELECT -1, COUNT(*) FROM executions WHERE session = ?1";
pub(crate) const SESSION_DUPLICATES: &str = "SELECT COALESCE(SUM(duplicates), 0) FROM executions
  WHERE session = ?1 AND duplicates > 0";
pub(crate) const SESSION_GOALS: &str =
    "SELECT status, COUNT(*) FROM goals WHERE session = ?1 GROUP BY status";
pub(crate) const SESSION_LATEST_GOAL: &str =
    "SELECT substr(title, 1, 200) FROM goals WHERE session = ?1 ORDER BY id DESC LIMIT 1";

pub(crate) const EXECUTION_INSERT: &str = "INSERT INTO executions
  (uuid, user, session, goal, origin, class, status, attempt, lease_ms, claim_id, tool, input, idempotency_key,
   fingerprint, content, literal, ruled, principal, repeat, rule, upstream_key, started_at, created_at,
   updated_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
   ?23, ?23)";
/// The columns of [`crate::decide::brief::Brief`].
macro_rules! brief_columns {
    () => {
        "e.id, e.uuid, e.session, e.status, e.attempt, e.prior, e.known, e.decided, e.released, e.told, e.class,
         e.lease_ms, e.claim_id, e.fingerprint, e.principal, e.repeat, e.last_event, e.first_sent_at,
         e.sent_at, e.started_at, e.ended_at, e.error, e.upstream_key, e.content, e.guard"
    };
}
pub(crate) const BRIEF_BY_UUID: &str =
    concat!("SELECT ", brief_columns!(), ", NULL, NULL FROM executions e WHERE e.uuid = ?1");
pub(crate) const BRIEF_BY_ID: &str =
    concat!("SELECT ", brief_columns!(), ", NULL, NULL FROM executions e WHERE e.id = ?1");
pub(crate) const BRIEF_BY_KEY: &str = concat!(
    "SELECT ",
    brief_columns!(),
    ", k.window, k.fingerprint FROM keys k JOIN executions e ON e.id = k.execution WHERE k.key = ?1"
);
/// The executions that hold back calls of the content ?1, ?2 (under its rule) or ?3 (keys included).
pub(crate) const BRIEF_GUARDING: &str = concat!(
    "SELECT ",
    brief_columns!(),
    ", NULL, NULL FROM executions e WHERE e.content IN (?1, ?2, ?3) AND e.guard IS NOT NULL UNION ALL SELECT ",
    brief_columns!(),
    ", NULL, NULL FROM executions e WHERE e.ruled = ?2 AND e.guard IS NOT NULL UNION ALL SELECT ",
    brief_columns!(),
    ", NULL, NULL FROM executions e WHERE e.literal = ?3 AND e.guard IS NOT NULL"
);
/// The executions of session ?4 that run or are in doubt and have the content ?1, ?2 or ?3, as above.
pub(crate) const BRIEF_UNSETTLED: &str = concat!(
    "SELECT ",
    brief_columns!(),
    ", NULL, NULL FROM executions e WHERE e.session = ?4 AND e.status = 5
       AND (e.content IN (?1, ?2, ?3) OR e.ruled = ?2 OR e.literal = ?3)
     UNION ALL SELECT ",
    brief_columns!(),
    ", NULL, NULL FROM executions e WHERE +e.session = ?4 AND e.status = 1
       AND (e.content IN (?1, ?2, ?3) OR e.ruled = ?2 OR e.literal = ?3)"
);
/// Nothing is held back any more because of how the answer fared: ?1 got it.
pub(crate) const GUARD_ARRIVED: &str =
    "UPDATE executions SET guard = NULL WHERE uuid = ?1 AND guard IN (2, 3)";
pub(crate) const GUARD_GIVEN_AGAIN: &str =
    "UPDATE executions SET guard = 2 WHERE uuid = ?1 AND guard = 3";
pub(crate) const GUARD_GIVEN: &str = "UPDATE executions SET guard = 2 WHERE id = ?1";
pub(crate) const GUARD_UNDELIVERED: &str = "UPDATE executions SET guard = 3 WHERE id = ?1";
/// Whether an answer arrived that was given by an earlier process, nobody will ever know.
pub(crate) const GUARD_AT_START: &str = "UPDATE executions SET guard = 3 WHERE guard = 2";
pub(crate) const UNDELIVERED: &str = "SELECT id, uuid FROM executions WHERE guard = 3";
/// Ends the memory of answers that were given before ?1 and did not arrive.
pub(crate) const GUARD_EXPIRE: &str =
    "UPDATE executions SET guard = NULL WHERE guard IN (2, 3) AND ended_at < ?1";
/// All holders of a key's text: the range of its prefix.
pub(crate) const HOLDERS_OF_TEXT: &str = "SELECT k.execution, e.user, e.ended_at, k.window
  FROM keys k JOIN executions e ON e.id = k.execution WHERE k.key >= ?1 AND k.key < ?2";
pub(crate) const KEY_PUT: &str =
    "INSERT INTO keys (key, execution, window, fingerprint) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (key) DO UPDATE SET execution = excluded.execution, window = excluded.window,
     fingerprint = excluded.fingerprint";
pub(crate) const RUNNING: &str =
    "SELECT id, origin, attempt, lease_ms FROM executions WHERE status = 1 AND attempt > 0";
/// What a new state makes of the column `guard`. ?11: 0 leaves it, 1 starts a doubt, 2 ends with an answer that
/// is about to be given, 3 ends it.
macro_rules! guard_after {
    () => {
        "guard = CASE ?11 WHEN 0 THEN guard WHEN 1 THEN 1 WHEN 2 THEN COALESCE(NULLIF(guard, 1), 2) END"
    };
}
/// Writes a state that `state::next` returned.
pub(crate) const STATE_PUT: &str = concat!(
    "UPDATE executions SET status = ?2, attempt = ?3, prior = ?4, known = ?5, decided = ?6, released = ?7,
  ended_at = ?8, updated_at = ?9, completed_at = ?10, ",
    guard_after!(),
    " WHERE id = ?1"
);
/// Starts another attempt. With ?6 the previous one is in doubt: it may have been sent when it started.
pub(crate) const ATTEMPT_PUT: &str = "UPDATE executions SET
  told = NULL, lease_ms = ?2, claim_id = ?3, started_at = ?4, sent_at = NULL, rule = COALESCE(?5, rule),
  first_sent_at = COALESCE(first_sent_at, CASE WHEN ?6 THEN started_at END),
  fingerprint = COALESCE(?7, fingerprint), upstream_key = ?8, class = ?9, content = ?10, literal = ?11,
  ruled = ?12, error = NULL, output = NULL WHERE id = ?1";
/// [`STATE_PUT`], with the report of the lease holder.
pub(crate) const FINISH_PUT: &str = concat!(
    "UPDATE executions SET status = ?2, attempt = ?3, prior = ?4, known = ?5, decided = ?6, released = ?7,
  ended_at = ?8, updated_at = ?9, completed_at = ?10, told = ?12, output = ?13, error = ?14, last_event = ?15,
  sent_at = ?16, first_sent_at = COALESCE(first_sent_at, ?16), ",
    guard_after!(),
    " WHERE id = ?1"
);
pub(crate) const REPORTED_PUT: &str = "UPDATE executions SET told = ?2 WHERE id = ?1";
pub(crate) const OUTPUT: &str = "SELECT output FROM executions WHERE id = ?1";
pub(crate) const LAST_EVENT_PUT: &str = "UPDATE executions SET last_event = ?2 WHERE id = ?1";
pub(crate) const LEASE_PUT: &str = "UPDATE executions SET lease_ms = ?2 WHERE id = ?1";
pub(crate) const OUTPUT_PUT: &str = "UPDATE executions SET output = ?2, error = ?3 WHERE id = ?1";
pub(crate) const UNLEASED_PUT: &str = "UPDATE executions SET
  status = ?2, known = ?3, output = ?4, error = ?5, started_at = ?6, completed_at = ?7, ended_at = ?8,
  updated_at = ?9 WHERE id = ?1";
pub(crate) const ANSWER_PUT: &str = "INSERT INTO answers
  (execution, status, headers, trailers, cookies, body, sha256, size, received_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
  ON CONFLICT (execution) DO UPDATE SET status = excluded.status, headers = excluded.headers,
  trailers = excluded.trailers, cookies = excluded.cookies, body = excluded.body, sha256 = excluded.sha256,
  size = excluded.size, received_at = excluded.received_at";
pub(crate) const ANSWER_DELETE: &str = "DELETE FROM answers WHERE execution = ?1";
/// `length` does not read the body. 65536 is `MAX_HELD_BODY`.
macro_rules! answer_columns {
    () => {
        "a.status, a.headers, a.trailers, a.cookies,
  CASE WHEN length(a.body) <= 65536 THEN a.body END, a.sha256, a.size, a.received_at, length(a.body), a.execution"
    };
}
pub(crate) const ANSWER: &str =
    concat!("SELECT ", answer_columns!(), " FROM answers a WHERE a.execution = ?1");
/// [`ANSWER`], unless a verdict settled the call: such an answer left it in doubt.
pub(crate) const ANSWER_UNDECIDED: &str = concat!(
    "SELECT ",
    answer_columns!(),
    " FROM answers a JOIN executions e ON e.id = a.execution WHERE a.execution = ?1 AND e.decided = 0"
);
pub(crate) const ANSWER_BODY_LENGTH: &str = "SELECT length(body) FROM answers WHERE execution = ?1";
pub(crate) const ANSWER_BODY_DIGEST: &str = "SELECT sha256 FROM answers WHERE execution = ?1";
/// [`BRIEF_BY_KEY`], then the stored answer.
pub(crate) const BRIEF_AND_ANSWER_BY_KEY: &str = concat!(
    "SELECT ",
    brief_columns!(),
    ", k.window, k.fingerprint, ",
    answer_columns!(),
    " FROM keys k JOIN executions e ON e.id = k.execution LEFT JOIN answers a ON a.execution = e.id
  WHERE k.key = ?1"
);

pub(crate) const EVENT_INSERT: &str = "INSERT INTO events
  (seq, at, kind, execution, session, attempt, actor, detail, hash)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(crate) const EVENT_HEAD: &str = "SELECT seq, at, hash FROM events ORDER BY seq DESC LIMIT 1";
pub(crate) const EVENT_HASH: &str = "SELECT hash FROM events WHERE seq = ?1";
pub(crate) const EVENT_RANGE: &str =
    "SELECT seq, at, kind, execution, session, attempt, actor, detail, hash
  FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2";
macro_rules! event_columns {
    () => {
        "v.seq, v.at, v.kind, e.uuid, COALESCE(s.uuid, es.uuid), v.attempt, v.actor, v.detail, v.hash, w.hash
         FROM events v LEFT JOIN events w ON w.seq = v.seq - 1 LEFT JOIN executions e ON e.id = v.execution LEFT JOIN sessions es ON es.id = e.session
         LEFT JOIN sessions s ON s.id = v.session"
    };
}
pub(crate) const EVENTS_ALL: &str =
    concat!("SELECT ", event_columns!(), " WHERE v.seq > ?1 ORDER BY v.seq LIMIT ?2");
pub(crate) const EVENTS_OF_EXECUTION: &str = concat!(
    "SELECT ",
    event_columns!(),
    " WHERE v.execution = (SELECT id FROM executions WHERE uuid = ?3) AND v.seq > ?1 ORDER BY v.seq LIMIT ?2"
);
pub(crate) const EVENTS_OF_SESSION: &str = concat!(
    "SELECT ",
    event_columns!(),
    " WHERE v.seq IN (
        SELECT seq FROM events WHERE session = (SELECT id FROM sessions WHERE uuid = ?3)
        UNION SELECT v2.seq FROM executions x JOIN events v2 ON v2.execution = x.id
          WHERE x.session = (SELECT id FROM sessions WHERE uuid = ?3))
      AND v.seq > ?1 ORDER BY v.seq LIMIT ?2"
);

/// The last reported outcome.
pub(crate) const EVENT_FINISHED: &str = "SELECT detail FROM events
  WHERE execution = ?1 AND kind IN ('finished', 'finished-late') ORDER BY seq DESC LIMIT 1";
/// Whether the log has an event of this kind with an outcome of an attempt.
pub(crate) const EVENT_REPORTED: &str = "SELECT 1 FROM events
  WHERE execution = ?1 AND attempt = ?2 AND kind = ?3 AND detail ->> 'outcome' = ?4 LIMIT 1";
pub(crate) const EVENTS_DUPLICATES: &str = "SELECT detail FROM events
  WHERE execution = ?1 AND kind = 'duplicates' ORDER BY seq DESC LIMIT 100";

/// The number of identical calls under a first key.
pub(crate) const REPEATS_LAST: &str =
    "SELECT COALESCE(MAX(ordinal), 0) FROM repeats WHERE key = ?1";
pub(crate) const REPEAT: &str =
    "SELECT known, ordinal, delivered FROM repeats WHERE key = ?1 AND run = ?2";
pub(crate) const REPEAT_PUT: &str =
    "INSERT INTO repeats (key, run, known, ordinal) VALUES (?1, ?2, ?3, ?4)
  ON CONFLICT (key, run) DO UPDATE SET known = excluded.known, ordinal = excluded.ordinal, delivered = 0";
pub(crate) const REPEAT_DELIVERED: &str = "UPDATE repeats SET delivered = 1
  WHERE key = ?1 AND run = ?2 AND ordinal = ?3 AND delivered = 0";

/// Whether a database has tables, but not those of this program.
pub(crate) const IS_FOREIGN: &str = "
SELECT EXISTS (SELECT 1 FROM sqlite_schema)
   AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'events_by_execution')";

pub(crate) const META_GET: &str = "SELECT value FROM meta WHERE name = ?1";
pub(crate) const META_PUT: &str = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

pub(crate) const COUNT_USERS: &str = "SELECT COUNT(*) FROM users";
pub(crate) const COUNT_GOALS: &str = "SELECT COUNT(*) FROM goals";
pub(crate) const COUNT_MEMORIES: &str = "SELECT COUNT(*) FROM memories";
pub(crate) const COUNT_CHANNELS: &str = "SELECT COUNT(*) FROM channels";
pub(crate) const COUNT_SESSIONS: &str = "SELECT status, COUNT(*) FROM sessions GROUP BY status";
/// As [`SESSION_EXECUTIONS`], for the whole store.
pub(crate) const COUNT_EXECUTIONS: &str = "
  SELECT status, COUNT(*) FROM executions WHERE status NOT IN (1, 2) GROUP BY status
  UNION ALL SELECT 1, COUNT(*) FROM executions WHERE status = 1
  UNION ALL SELECT -1, COUNT(*) FROM executions";
pub(crate) const SUM_DUPLICATES: &str =
    "SELECT COALESCE(SUM(duplicates), 0) FROM executions WHERE duplicates > 0";
pub(crate) const COUNT_EVENTS_OF_KIND: &str = "SELECT COUNT(*) FROM events WHERE kind = ?1";
/// Problems that SQLite itself finds, one per row; `ok` if there are none.
pub(crate) const QUICK_CHECK: &str = "PRAGMA quick_check(20)";
pub(crate) const COUNT_IN_DOUBT: &str = "SELECT COUNT(*) FROM executions WHERE status = 5";

/// The columns that the log has a digest of, and that `verify` compares: ?2 rows from ?1 on. The last activity of
/// a session is not among them, since it is written without an event.
pub(crate) const USER_ROWS: &str =
    "SELECT id, uuid, username, display_name, email, metadata, active, created_at, updated_at
  FROM users WHERE id >= ?1 ORDER BY id LIMIT ?2";
pub(crate) const CHANNEL_ROWS: &str =
    "SELECT id, uuid, user, channel_type, channel_name, channel_identifier, status, metadata, config,
    last_message_at, created_at, updated_at FROM channels WHERE id >= ?1 ORDER BY id LIMIT ?2";
pub(crate) const SESSION_ROWS: &str =
    "SELECT id, uuid, user, channel, name, status, metadata, context, created_at, updated_at
  FROM sessions WHERE id >= ?1 ORDER BY id LIMIT ?2";
pub(crate) const GOAL_ROWS: &str =
    "SELECT id, uuid, user, session, parent, of_proxy, title, description, status, priority, context, result,
    started_at, completed_at, created_at, updated_at FROM goals WHERE id >= ?1 ORDER BY id LIMIT ?2";
pub(crate) const MEMORY_ROWS: &str =
    "SELECT id, uuid, user, memory_type, importance, content, embedding, source_session, source_execution,
    tags, expires_at, created_at, updated_at FROM memories WHERE id >= ?1 ORDER BY id LIMIT ?2";
/// The columns of an execution that `verify` compares with its events.
pub(crate) const VERIFY_EXECUTIONS: &str = "SELECT e.id, e.status, e.attempt, e.prior, e.known, e.decided,
    e.released, e.ended_at, e.output, e.error,
    e.class, e.fingerprint, e.content, e.literal, e.rule, e.upstream_key, e.ruled,
    e.uuid, e.user, e.session, e.goal, e.origin, e.tool, e.input, e.idempotency_key, e.principal, e.repeat,
    e.created_at,
    a.status, a.headers, a.trailers, a.cookies, a.size, a.received_at, a.sha256, a.body
  FROM executions e LEFT JOIN answers a ON a.execution = e.id WHERE e.id > ?1 ORDER BY e.id LIMIT ?2";
pub(crate) const VERIFY_EVENTS: &str =
    "SELECT seq, at, kind, attempt, detail FROM events WHERE execution = ?1 ORDER BY seq";
/// Missing executions that other tables refer to.
pub(crate) const VERIFY_MISSING: &str = "SELECT DISTINCT named.execution FROM
    (SELECT execution FROM events WHERE execution IS NOT NULL
     UNION ALL SELECT execution FROM keys UNION ALL SELECT execution FROM answers) named
  WHERE NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = named.execution)
  ORDER BY named.execution LIMIT ?1";
/// The next events about entities.
pub(crate) const VERIFY_NOTED: &str = "SELECT seq, kind, detail FROM events
  WHERE seq > ?1 AND execution IS NULL ORDER BY seq LIMIT ?2";
/// The next keys.
pub(crate) const VERIFY_KEYS: &str =
    "SELECT hex(key), execution, key FROM keys WHERE key > ?1 ORDER BY key LIMIT ?2";
pub(crate) const VERIFY_KEY: &str = "SELECT execution, window FROM keys WHERE key = unhex(?1)";
/// The last event by which an execution took a key, and whether its events record keys at all.
pub(crate) const VERIFY_LAST_CLAIM: &str = "SELECT
    MAX(CASE WHEN detail ->> 'key' = ?2 THEN seq END), MAX(CASE WHEN attempt <= 1 THEN detail ->> 'asked' IS NOT NULL END)
  FROM events WHERE execution = ?1 AND kind IN ('created', 'claimed', 'named') AND json_valid(detail)";

/// Drops the bodies of a range of answers that are old and not in doubt.
pub(crate) const RETENTION_BODIES: &str = "UPDATE answers SET body = NULL
  WHERE execution > ?1 AND execution <= ?2 AND received_at < ?3 AND body IS NOT NULL
    AND (SELECT status FROM executions WHERE id = execution) <> 5";
/// The last of the next answers, and whether it may be old: no answer is older than its execution, and later
/// rows are younger.
pub(crate) const RETENTION_RANGE: &str = "SELECT a.last, e.created_at < ?2 FROM
  (SELECT MAX(execution) AS last FROM
    (SELECT execution FROM answers WHERE execution > ?1 ORDER BY execution LIMIT 1000)) a
  LEFT JOIN executions e ON e.id = a.last";
/// The newest event that retention may drop, with its hash. Times ascend with the numbers, and executions in
/// doubt keep their events.
pub(crate) const RETENTION_EVENT: &str = "SELECT seq, hash FROM events
  WHERE seq < (SELECT seq FROM events WHERE at >= ?1 ORDER BY seq LIMIT 1)
    AND seq < (SELECT COALESCE(MIN(v.seq), 9223372036854775807)
      FROM executions e JOIN events v ON v.execution = e.id WHERE e.status = 5)
    AND kind <> 'pruned' ORDER BY seq DESC LIMIT 1";
pub(crate) const RETENTION_PRUNE: &str = "DELETE FROM events WHERE seq <= ?1";
