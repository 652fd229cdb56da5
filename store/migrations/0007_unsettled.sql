-- Ended sessions of a name of which calls may still run or are in doubt: they hold back the equal calls of the
-- next session of that name.

ALTER TABLE sessions ADD COLUMN unsettled INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET unsettled = 1 WHERE name IS NOT NULL AND status NOT IN (0, 1)
  AND EXISTS (SELECT 1 FROM executions e WHERE e.session = sessions.id AND e.status IN (1, 5));
CREATE INDEX sessions_unsettled ON sessions (user, name) WHERE unsettled = 1;
