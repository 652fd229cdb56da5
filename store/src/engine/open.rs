//! Opens a database: lock, migrate, recover, start the threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::Mode;
use store_core::Error;

use crate::audit::events::Head;
use crate::clock::Clock;
use crate::clock::keeper::TimeKeeper;
use crate::decide::plan::micros;
use crate::engine::caches::Caches;
use crate::engine::checkpoint::{self, Checkpoints};
use crate::engine::head_file::{HeadFile, Known};
use crate::engine::inherit;
use crate::engine::job::WriterHandle;
use crate::engine::lock::{Claimed, DatabaseLock};
use crate::engine::remains;
use crate::engine::reserve::Reserve;
use crate::engine::status::Status;
use crate::engine::watch::Watch;
use crate::engine::writer::{Memory, Writer};
use crate::engine::{fatal, run};
use crate::files::file_system::unsafe_file_system;
use crate::files::{self, private};
use crate::options::Options;
use crate::sqlite::error::{Fail, Severity, open_error, severity};
use crate::sqlite::migrations::{self, MIGRATIONS};
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{connection, executions, meta, queries};
use crate::token::Secret;

/// A running engine.
pub(crate) struct Engine {
    pub(crate) writer: WriterHandle,
    pub(crate) secret: Secret,
    pub(crate) caches: Arc<Caches>,
    pub(crate) lock: Arc<DatabaseLock>,
    pub(crate) watch: Arc<Watch>,
}

/// Opens a database and starts its threads; the writer reads the time from `clock`.
pub(crate) fn start(options: &Options, clock: Arc<dyn Clock>) -> Result<Engine, Error> {
    create_folder(&files::real(&options.path))?;
    let path = &files::real(&options.path);
    if let Some(name) = unsafe_file_system(path) {
        tracing::warn!(
            file_system = name,
            database = %path.display(),
            "the database is not on a local disk: a lock may not keep a second engine out, and a power loss may lose what was acknowledged. Name a local file with --database"
        );
    }
    let claimed = Claimed::take(path)?;
    for_each_file(path, private::check)?;
    remains::check_new(path, claimed.was_served, options.new_database)?;
    let lock = Arc::new(claimed.lock_database(path)?);
    let refused = |error: rusqlite::Error| open_error(path, &error);
    if is_foreign(path) {
        let message = "the file is another program's database; name another file with --database";
        return Err(Error::Open { path: path.clone(), message: message.to_owned() });
    }
    let missing = remains::missing(path)?;
    if let Some(missing) = &missing
        && !options.accept_loss
    {
        return Err(remains::refusal(path, missing));
    }
    lock.make_private()
        .map_err(|error| Error::Open { path: path.clone(), message: error.to_string() })?;
    for_each_file(path, private::tighten_at)?;
    let reserve = Reserve::new(files::reserve(path), options.reserve_bytes, options.max_page_count);
    let mut conn = inherit::open(path, &reserve, options.wait_for_others)?;
    migrate(&mut conn, &reserve).map_err(|error| migration_error(path, &error))?;
    checkpoint::watch_log(&conn);
    meta::create_secret(&conn).map_err(|fail| unreadable(path, fail))?;
    let secret = meta::secret(&conn).map_err(|fail| unreadable(path, fail))?;

    let status = Arc::new(Status::default());
    let head = Head::read(&conn).map_err(refused)?;
    let keeper = TimeKeeper::new(clock, head.at, meta::clock(&conn).map_err(refused)?);
    status.set_jumps(keeper.jumps(), Duration::ZERO);
    if let Err(error) = reserve.create(&conn) {
        tracing::error!(%error, "cannot create the reserve of disk space");
        status.full.store(files::is_full(&error), Ordering::Relaxed);
    } else if !reserve.leaves_space() {
        tracing::error!("the disk is full: new calls are refused until there is space");
        status.full.store(true, Ordering::Relaxed);
    }
    let (sender, messages) = mpsc::channel();
    let caches = Arc::new(Caches::default());
    let page_size = connection::page_size(&conn).map_err(refused)?;
    let second = connection::open_writer(path).map_err(refused)?;
    let unusable = |path: PathBuf| {
        move |error: io::Error| Error::Open { path, message: format!("cannot use it: {error}") }
    };
    let watch = Watch::new(Arc::clone(&lock), page_size).map_err(unusable(files::log(path)))?;
    let watch = Arc::new(watch);
    // After a loss it stays as it is until that is logged.
    let known = missing.clone().unwrap_or_else(|| Known::from(&head));
    let head_file = HeadFile::create(path, known).map_err(unusable(files::head(path)))?;
    // Before anything is acknowledged. SQLite syncs the folder too, and ignores a failure.
    files::sync_folder(path).map_err(|error| unsynced(path, &error))?;
    let checkpoints = Checkpoints::start(
        second,
        page_size,
        options.max_log,
        Arc::clone(&status),
        Arc::clone(&watch),
    )
    .map_err(|error| no_thread(path, &error))?;
    let mut writer = Writer {
        conn,
        status: Arc::clone(&status),
        secret: secret.clone(),
        keeper,
        head,
        memory: Memory::default(),
        reserve,
        undelivered_for: micros(options.undelivered_for),
        checkpoints,
        watch: Arc::clone(&watch),
        head_file,
        caches: Arc::clone(&caches),
        parked: Vec::new(),
    };
    writer.recover(path, missing.as_ref())?;
    fatal::spawn("writer", move || run::run(writer, &messages))
        .map_err(|error| no_thread(path, &error))?;
    let writer = WriterHandle::new(sender, options.max_queue, status);
    Ok(Engine { writer, secret, caches, lock, watch })
}

impl Writer {
    /// In one transaction: logs the start, and ends every call that an earlier process left running.
    fn recover(&mut self, path: &Path, missing: Option<&Known>) -> Result<(), Error> {
        let in_doubt: i64 = self
            .conn
            .query_row(queries::COUNT_IN_DOUBT, [], |row| row.get(0))
            .map_err(|error| open_error(path, &error))?;
        self.status.in_doubt.store(in_doubt, Ordering::Relaxed);
        self.keeper.now();
        let clock = self.keeper.record();
        let recover = |tx: &mut Transaction<'_>| {
            meta::set_open(tx.conn, true)?;
            meta::put_clock(tx.conn, &clock)?;
            executions::recover(tx, missing.map(|known| (known.seq, known.hash.as_str())))
        };
        let mut recovered = self.commit_now(recover);
        if let Err(Fail::Sql(error)) = &recovered
            && severity(error) == Severity::Full
        {
            // The reserve is for the outcomes of calls.
            self.make_space(error);
            recovered = self.commit_now(recover);
        }
        recovered.map_err(|fail| unreadable(path, fail))?;
        // From now on the database says without its log that it is not whole without it.
        if checkpoint::log_fits(&self.conn) {
            checkpoint::now(&self.conn);
        }
        Ok(())
    }
}

/// Does `what` with all files beside the database, of which some may not exist.
fn for_each_file(database: &Path, what: fn(&Path) -> io::Result<()>) -> Result<(), Error> {
    let beside = [files::log, files::index, files::journal, files::reserve, files::head];
    for path in beside.map(|name| name(database)) {
        what(&path).map_err(|error| Error::Open { path, message: error.to_string() })?;
    }
    Ok(())
}

/// Migrates the schema. Gives up the reserve if the disk is full.
fn migrate(conn: &mut Connection, reserve: &Reserve) -> Result<(), rusqlite_migration::Error> {
    let mut migrated = MIGRATIONS.to_latest(conn);
    if let Err(rusqlite_migration::Error::RusqliteError { err, .. }) = &migrated
        && severity(err) == Severity::Full
        && reserve.give_up()
    {
        migrated = MIGRATIONS.to_latest(conn);
    }
    migrated
}

/// To be checked before the file is opened for writing, which would change its mode. What cannot be read
/// here is reported by the next step.
fn is_foreign(path: &Path) -> bool {
    path.exists()
        && connection::open_reader(path)
            .and_then(|conn| conn.query_row(queries::IS_FOREIGN, [], |row| row.get(0)))
            .unwrap_or(false)
}

fn create_folder(database: &Path) -> Result<(), Error> {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let folder = files::folder(database);
    let new: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    files::create_folder(database).map_err(|error| Error::Open {
        path: folder.to_owned(),
        message: format!("cannot create the folder: {error}; name another file with --database"),
    })?;
    for folder in new {
        files::sync_folder(folder).map_err(|error| unsynced(folder, &error))?;
    }
    Ok(())
}

/// The entry of a new file or folder might not survive a power loss.
fn unsynced(path: &Path, error: &std::io::Error) -> Error {
    Error::Open {
        path: path.to_owned(),
        message: format!(
            "the folder that it is in cannot be synced: {error}; name another file with --database"
        ),
    }
}

fn migration_error(path: &Path, error: &rusqlite_migration::Error) -> Error {
    let message = match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => return open_error(path, err),
        rusqlite_migration::Error::MigrationDefinition(_) => migrations::NEWER.to_owned(),
        other => format!("cannot migrate the schema: {other}"),
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
    Error::Open { path: path.to_owned(), message: format!("cannot start a thread: {error}") }
}
