//! The store's secret.

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;

use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::token::Secret;

/// The name of the store's secret in `meta`.
const SECRET: &str = "secret";

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
