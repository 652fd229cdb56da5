//! Counts and health of the whole store, for `get_stats`, `/metrics` and `/readyz`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use store_core::Error;
use store_core::model::{SessionStatus, Stats};

use crate::engine::status::Histogram;
use crate::files;
use crate::read::overview;
use crate::read::reader::Reader;
use crate::sqlite::queries;

/// A jump of the wall clock that is reported.
const NOTABLE_JUMP: Duration = Duration::from_secs(60);

/// The health of a store, from memory and file sizes only.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// New calls are accepted.
    pub ready: bool,
    /// What is wrong, in words; empty if nothing is.
    pub problems: Vec<String>,
    /// New claims are refused for lack of disk space.
    pub full: bool,
    /// The wall clock jumped forward by a minute or more since the start of the engine.
    pub clock_jumped: bool,
    /// The number of jobs that wait for the writer.
    pub queue_depth: u64,
    /// The number of proxied calls under a lease.
    pub in_flight: u64,
    /// The number of executions in doubt.
    pub in_doubt: u64,
    /// Size of the database file in bytes.
    pub database_bytes: u64,
    /// Size of the write-ahead log in bytes.
    pub wal_bytes: u64,
    /// The duration of commits.
    pub commit_seconds: Histogram,
    /// The number of the newest event.
    pub events: u64,
}

impl Reader {
    /// Counts over the whole store. Reads whole indexes: takes seconds on millions of rows.
    pub fn stats(&self) -> Result<Stats, Error> {
        let count = |sql| {
            Ok::<u64, Error>(
                self.one(sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs(),
            )
        };
        let by_status = |sql, word: fn(i64) -> Option<&'static str>| {
            let rows =
                self.many(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            Ok::<BTreeMap<String, u64>, Error>(
                rows.into_iter()
                    .filter_map(|(status, n)| Some((word(status)?.to_owned(), n.unsigned_abs())))
                    .collect(),
            )
        };
        let events = self.one(queries::EVENT_HEAD, [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
        Ok(Stats {
            users: count(queries::COUNT_USERS)?,
            sessions: by_status(queries::COUNT_SESSIONS, |n| {
                SessionStatus::from_number(n).map(SessionStatus::as_str)
            })?,
            goals: count(queries::COUNT_GOALS)?,
            executions: overview::executions_by_status(&self.many(
                queries::COUNT_EXECUTIONS,
                [],
                |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())),
            )?),
            duplicates: count(queries::SUM_DUPLICATES)?,
            memories: count(queries::COUNT_MEMORIES)?,
            channels: count(queries::COUNT_CHANNELS)?,
            events: events.unsigned_abs(),
            decisions: self
                .status()
                .decisions()
                .into_iter()
                .map(|(decision, n)| (decision.to_owned(), n))
                .collect(),
            database_bytes: files::size(self.path()),
            wal_bytes: files::size(&files::log(self.path())),
        })
    }
}

/// The health of an open store. `queued`: how many jobs wait for the writer.
pub(crate) fn health(reader: &Reader, queued: usize) -> Health {
    let status = reader.status();
    let full = status.full.load(Ordering::Relaxed);
    let log_full = status.log_full.load(Ordering::Relaxed);
    let stalled = status.stalled.load(Ordering::Relaxed);
    let jumped = status.jumped();
    let clock_jumped = jumped >= NOTABLE_JUMP;
    let lost = status.lost().borrow().clone();
    let mut problems = Vec::new();
    if let Some(how) = &lost {
        let how = how.rsplit_once('/').map_or(how.as_str(), |(_, name)| name);
        problems.push(format!(
            "the store lost its files ({how}): new calls are refused, and the engine stops"
        ));
    }
    if full {
        problems.push("the disk is full: new calls are refused until there is space".to_owned());
    }
    if stalled {
        problems
            .push("outcomes are waiting for disk space, or for another program that is using the database".to_owned());
    }
    if log_full {
        problems.push(
            "the write-ahead log is too large: new calls are refused until it shrinks".to_owned(),
        );
    }
    if clock_jumped {
        problems.push(format!(
            "the wall clock jumped forward by {} s: check the machine's time; keys and stored data expire by the time that passed",
            jumped.as_secs()
        ));
    }
    let number = |counter: &std::sync::atomic::AtomicI64| {
        u64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(0)
    };
    let wal_bytes = files::size(&files::log(reader.path()));
    if status.log_pinned.load(Ordering::Relaxed) {
        problems.push(format!(
            "the write-ahead log has {wal_bytes} bytes: another program's open read transaction may keep it from shrinking"
        ));
    }
    Health {
        ready: !full && !stalled && !log_full && lost.is_none(),
        problems,
        full,
        clock_jumped,
        queue_depth: queued as u64,
        in_flight: number(&status.in_flight),
        in_doubt: number(&status.in_doubt),
        database_bytes: files::size(reader.path()),
        wal_bytes,
        commit_seconds: status.commits(),
        events: status.events(),
    }
}
