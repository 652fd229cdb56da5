//! The append-only event log: rows are numbered without gaps, and each hash covers the previous one.

use rusqlite::{Connection, params};
use store_core::key::Encoder;
use store_core::model::Timestamp;

use crate::decide::event::NewEvent;
use crate::sqlite::queries;

/// The end of the chain: number, time and hash of the newest row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) hash: [u8; 32],
}

impl Head {
    /// The end of an empty log.
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

    /// Numbers, chains and writes `events`; returns the new head.
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
                &Columns {
                    seq: self.seq,
                    at: now,
                    kind: event.kind.as_str(),
                    execution: event.execution,
                    session: event.session,
                    attempt: event.attempt,
                    actor: event.actor.as_str(),
                    detail: &event.detail,
                },
            );
            insert.execute(params![
                self.seq,
                now.as_micros(),
                event.kind.as_str(),
                event.execution,
                event.session,
                event.attempt,
                event.actor.as_str(),
                event.detail,
                self.hash
            ])?;
        }
        Ok(self)
    }
}

/// The columns that the hash of a row covers.
pub(crate) struct Columns<'a> {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) kind: &'a str,
    pub(crate) execution: Option<i64>,
    pub(crate) session: Option<i64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) actor: &'a str,
    pub(crate) detail: &'a str,
}

/// The hash of a row, over its columns and the previous hash.
pub(crate) fn chain(previous: &[u8; 32], row: &Columns<'_>) -> [u8; 32] {
    *Encoder::new("event/v1")
        .field(previous)
        .field(row.seq.to_be_bytes())
        .field(row.at.as_micros().to_be_bytes())
        .field(row.kind)
        .optional(row.execution.map(i64::to_be_bytes))
        .optional(row.session.map(i64::to_be_bytes))
        .optional(row.attempt.map(u32::to_be_bytes))
        .field(row.actor)
        .field(row.detail)
        .finish()
        .as_bytes()
}
