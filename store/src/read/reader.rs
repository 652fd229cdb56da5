//! The reader of a store: its connections, and lookups by id, name and key.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use store_core::call::{Call, Foreseen, Scope, ScopeRequest, StoredBody};
use store_core::key::{Digest, HolderKey};
use store_core::model::{Channel, EventKind, Execution, Goal, Memory, Session, Timestamp, User};
use store_core::{DEFAULT_USER, Error, LockHolder};
use uuid::Uuid;

use crate::decide::brief::Brief;
use crate::engine::lock::DatabaseLock;
use crate::engine::status::Status;
use crate::engine::watch::Watch;
use crate::engine::{holder, remains};
use crate::files::{self, Identity};
use crate::mutex::lock;
use crate::read::output;
use crate::sqlite::error::{self, Fail, Severity};
use crate::sqlite::{
    answers, claims, connection, facts, ids, meta, migrations, queries, rows, scope,
};

/// How many idle connections the engine itself keeps.
const MAX_IDLE: usize = 8;

/// Reads a store. Cloning is cheap.
///
/// Methods block: for microseconds for a lookup, up to milliseconds for a page of a list. Call lists, `stats`
/// and `verify` only where blocking is allowed.
#[derive(Clone)]
pub struct Reader(Arc<Pool>);

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Of the engine in this process, whose files are watched.
    owner: Option<WatchedDatabase>,
    status: Arc<Status>,
}

/// The database that the engine in this process owns.
struct WatchedDatabase {
    identity: Identity,
    watch: Arc<Watch>,
    /// Outlives the connections (see `DatabaseLock`).
    _descriptor: Arc<File>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Opens a database read-only. Its engine may be stopped, or run in another process.
    ///
    /// If the engine is stopped, the outcome of executions that are `running` is unknown.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = &files::real(path);
        let refused = |message: String| Error::Open { path: path.to_owned(), message };
        if !path.is_file() {
            return Err(refused("there is no database; name it with --database".to_owned()));
        }
        check_names(path).map_err(refused)?;
        let reader = Self::of(path, Arc::default(), None);
        let version: i64 = reader
            .with(|conn| Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?))
            .map_err(|_| refused("not a database of this engine, or damaged".to_owned()))?;
        if version > migrations::VERSION {
            return Err(refused(migrations::NEWER.to_owned()));
        }
        if version < migrations::VERSION {
            return Err(refused(format!(
                "its schema is version {version}, this program reads version {}; start `serve` once to migrate it",
                migrations::VERSION
            )));
        }
        Ok(reader)
    }

    /// Refuses a database that misses records that were on disk. [`Self::verify`] reads it nevertheless.
    pub fn check_whole(&self) -> Result<(), Error> {
        let missing = remains::missing(self.path())?;
        missing.map_or(Ok(()), |missing| Err(remains::refusal(self.path(), &missing)))
    }

    /// The process that owns the database at `path` now, by whatever name it has it open.
    pub fn lock_holder(path: &Path) -> Option<LockHolder> {
        holder::find(path).map(|owner| owner.holder)
    }

    /// The path of the database without links; while an engine has it open by another name (a hard link, a bind
    /// mount), that name. The files beside the database are named after it.
    pub fn database_path(path: &Path) -> PathBuf {
        holder::find(path).map_or_else(|| files::real(path), |owner| owner.database)
    }

    /// The reader of the engine that owns the database.
    pub(crate) fn of_owner(lock: &DatabaseLock, watch: Arc<Watch>, status: &Arc<Status>) -> Self {
        let owner =
            WatchedDatabase { identity: lock.identity(), watch, _descriptor: lock.descriptor() };
        Self::of(lock.path(), Arc::clone(status), Some(owner))
    }

    fn of(path: &Path, status: Arc<Status>, owner: Option<WatchedDatabase>) -> Self {
        Self(Arc::new(Pool { path: path.to_owned(), idle: Mutex::default(), owner, status }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn status(&self) -> &Status {
        &self.0.status
    }

    /// Runs reads on a connection of the pool.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fail>,
    ) -> Result<T, Error> {
        if self.0.status.is_lost() {
            return Err(Error::Lost);
        }
        let idle = lock(&self.0.idle).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.connect()?,
        };
        let result = read(&conn).map_err(|fail| match fail {
            Fail::Refused(error) => error,
            Fail::Sql(error) if self.has_lost_files(&error) => Error::Lost,
            Fail::Sql(error) => error::public(&error),
        });
        // While another process has the database open, no engine starts on a log that it has not written.
        if self.0.owner.is_some() {
            let mut idle = lock(&self.0.idle);
            if idle.len() < MAX_IDLE {
                idle.push(conn);
            }
        }
        result
    }

    /// Whether a read failed because the files are no longer what they were.
    fn has_lost_files(&self, error: &rusqlite::Error) -> bool {
        let is_lost = |owner: &WatchedDatabase| owner.watch.check_again().is_err();
        error::severity(error) == Severity::Fatal && self.0.owner.as_ref().is_some_and(is_lost)
    }

    /// The engine's files may have been replaced since the watch last looked.
    fn connect(&self) -> Result<Connection, Error> {
        let is_own = |owner: &WatchedDatabase| {
            Identity::at(&self.0.path).is_ok_and(|at| at == owner.identity)
        };
        let conn = connection::open_reader(&self.0.path);
        if !self.0.owner.as_ref().is_none_or(is_own) {
            return Err(Error::Lost);
        }
        conn.map_err(|error| error::public(&error))
    }

    /// [`Reader::with`], in one read transaction. Also cheaper than single reads.
    pub(crate) fn snapshot<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fail>,
    ) -> Result<T, Error> {
        self.with(|conn| {
            conn.prepare_cached(queries::BEGIN_READ)?.execute([])?;
            let result = read(conn);
            conn.prepare_cached(queries::COMMIT)?.execute([])?;
            result
        })
    }

    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        self.with(|conn| Ok(conn.prepare_cached(sql)?.query_row(params, map).optional()?))
    }

    pub(crate) fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        self.with(|conn| {
            Ok(conn
                .prepare_cached(sql)?
                .query_map(params, map)?
                .collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The user of an id.
    pub fn user(&self, id: Uuid) -> Result<User, Error> {
        found(self.one(queries::USER_BY_UUID, [id.as_bytes()], rows::user)?, "user", id)
    }

    /// The user of a name.
    pub fn user_by_name(&self, username: &str) -> Result<User, Error> {
        found(self.one(queries::USER_BY_NAME, [username], rows::user)?, "user", username)
    }

    /// The session of an id.
    pub fn session(&self, id: Uuid) -> Result<Session, Error> {
        let row =
            self.one(queries::SESSION_BY_UUID, [id.as_bytes()], |row| rows::session(row, 0))?;
        found(row, "session", id)
    }

    /// The user's active session with the latest activity.
    pub fn active_session(&self, user_id: Uuid) -> Result<Option<Session>, Error> {
        let user = self.with(|conn| ids::user(conn, user_id))?;
        self.one(queries::SESSION_ACTIVE, [user], |row| rows::session(row, 0))
    }

    /// The goal of an id.
    pub fn goal(&self, id: Uuid) -> Result<Goal, Error> {
        found(self.one(queries::GOAL_BY_UUID, [id.as_bytes()], rows::goal)?, "goal", id)
    }

    /// The memory of an id.
    pub fn memory(&self, id: Uuid) -> Result<Memory, Error> {
        found(self.one(queries::MEMORY_BY_UUID, [id.as_bytes()], rows::memory)?, "memory", id)
    }

    /// The channel of an id.
    pub fn channel(&self, id: Uuid) -> Result<Channel, Error> {
        found(self.one(queries::CHANNEL_BY_UUID, [id.as_bytes()], rows::channel)?, "channel", id)
    }

    /// The execution of an id, with its whole output.
    pub fn execution(&self, id: Uuid) -> Result<Execution, Error> {
        let row = self.snapshot(|conn| {
            let row = conn
                .prepare_cached(queries::EXECUTION_BY_UUID)?
                .query_row([id.as_bytes()], rows::execution)
                .optional()?;
            Ok(row.map(|row| output::complete(conn, row, output::WHOLE)).transpose()?)
        })?;
        found(row, "execution", id)
    }

    /// Up to `most` bytes of the body of an answer from byte `at` on; fewer only at its end. `None`: it is not
    /// in the store any more, or another one has taken its place. One of the same length shows at the end.
    pub fn answer_body(
        &self,
        body: &StoredBody,
        at: u64,
        most: usize,
    ) -> Result<Option<Bytes>, Error> {
        self.snapshot(|conn| Ok(answers::body(conn, body, at, most)?))
    }

    /// The execution in an existing row.
    pub(crate) fn execution_row(&self, row: i64) -> Result<Execution, Error> {
        self.snapshot(|conn| Ok(output::whole(conn, row)?))
    }

    /// The execution in an existing row, as decisions see it.
    pub(crate) fn brief(&self, row: i64) -> Result<Brief, Error> {
        self.with(|conn| Ok(facts::brief_of_row(conn, row)?))
    }

    /// The execution that holds a key now, of one user or of any.
    ///
    /// Refused with `Conflict` if more than one user or namespace holds it.
    pub fn execution_by_key(
        &self,
        key: &str,
        user_id: Option<Uuid>,
    ) -> Result<Option<Execution>, Error> {
        let prefix = HolderKey::text_prefix(key);
        let end = (u64::from_be_bytes(prefix))
            .checked_add(1)
            .map_or_else(|| vec![0xff; 25], |end| end.to_be_bytes().to_vec());
        let user = user_id.map(|id| self.with(|conn| ids::user(conn, id))).transpose()?;
        let now = self.status().now();
        let jumps = self.status().jumps();
        let holders =
            self.many(queries::HOLDERS_OF_TEXT, rusqlite::params![prefix, end], |row| {
                let ended = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros);
                let window: Option<i64> = row.get(3)?;
                let free = match (ended, window) {
                    (Some(ended), Some(window)) => now >= jumps.end(ended, window),
                    _ => false,
                };
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, free))
            })?;
        let mut holders: Vec<i64> = holders
            .into_iter()
            .filter(|(_, of, free)| !free && user.is_none_or(|user| user == *of))
            .map(|(execution, _, _)| execution)
            .collect();
        holders.dedup();
        match holders.as_slice() {
            [] => Ok(None),
            [one] => self.execution_row(*one).map(Some),
            _ => Err(Error::Conflict(
                "more than one user or namespace holds this key: give user_id, or look the execution up by its id"
                    .to_owned(),
            )),
        }
    }

    /// The newest session of this name of the user `local` that accepts calls: the one that a proxied call
    /// means by the name.
    pub fn session_by_name(&self, name: &str) -> Result<Option<Session>, Error> {
        let owner =
            self.one(queries::USER_ID_BY_NAME, [DEFAULT_USER], |row| row.get::<_, i64>(0))?;
        let Some(owner) = owner else { return Ok(None) };
        let id =
            self.one(queries::SESSION_BY_NAME, params![owner, name], |row| rows::uuid(row, 1))?;
        id.map(|id| self.session(id)).transpose()
    }

    /// How many late reports may mean a second effect (docs/SEMANTICS.md, "States"). Reads all events.
    pub fn possible_duplicates(&self) -> Result<u64, Error> {
        let count = self.one(
            queries::COUNT_EVENTS_OF_KIND,
            [EventKind::PossibleDuplicate.as_str()],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    /// The problems that SQLite finds in the file; empty if there are none. Reads the whole file.
    pub fn quick_check(&self) -> Result<Vec<String>, Error> {
        let found = self.many(queries::QUICK_CHECK, [], |row| row.get::<_, String>(0))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// The proxy token of a session, as `token SESSION` prints it.
    pub fn session_token(&self, session: &str) -> Result<String, Error> {
        Ok(self.with(meta::secret)?.session_token(session))
    }
}

/// What the proxy would do with a request.
impl Reader {
    /// The scope of a request; `None` if a part of it does not exist yet.
    pub fn scope(&self, request: &ScopeRequest) -> Result<Option<Scope>, Error> {
        self.snapshot(|conn| scope::find(conn, request))
    }

    /// HMAC-SHA256 under the store's secret, as [`crate::Store::keyed_digest`].
    pub fn keyed_digest(&self, label: &str, bytes: &[u8]) -> Result<Digest, Error> {
        Ok(self.with(meta::secret)?.digest(label, bytes))
    }

    /// What [`crate::Store::claim`] would return now.
    pub fn foresee(&self, call: &Call) -> Result<Foreseen, Error> {
        let (now, jumps) = (self.status().now(), self.status().jumps());
        self.snapshot(|conn| Ok(claims::foresee(conn, call, now, &jumps)?))
    }
}

/// The log is named after the path: under another name of the file it is not found.
fn check_names(path: &Path) -> Result<(), String> {
    let names = std::fs::metadata(path).map_or(1, |metadata| metadata.nlink());
    if names > 1 && files::size(&files::log(path)) == 0 {
        return Err(format!(
            "the file has {names} names (hard links), and the log of another name may belong to it: find them \
             with `find / -xdev -samefile {}`, and keep the one that `serve` was started with",
            path.display()
        ));
    }
    Ok(())
}

fn found<T>(row: Option<T>, what: &'static str, id: impl std::fmt::Display) -> Result<T, Error> {
    row.ok_or_else(|| Error::NotFound { what, id: format!("{id}") })
}
