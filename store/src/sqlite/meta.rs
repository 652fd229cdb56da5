//! The store's secret.

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;

use crate::clock::keeper::ClockRecord;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::token::Secret;

/// The name of the store's secret in `meta`.
const SECRET: &str = "secret";
/// The name of the clocks' record.
const CLOCK: &str = "clock";

/// The name of the flag in `meta` that an engine has the database open, or was killed.
const OPEN: &str = "open";

/// Whether an engine has the database open, or was killed.
pub(crate) fn is_open(conn: &Connection) -> rusqlite::Result<bool> {
    let flag = conn.prepare_cached(queries::META_GET)?.query_row([OPEN], |row| row.get(0));
    Ok(flag.optional()? == Some(vec![1_u8]))
}

/// Sets the flag that [`is_open`] reads.
pub(crate) fn set_open(conn: &Connection, open: bool) -> rusqlite::Result<()> {
    conn.prepare_cached(queries::META_PUT)?.execute(params![OPEN, [u8::from(open)]])?;
    Ok(())
}

/// The store's secret.
pub(crate) fn secret(conn: &Connection) -> Result<Secret, Fail> {
    let secret =
        conn.prepare_cached(queries::META_GET)?.query_row([SECRET], |row| row.get(0)).optional()?;
    secret.map(Secret::from_bytes).ok_or_else(|| Error::Internal.into())
}

/// Creates a random secret, if the store has none yet.
pub(crate) fn create_secret(conn: &Connection) -> Result<(), Fail> {
    let there: Option<Vec<u8>> =
        conn.prepare_cached(queries::META_GET)?.query_row([SECRET], |row| row.get(0)).optional()?;
    if there.is_none() {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| {
            tracing::error!(%error, "the system provides no random numbers");
            Error::Internal
        })?;
        conn.prepare_cached(queries::META_PUT)?.execute(params![SECRET, secret])?;
    }
    Ok(())
}

/// What the last process knew of the clocks. `None` if an older version wrote the store.
pub(crate) fn clock(conn: &Connection) -> rusqlite::Result<Option<ClockRecord>> {
    let record: Option<Vec<u8>> =
        conn.prepare_cached(queries::META_GET)?.query_row([CLOCK], |row| row.get(0)).optional()?;
    Ok(record.and_then(|record| serde_json::from_slice(&record).ok()))
}

/// Keeps what this process knows about the clocks.
pub(crate) fn put_clock(conn: &Connection, record: &ClockRecord) -> rusqlite::Result<()> {
    let record = serde_json::to_vec(record).unwrap_or_default();
    conn.prepare_cached(queries::META_PUT)?.execute(params![CLOCK, record])?;
    Ok(())
}
