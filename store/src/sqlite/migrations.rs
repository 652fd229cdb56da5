//! The versions of the schema. Append-only.

use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'_>] = &[
    M::up(include_str!("../../migrations/0001_init.sql")),
    M::up(include_str!("../../migrations/0002_overview.sql")),
    M::up(include_str!("../../migrations/0003_repeats.sql")),
    M::up(include_str!("../../migrations/0004_upstream_key.sql")),
    M::up(include_str!("../../migrations/0005_literal.sql")),
    M::up(include_str!("../../migrations/0006_guard.sql")),
    M::up(include_str!("../../migrations/0007_unsettled.sql")),
    M::up(include_str!("../../migrations/0008_doubts.sql")),
];

/// The version that this program reads and writes.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

pub(crate) const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);

/// The error message for a database of a newer version.
pub(crate) const NEWER: &str = "written by a newer version of this program; use that version";
