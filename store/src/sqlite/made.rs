//! What of an execution's row stays as it was made, and its digest in the log.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::write::Write;
use super::{queries, rows};
use crate::key::{Digest, Encoder};
use crate::model::{EffectClass, ExecutionStatus, Origin, Timestamp};

/// How many bytes of [`Made::digest`] the log keeps. Earlier versions kept 32, and told less of the rest.
pub(super) const MADE: usize = 16;

/// The columns that no later step writes. Row numbers are the database's own.
pub(super) struct Made<'a> {
    pub(super) id: Uuid,
    pub(super) user: i64,
    pub(super) session: i64,
    pub(super) goal: i64,
    pub(super) origin: Origin,
    pub(super) class: EffectClass,
    pub(super) tool: &'a str,
    pub(super) input: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) content: Option<[u8; 16]>,
    pub(super) principal: Option<[u8; 16]>,
    pub(super) repeat: Option<[u8; 16]>,
    pub(super) created_at: Timestamp,
}

/// What the other columns begin with.
pub(super) struct First<'a> {
    pub(super) status: ExecutionStatus,
    pub(super) attempt: u32,
    pub(super) lease_ms: Option<i64>,
    pub(super) claim_id: Option<[u8; 16]>,
    pub(super) fingerprint: Option<[u8; 16]>,
    pub(super) rule: Option<&'a str>,
    pub(super) upstream_key: Option<&'a str>,
}

impl First<'_> {
    pub(super) fn asked(&self) -> Digest {
        asked(self.fingerprint, self.rule, self.upstream_key)
    }
}

impl<'a> Made<'a> {
    /// Writes the row; its number.
    pub(super) fn insert(&self, write: &Write<'_>, first: &First<'_>) -> rusqlite::Result<i64> {
        let created_at = self.created_at.as_micros();
        write.conn.prepare_cached(queries::EXECUTION_INSERT)?.execute(params![
            self.id.as_bytes(),
            self.user,
            self.session,
            self.goal,
            self.origin.number(),
            self.class.number(),
            first.status.number(),
            first.attempt,
            first.lease_ms,
            first.claim_id,
            self.tool,
            self.input,
            self.key,
            first.fingerprint,
            self.content,
            self.principal,
            self.repeat,
            first.rule,
            first.upstream_key,
            (first.status == ExecutionStatus::Running).then_some(created_at),
            created_at,
        ])?;
        Ok(write.conn.last_insert_rowid())
    }

    /// From [`queries::VERIFY_EXECUTIONS`], whose columns from `at` on are these.
    pub(super) fn read(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            id: rows::uuid(row, at)?,
            user: row.get(at + 1)?,
            session: row.get(at + 2)?,
            goal: row.get(at + 3)?,
            origin: rows::word(row, at + 4, Origin::from_number)?,
            class: rows::word(row, at + 5, EffectClass::from_number)?,
            tool: row.get_ref(at + 6)?.as_str()?,
            input: row.get_ref(at + 7)?.as_str()?,
            key: row.get_ref(at + 8)?.as_str_or_null()?,
            content: row.get(at + 9)?,
            principal: row.get(at + 10)?,
            repeat: row.get(at + 11)?,
            created_at: rows::time(row, at + 12)?,
        })
    }

    /// A digest over all of it.
    pub(super) fn digest(&self) -> Digest {
        [self.user, self.session, self.goal, self.origin.number(), self.class.number()]
            .iter()
            .fold(Encoder::new("made/v1").field(self.id), |encoder, number| {
                encoder.field(number.to_be_bytes())
            })
            .field(self.tool)
            .field(self.input)
            .optional(self.key)
            .optional(self.content)
            .optional(self.principal)
            .optional(self.repeat)
            .field(self.created_at.as_micros().to_be_bytes())
            .finish()
    }
}

/// A digest over what an attempt is asked with; a later one may be asked with something else.
pub(super) fn asked(
    fingerprint: Option<[u8; 16]>,
    rule: Option<&str>,
    upstream_key: Option<&str>,
) -> Digest {
    Encoder::new("asked/v1").optional(fingerprint).optional(rule).optional(upstream_key).finish()
}
