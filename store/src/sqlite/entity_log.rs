//! What the log keeps of a user, channel, session, goal or memory: its row, and a digest of it.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use store_core::key::Encoder;
use store_core::model::EventKind;
use uuid::Uuid;

use crate::decide::event::NewEvent;
use crate::sqlite::queries;
use crate::sqlite::transaction::Transaction;

/// The tables whose rows have no state machine of their own.
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

    /// The rows from a number on: the number, then what is compared.
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

    /// What an event is about; `None` for one that is about none of them.
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

/// A row of one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntityRow {
    table: Table,
    row: i64,
    session: Option<i64>,
}

impl EntityRow {
    /// It belongs to this session.
    pub(crate) const fn of_session(self, session: i64) -> Self {
        Self { session: Some(session), ..self }
    }
}

/// The detail of an event about one of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Noted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Its number in the table; earlier versions did not tell.
    pub(crate) row: Option<i64>,
    /// [`digest`], in hex.
    pub(crate) digest: Option<String>,
}

/// Logs that a row is from now on as it is now.
pub(crate) fn note(
    tx: &mut Transaction<'_>,
    kind: EventKind,
    entity: EntityRow,
    noted: Noted,
) -> rusqlite::Result<()> {
    let EntityRow { table, row, session } = entity;
    let digest = tx.conn.prepare_cached(table.rows())?.query_row([row, 1], digest)?;
    let noted = Noted { row: Some(row), digest: Some(digest), ..noted };
    tx.event(NewEvent { session, ..NewEvent::engine(kind, &noted) });
    Ok(())
}

/// A digest over all columns behind the number, in hex.
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
