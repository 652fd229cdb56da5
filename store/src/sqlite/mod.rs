//! The store over SQLite: the only place with SQL.

mod answers;
mod calls;
mod checkpoint;
mod claim;
mod connection;
mod detail;
mod doubt;
mod duplicates;
mod entities;
mod entity;
mod error;
mod events;
mod execute;
mod fatal;
mod housekeeping;
mod ids;
mod job;
mod lists;
mod lock;
mod made;
mod migrations;
mod open;
mod output;
mod overview;
mod queries;
mod reader;
mod repeats;
mod replays;
mod reserve;
mod rows;
mod scope;
mod search;
mod settle;
mod shared;
mod stats;
mod store;
mod streak;
mod verify;
mod write;
mod writer;

use std::path::{Path, PathBuf};

pub(crate) use job::WriterHandle;
pub use reader::Reader;
pub use repeats::{Delivery, Repeat};
pub use shared::Histogram;
pub use stats::Health;
pub use store::Store;

/// A log of more than this is told of, in bytes.
const WAL_WARNING: u64 = 256 * 1024 * 1024;

/// `<database>.<extension>`.
fn beside(database: &Path, extension: &str) -> PathBuf {
    with_suffix(database, &format!(".{extension}"))
}

/// The database's path with `suffix` behind its whole name.
fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
