-- Which of several identical calls the newest one of a run of the agent meant, for rules that say
-- `repeat = "delivered"`. A row that is not there is a run that has not asked yet.

CREATE TABLE repeats (
  -- The place of the first call's key; of run its digest.
  key       BLOB NOT NULL,
  run       BLOB NOT NULL,
  -- How many calls there were when the run first asked: so many it is answered from the record.
  known     INTEGER NOT NULL,
  -- The call that its newest request meant, from 1.
  ordinal   INTEGER NOT NULL,
  -- The answer to it was seen to arrive.
  delivered INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (key, run)
) STRICT, WITHOUT ROWID;
