-- How many duplicates of an execution were stopped, and what lists of sessions and their counts
-- need to be as quick with thousands of them as with ten.

ALTER TABLE executions ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
CREATE INDEX executions_by_session_status ON executions (session, status, duplicates);
CREATE INDEX sessions_by_activity ON sessions (last_activity_at, id);
