//! What of an execution's row stays as it was made, and its digest in the log.

use rusqlite::{Row, params};
use store_core::call::Call;
use store_core::key::{Digest, Encoder};
use store_core::model::{EffectClass, ExecutionStatus, Origin, Timestamp};
use uuid::Uuid;

use crate::sqlite::transaction::Transaction;
use crate::sqlite::{queries, rows};

/// How many bytes of [`Made::digest`] the log keeps. Earlier versions kept 32 of another digest.
pub(crate) const MADE: usize = 16;

/// The columns that no later step writes. Row numbers are the database's own.
pub(crate) struct Made<'a> {
    pub(crate) id: Uuid,
    pub(crate) user: i64,
    pub(crate) session: i64,
    pub(crate) goal: i64,
    pub(crate) origin: Origin,
    pub(crate) tool: &'a str,
    pub(crate) input: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) principal: Option<[u8; 16]>,
    pub(crate) repeat: Option<[u8; 16]>,
    pub(crate) created_at: Timestamp,
}

/// What an attempt is asked with; the next one may be asked with something else.
pub(crate) struct Asked<'a> {
    pub(crate) class: EffectClass,
    pub(crate) fingerprint: Option<[u8; 16]>,
    pub(crate) content: Option<[u8; 16]>,
    /// Only where it is not the content.
    pub(crate) literal: Option<[u8; 16]>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) upstream_key: Option<&'a str>,
}

/// What the other columns begin with.
pub(crate) struct First<'a> {
    pub(crate) status: ExecutionStatus,
    pub(crate) attempt: u32,
    pub(crate) lease_ms: Option<i64>,
    pub(crate) claim_id: Option<[u8; 16]>,
    pub(crate) asked: &'a Asked<'a>,
}

impl<'a> Asked<'a> {
    /// Of a proxied call.
    pub(crate) fn of(call: &'a Call) -> Self {
        let content = call.content.short();
        Self {
            class: call.class,
            fingerprint: Some(call.fingerprint.short()),
            content: Some(content),
            literal: Some(call.literal.short()).filter(|literal| *literal != content),
            rule: Some(&call.rule),
            upstream_key: call.upstream_key.as_ref().map(|key| key.told.as_str()),
        }
    }

    /// From [`queries::VERIFY_EXECUTIONS`], whose columns from `at` on are these.
    pub(crate) fn read(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            class: rows::word(row, at, EffectClass::from_number)?,
            fingerprint: row.get(at + 1)?,
            content: row.get(at + 2)?,
            literal: row.get(at + 3)?,
            rule: row.get_ref(at + 4)?.as_str_or_null()?,
            upstream_key: row.get_ref(at + 5)?.as_str_or_null()?,
        })
    }

    /// A digest over all of it.
    pub(crate) fn digest(&self) -> Digest {
        Encoder::new("asked/v1")
            .field(self.class.number().to_be_bytes())
            .optional(self.fingerprint)
            .optional(self.content)
            .optional(self.literal)
            .optional(self.rule)
            .optional(self.upstream_key)
            .finish()
    }
}

impl<'a> Made<'a> {
    /// Writes the row; its number.
    pub(crate) fn insert(&self, tx: &Transaction<'_>, first: &First<'_>) -> rusqlite::Result<i64> {
        let created_at = self.created_at.as_micros();
        tx.conn.prepare_cached(queries::EXECUTION_INSERT)?.execute(params![
            self.id.as_bytes(),
            self.user,
            self.session,
            self.goal,
            self.origin.number(),
            first.asked.class.number(),
            first.status.number(),
            first.attempt,
            first.lease_ms,
            first.claim_id,
            self.tool,
            self.input,
            self.key,
            first.asked.fingerprint,
            first.asked.content,
            first.asked.literal,
            self.principal,
            self.repeat,
            first.asked.rule,
            first.asked.upstream_key,
            (first.status == ExecutionStatus::Running).then_some(created_at),
            created_at,
        ])?;
        Ok(tx.conn.last_insert_rowid())
    }

    /// From [`queries::VERIFY_EXECUTIONS`], whose columns from `at` on are these.
    pub(crate) fn read(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            id: rows::uuid(row, at)?,
            user: row.get(at + 1)?,
            session: row.get(at + 2)?,
            goal: row.get(at + 3)?,
            origin: rows::word(row, at + 4, Origin::from_number)?,
            tool: row.get_ref(at + 5)?.as_str()?,
            input: row.get_ref(at + 6)?.as_str()?,
            key: row.get_ref(at + 7)?.as_str_or_null()?,
            principal: row.get(at + 8)?,
            repeat: row.get(at + 9)?,
            created_at: rows::time(row, at + 10)?,
        })
    }

    /// A digest over all of it.
    pub(crate) fn digest(&self) -> Digest {
        [self.user, self.session, self.goal, self.origin.number()]
            .iter()
            .fold(Encoder::new("made/v2").field(self.id), |encoder, number| {
                encoder.field(number.to_be_bytes())
            })
            .field(self.tool)
            .field(self.input)
            .optional(self.key)
            .optional(self.principal)
            .optional(self.repeat)
            .field(self.created_at.as_micros().to_be_bytes())
            .finish()
    }
}
