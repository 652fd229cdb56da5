-- What a proxied call is, keys and all, where that is not what `content` stands for: so that the doubt guard
-- knows a call again whose rule names another place of its key.

ALTER TABLE executions ADD COLUMN literal BLOB;
CREATE INDEX executions_in_doubt_literal ON executions (literal) WHERE status = 5 AND literal IS NOT NULL;
