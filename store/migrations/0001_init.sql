-- Numbers inside, UUIDs outside. Times are microseconds since the epoch, UTC. Words are numbers as
-- the enumerations of store/src/model give them.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  id           INTEGER PRIMARY KEY,
  uuid         BLOB NOT NULL UNIQUE,
  username     TEXT NOT NULL UNIQUE,
  display_name TEXT,
  email        TEXT,
  metadata     TEXT NOT NULL,
  active       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE channels (
  id                 INTEGER PRIMARY KEY,
  uuid               BLOB NOT NULL UNIQUE,
  user               INTEGER NOT NULL REFERENCES users (id),
  channel_type       INTEGER NOT NULL,
  channel_name       TEXT NOT NULL,
  channel_identifier TEXT NOT NULL,
  status             INTEGER NOT NULL,
  metadata           TEXT NOT NULL,
  config             TEXT NOT NULL,
  last_message_at    INTEGER,
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX channels_by_user ON channels (user);

CREATE TABLE sessions (
  id               INTEGER PRIMARY KEY,
  uuid             BLOB NOT NULL UNIQUE,
  user             INTEGER NOT NULL REFERENCES users (id),
  channel          INTEGER REFERENCES channels (id),
  name             TEXT,
  status           INTEGER NOT NULL,
  metadata         TEXT NOT NULL,
  context          TEXT NOT NULL,
  last_activity_at INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);
CREATE INDEX sessions_active ON sessions (user) WHERE status = 0;
CREATE INDEX sessions_by_name ON sessions (user, name) WHERE name IS NOT NULL;

CREATE TABLE goals (
  id           INTEGER PRIMARY KEY,
  uuid         BLOB NOT NULL UNIQUE,
  user         INTEGER NOT NULL REFERENCES users (id),
  session      INTEGER NOT NULL REFERENCES sessions (id),
  parent       INTEGER REFERENCES goals (id),
  -- The session's own goal for proxied calls that name no other.
  of_proxy     INTEGER NOT NULL DEFAULT 0,
  title        TEXT NOT NULL,
  description  TEXT,
  status       INTEGER NOT NULL,
  priority     INTEGER NOT NULL,
  context      TEXT NOT NULL,
  result       TEXT,
  started_at   INTEGER,
  completed_at INTEGER,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX goals_by_session ON goals (session);
CREATE UNIQUE INDEX goals_of_proxy ON goals (session) WHERE of_proxy = 1;

CREATE TABLE executions (
  id            INTEGER PRIMARY KEY,
  uuid          BLOB NOT NULL,
  user          INTEGER NOT NULL REFERENCES users (id),
  session       INTEGER NOT NULL REFERENCES sessions (id),
  goal          INTEGER NOT NULL REFERENCES goals (id),
  origin        INTEGER NOT NULL,
  class         INTEGER NOT NULL,
  -- The state, as state.rs knows it.
  status        INTEGER NOT NULL,
  attempt       INTEGER NOT NULL,
  prior         INTEGER NOT NULL DEFAULT 0,
  known         INTEGER,
  decided       INTEGER NOT NULL DEFAULT 0,
  released      INTEGER NOT NULL DEFAULT 0,
  -- What the holder of the current lease has told; NULL until it told something.
  told          INTEGER,
  lease_ms      INTEGER,
  claim_id      BLOB,
  tool          TEXT NOT NULL,
  input         TEXT NOT NULL,
  idempotency_key TEXT,
  fingerprint   BLOB,
  content       BLOB,
  principal     BLOB,
  repeat        BLOB,
  output        TEXT,
  error         TEXT,
  rule          TEXT,
  last_event    TEXT,
  first_sent_at INTEGER,
  sent_at       INTEGER,
  started_at    INTEGER,
  completed_at  INTEGER,
  -- When it became terminal: a key's window runs from here.
  ended_at      INTEGER,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX executions_by_uuid ON executions (uuid);
CREATE INDEX executions_by_goal ON executions (goal);
CREATE INDEX executions_by_session ON executions (session);
CREATE INDEX executions_running ON executions (id) WHERE status = 1;
CREATE INDEX executions_in_doubt ON executions (content) WHERE status = 5;

-- Who holds a key: 8 bytes of the text's hash, then 16 over (user, namespace, text).
CREATE TABLE keys (
  key       BLOB PRIMARY KEY,
  execution INTEGER NOT NULL REFERENCES executions (id),
  -- How long the key stays held after the holder became terminal; NULL: for ever.
  window    INTEGER
) STRICT, WITHOUT ROWID;

-- What an upstream answered to a proxied call.
CREATE TABLE answers (
  execution   INTEGER PRIMARY KEY REFERENCES executions (id),
  status      INTEGER NOT NULL,
  -- JSON: [[name, value], …] in wire order; each character of a value is one byte.
  headers     TEXT NOT NULL,
  trailers    TEXT NOT NULL,
  cookies     INTEGER NOT NULL,
  -- NULL where it is not kept.
  body        BLOB,
  sha256      BLOB NOT NULL,
  size        INTEGER NOT NULL,
  received_at INTEGER NOT NULL
) STRICT;

-- The append-only log, numbered without gaps and chained.
CREATE TABLE events (
  seq       INTEGER PRIMARY KEY,
  at        INTEGER NOT NULL,
  kind      TEXT NOT NULL,
  execution INTEGER,
  session   INTEGER,
  attempt   INTEGER,
  actor     TEXT NOT NULL,
  detail    TEXT NOT NULL,
  hash      BLOB NOT NULL
) STRICT;
CREATE INDEX events_by_execution ON events (execution) WHERE execution IS NOT NULL;
CREATE INDEX events_by_session ON events (session) WHERE session IS NOT NULL;

CREATE TABLE memories (
  id               INTEGER PRIMARY KEY,
  uuid             BLOB NOT NULL UNIQUE,
  user             INTEGER NOT NULL REFERENCES users (id),
  memory_type      INTEGER NOT NULL,
  importance       INTEGER NOT NULL,
  content          TEXT NOT NULL,
  embedding        TEXT,
  source_session   BLOB,
  source_execution BLOB,
  tags             TEXT NOT NULL,
  expires_at       INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX memories_by_user ON memories (user);
