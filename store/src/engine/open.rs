//! Opening a store: lock, migrate, recover, start the threads. Nothing is served before it is done.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use quick_cache::sync::Cache;
use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::Mode;
use store_core::Error;
use store_core::model::Origin;
use tokio::sync::Semaphore;

use crate::audit::events::{Head, NewEvent};
use crate::clock::{Clock, SystemClock, TimeKeeper};
use crate::decide::settle;
use crate::engine::checkpoint::{self, Checkpoints};
use crate::engine::fatal;
use crate::engine::job::WriterHandle;
use crate::engine::lock::DatabaseLock;
use crate::engine::new_call_predictor::Streak;
use crate::engine::replays::Replays;
use crate::engine::reserve::Reserve;
use crate::engine::shared::{Every, Shared};
use crate::engine::write::{Effect, Live, Write};
use crate::engine::writer::Writer;
use crate::files;
use crate::options::Options;
use crate::read::reader::{self, Reader};
use crate::sqlite::error::{Fail, Severity, severity};
use crate::sqlite::migrations::MIGRATIONS;
use crate::sqlite::scope::Scopes;
use crate::sqlite::{connection, queries, rows};
use crate::store::{Inner, Store};

/// How many places of API calls are remembered.
const MAX_PLACES: usize = 10_000;

/// The name of the store's secret in `meta`.
pub(crate) const SECRET: &str = "secret";

impl Store {
    /// Takes the lock, migrates, recovers from an unclean stop and starts the store's threads.
    ///
    /// Blocks for the checkpoint of what the log holds. When it returns, every execution that the
    /// proxy of an earlier process left running is in doubt (class `idempotent`: failed), and API
    /// leases have their full time to live before them. Refused (`Locked`) while another process
    /// owns the database. Sets the process's umask to 077: all files are the owner's alone.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_at(options, Arc::new(SystemClock))
    }

    /// [`Self::open`]; the writer reads the time from `clock`.
    pub(crate) fn open_at(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let path = &options.path;
        make_folder(path)?;
        let lock = DatabaseLock::take(path)?;
        let refused = |error: rusqlite::Error| open_error(path, &error);
        if is_foreign(path) {
            let message = "it is another program's database; name another file by --database";
            return Err(Error::Open { path: path.clone(), message: message.to_owned() });
        }
        let mut conn = connection::open_writer(path).map_err(refused)?;
        // SQLite serves frames of the log that were never synced: sync all of it before any of it
        // is acted on.
        checkpoint::all(&conn);
        MIGRATIONS.to_latest(&mut conn).map_err(|error| migration_error(path, &error))?;
        checkpoint::watch_log(&conn);
        make_secret(&conn).map_err(|fail| unreadable(path, fail))?;
        let secret = reader::secret(&conn).map_err(|fail| unreadable(path, fail))?;

        let shared = Arc::new(Shared::default());
        let head = Head::read(&conn).map_err(refused)?;
        let keeper = TimeKeeper::new(clock, head.at, Arc::clone(&shared.jumped));
        let reserve =
            Reserve::new(files::reserve(path), options.reserve_bytes, options.max_page_count);
        if let Err(error) = reserve.make(&conn) {
            tracing::error!(%error, "no disk space for the reserve: new calls are refused until there is");
            shared.full.store(true, Ordering::Relaxed);
        }
        let (sender, messages) = mpsc::channel();
        let scopes = Arc::new(Scopes::default());
        let replays = Arc::new(Replays::default());
        let page_size = connection::page_size(&conn).map_err(refused)?;
        let second = connection::open_writer(path).map_err(refused)?;
        let checkpoints = Checkpoints::start(second, page_size, Arc::clone(&shared))
            .map_err(|error| no_thread(path, &error))?;
        let mut writer = Writer {
            conn,
            messages,
            shared: Arc::clone(&shared),
            secret: secret.clone(),
            keeper,
            jump: None,
            head,
            live: Live::default(),
            reserve,
            checkpoints,
            scopes: Arc::clone(&scopes),
            replays: Arc::clone(&replays),
            parked: Vec::new(),
            every_second: Every::new(Duration::from_secs(1)),
            every_minute: Every::new(Duration::from_secs(60)),
            every_hour: Every::at_once(Duration::from_secs(3_600)),
            bodies_from: None,
        };
        writer.recover(path)?;
        fatal::spawn("writer", move || writer.run()).map_err(|error| no_thread(path, &error))?;
        let room = Arc::new(Semaphore::new(options.max_queue));
        let handle = WriterHandle { messages: sender, room, shared: Arc::clone(&shared) };
        Ok(Self(Arc::new(Inner {
            writer: handle,
            reader: Reader::new(path, shared),
            secret,
            scopes,
            replays,
            streak: Streak::default(),
            places: Cache::new(MAX_PLACES),
            lock,
            max_queue: options.max_queue,
        })))
    }
}

impl Writer {
    /// One transaction: a boot event, and every call that an earlier process left running.
    fn recover(&mut self, path: &Path) -> Result<(), Error> {
        let in_doubt: i64 = self
            .conn
            .query_row(queries::COUNT_IN_DOUBT, [], |row| row.get(0))
            .map_err(|error| open_error(path, &error))?;
        self.shared.in_doubt.store(in_doubt, Ordering::Relaxed);
        let mut recovered = self.commit_now(recover_running);
        if let Err(Fail::Sql(error)) = &recovered
            && severity(error) == Severity::Full
        {
            // What became of calls is what the reserve is for.
            self.make_room(error);
            recovered = self.commit_now(recover_running);
        }
        recovered.map_err(|fail| unreadable(path, fail))
    }
}

/// Asked before anything is opened for writing, which would change the file's mode. What cannot be read here is
/// told of by the next step.
fn is_foreign(path: &Path) -> bool {
    path.exists()
        && connection::open_reader(path)
            .and_then(|conn| conn.query_row(queries::IS_FOREIGN, [], |row| row.get(0)))
            .unwrap_or(false)
}

#[derive(serde::Serialize)]
struct Boot {
    version: &'static str,
    lost: usize,
}

fn recover_running(write: &mut Write<'_>) -> Result<(), Fail> {
    let running: Vec<(i64, Origin, u32, Option<i64>)> = write
        .conn
        .prepare_cached(queries::RUNNING)?
        .query_map([], |row| {
            Ok((row.get(0)?, rows::word(row, 1, Origin::from_number)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let lost = running.iter().filter(|(_, origin, ..)| *origin == Origin::Proxy).count();
    write.event(NewEvent::engine("boot", &Boot { version: env!("CARGO_PKG_VERSION"), lost }));
    for (row, origin, attempt, lease_ms) in running {
        match origin {
            Origin::Api => {
                let ttl = lease_ms.and_then(|ms| u64::try_from(ms).ok());
                let ttl = ttl.map_or(store_core::LEASE_DEFAULT, Duration::from_millis);
                write.effects.push(Effect::Leased(row, attempt, ttl));
            }
            Origin::Proxy => {
                let execution = write
                    .conn
                    .prepare_cached(queries::BRIEF_BY_ID)?
                    .query_row([row], rows::brief)?;
                settle::lose(write, &execution, "the engine stopped while the call ran")?;
            }
        }
    }
    Ok(())
}

fn make_folder(database: &Path) -> Result<(), Error> {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Error::Open {
        path: folder.to_owned(),
        message: format!("the folder cannot be made; name another file by --database: {error}"),
    })
}

fn make_secret(conn: &Connection) -> Result<(), Fail> {
    let there: Option<Vec<u8>> =
        conn.prepare_cached(queries::META_GET)?.query_row([SECRET], |row| row.get(0)).optional()?;
    if there.is_none() {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| {
            tracing::error!(%error, "the system gives no random numbers");
            Error::Internal
        })?;
        conn.prepare_cached(queries::META_PUT)?.execute(params![SECRET, secret])?;
    }
    Ok(())
}

fn open_error(path: &Path, error: &rusqlite::Error) -> Error {
    let message = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            "it is not a database; name another file by --database".to_owned()
        }
        Some(rusqlite::ErrorCode::DatabaseBusy) => {
            "another program holds it; stop that program, or name another file".to_owned()
        }
        Some(rusqlite::ErrorCode::DiskFull) => {
            "its disk is full; make room, or name another file by --database".to_owned()
        }
        _ => format!("the database cannot be opened; name another file by --database: {error}"),
    };
    Error::Open { path: path.to_owned(), message }
}

fn migration_error(path: &Path, error: &rusqlite_migration::Error) -> Error {
    let message = match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => return open_error(path, err),
        rusqlite_migration::Error::MigrationDefinition(_) => {
            crate::sqlite::migrations::NEWER.to_owned()
        }
        other => format!("the schema cannot be migrated: {other}"),
    };
    Error::Open { path: path.to_owned(), message }
}

fn unreadable(path: &Path, fail: Fail) -> Error {
    match fail {
        Fail::Refused(error) => error,
        Fail::Sql(error) => open_error(path, &error),
    }
}

fn no_thread(path: &Path, error: &std::io::Error) -> Error {
    Error::Open { path: path.to_owned(), message: format!("no thread can be started: {error}") }
}
