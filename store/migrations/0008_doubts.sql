-- The executions in doubt by their number, as lists read them: a page reads no more rows than it has. Those
-- that hold back others by content have been in executions_guarding since 0006.

DROP INDEX executions_in_doubt;
CREATE INDEX executions_in_doubt ON executions (status) WHERE status = 5;
