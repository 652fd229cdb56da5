//! The append-only log: rows numbered without gaps, each hashed over the one before.

use rusqlite::{Connection, params};
use store_core::key::Encoder;
use store_core::model::Timestamp;

use crate::decide::event::NewEvent;
use crate::sqlite::queries;

/// The end of the chain: the newest row's number, time and hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) hash: [u8; 32],
}

impl Head {
    /// Of a log without rows.
    pub(crate) const EMPTY: Self = Self { seq: 0, at: Timestamp::from_micros(0), hash: [0; 32] };

    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut statement = conn.prepare_cached(queries::EVENT_HEAD)?;
        let mut rows = statement.query([])?;
        Ok(match rows.next()? {
            None => Self::EMPTY,
            Some(row) => Self {
                seq: row.get(0)?,
                at: Timestamp::from_micros(row.get(1)?),
                hash: row.get(2)?,
            },
        })
    }

    /// Numbers, chains and writes `events`; the new head.
    pub(crate) fn append(
        mut self,
        conn: &Connection,
        now: Timestamp,
        events: &[NewEvent],
    ) -> rusqlite::Result<Self> {
        let mut insert = conn.prepare_cached(queries::EVENT_INSERT)?;
        for event in events {
            self.seq += 1;
            self.at = now;
            self.hash = chain(
                &self.hash,
                self.seq,
                now,
                event.kind,
                event.execution,
                event.session,
                event.attempt,
                &event.actor,
                &event.detail,
            );
            insert.execute(params![
                self.seq,
                now.as_micros(),
                event.kind,
                event.execution,
                event.session,
                event.attempt,
                event.actor,
                event.detail,
                self.hash
            ])?;
        }
        Ok(self)
    }
}

/// The hash of a row, over its columns and the hash before it.
#[expect(clippy::too_many_arguments, reason = "one per column of the table")]
pub(crate) fn chain(
    previous: &[u8; 32],
    seq: i64,
    at: Timestamp,
    kind: &str,
    execution: Option<i64>,
    session: Option<i64>,
    attempt: Option<u32>,
    actor: &str,
    detail: &str,
) -> [u8; 32] {
    *Encoder::new("event/v1")
        .field(previous)
        .field(seq.to_be_bytes())
        .field(at.as_micros().to_be_bytes())
        .field(kind)
        .optional(execution.map(i64::to_be_bytes))
        .optional(session.map(i64::to_be_bytes))
        .optional(attempt.map(u32::to_be_bytes))
        .field(actor)
        .field(detail)
        .finish()
        .as_bytes()
}
