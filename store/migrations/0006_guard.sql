-- Which executions hold back other calls with their content, and why: 1 an attempt of unknown outcome is not
-- settled; 2 the answer was given, and nobody knows yet whether it arrived; 3 the answer did not arrive.
-- NULL: none of these. And the content under its rule, where the rule makes it another one.

ALTER TABLE executions ADD COLUMN guard INTEGER;
ALTER TABLE executions ADD COLUMN ruled BLOB;
UPDATE executions SET guard = 1 WHERE status = 5;
DROP INDEX executions_in_doubt_literal;
CREATE INDEX executions_guarding ON executions (content) WHERE guard IS NOT NULL;
CREATE INDEX executions_guarding_literal ON executions (literal) WHERE guard IS NOT NULL AND literal IS NOT NULL;
CREATE INDEX executions_guarding_ruled ON executions (ruled) WHERE guard IS NOT NULL AND ruled IS NOT NULL;

-- What a call is under a key that names its execution besides the first; NULL: what the execution itself is.

ALTER TABLE keys ADD COLUMN fingerprint BLOB;
