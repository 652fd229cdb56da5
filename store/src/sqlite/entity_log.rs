//! Logs users, channels, sessions, goals and memories: the row number, and a digest of the row.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use store_core::key::Encoder;
use store_core::model::EventKind;
use uuid::Uuid;

use crate::decide::event::NewEvent;
use crate::sqlite::queries;
use crate::sqlite::transaction::Transaction;

/// The tables of entities without a state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Users,
    Channels,
    Sessions,
    Goals,
    Memories,
}

impl Table {
    pub(crate) const ALL: [Self; 5] =
        [Self::Users, Self::Channels, Self::Sessions, Self::Goals, Self::Memories];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Channels => "channels",
            Self::Sessions => "sessions",
            Self::Goals => "goals",
            Self::Memories => "memories",
        }
    }

    /// Selects rows from a number on: the number, then the columns of the digest.
    pub(crate) const fn rows(self) -> &'static str {
        match self {
            Self::Users => queries::USER_ROWS,
            Self::Channels => queries::CHANNEL_ROWS,
            Self::Sessions => queries::SESSION_ROWS,
            Self::Goals => queries::GOAL_ROWS,
            Self::Memories => queries::MEMORY_ROWS,
        }
    }

    pub(crate) const fn at(self, row: i64) -> EntityRow {
        EntityRow { table: self, row, session: None }
    }

    /// The table that an event is about, if it is one of these.
    pub(crate) const fn of_event(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::UserCreated => Self::Users,
            EventKind::ChannelCreated | EventKind::ChannelUpdated => Self::Channels,
            EventKind::SessionCreated | EventKind::SessionUpdated => Self::Sessions,
            EventKind::GoalCreated | EventKind::GoalUpdated => Self::Goals,
            EventKind::MemoryCreated | EventKind::MemoryUpdated => Self::Memories,
            _ => return None,
        })
    }
}

/// A row of one of these tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntityRow {
    table: Table,
    row: i64,
    session: Option<i64>,
}

impl EntityRow {
    /// Sets the session that it belongs to.
    pub(crate) const fn of_session(self, session: i64) -> Self {
        Self { session: Some(session), ..self }
    }
}

/// The detail of an event about an entity.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EntityDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Its row number. Missing in events of earlier versions.
    pub(crate) row: Option<i64>,
    /// [`digest`], in hex.
    pub(crate) digest: Option<String>,
}

/// Logs the current contents of a row.
pub(crate) fn log_entity(
    tx: &mut Transaction<'_>,
    kind: EventKind,
    entity: EntityRow,
    detail: EntityDetail,
) -> rusqlite::Result<()> {
    let EntityRow { table, row, session } = entity;
    let digest = tx.conn.prepare_cached(table.rows())?.query_row([row, 1], digest)?;
    let detail = EntityDetail { row: Some(row), digest: Some(digest), ..detail };
    tx.event(NewEvent { session, ..NewEvent::engine(kind, &detail) });
    Ok(())
}

/// A digest over all columns after the row number, in hex.
pub(crate) fn digest(row: &Row<'_>) -> rusqlite::Result<String> {
    let mut encoder = Encoder::new("row/v1");
    for column in 1..row.as_ref().column_count() {
        encoder = match row.get_ref(column)? {
            ValueRef::Null => encoder.field([0]),
            ValueRef::Integer(number) => encoder.field([1]).field(number.to_be_bytes()),
            ValueRef::Real(number) => encoder.field([2]).field(number.to_be_bytes()),
            ValueRef::Text(text) => encoder.field([3]).field(text),
            ValueRef::Blob(bytes) => encoder.field([4]).field(bytes),
        };
    }
    Ok(encoder.finish().hex(16))
}
