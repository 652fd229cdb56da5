-- How many duplicates of an execution were stopped, and what makes lists of sessions and their counts
-- as quick with thousands of them as with ten. A call that runs and completes touches none of these
-- indexes: what completed is the rest.

ALTER TABLE executions ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
CREATE INDEX executions_unusual ON executions (session, status) WHERE status NOT IN (1, 2);
CREATE INDEX executions_duplicated ON executions (session, duplicates) WHERE duplicates > 0;
CREATE INDEX sessions_by_activity ON sessions (last_activity_at, id);
