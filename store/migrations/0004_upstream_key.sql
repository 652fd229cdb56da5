-- By which key the upstream was told which call the newest attempt is (class `keyed`): whose, and where it
-- stands. NULL where there was none, and in rows of earlier versions: such a call is not sent again.

ALTER TABLE executions ADD COLUMN upstream_key TEXT;
