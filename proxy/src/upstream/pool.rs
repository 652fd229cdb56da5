//! Connections to upstreams that are kept for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use proxy_core::http::target::{Authority, Scheme, Target};
use tokio::sync::Semaphore;

use super::connection::{PooledConnection, Sender};
use super::http2::Http2Connection;
use super::keeping::{Habits, Reuse};
use super::wire::Sharing;

/// How many idle connections one host may have, and all hosts together.
const PER_HOST: usize = 256;
const IN_ALL: usize = 2_048;

/// How long a connection is kept idle.
const KEPT: Duration = Duration::from_secs(60);

/// The idle connections, and those that many requests share.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<PoolState>,
    /// One permit for each idle connection that is its client's own.
    pub(super) private: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: Mutex::default(), private: Arc::new(Semaphore::new(IN_ALL)) }
    }
}

#[derive(Debug, Default)]
struct PoolState {
    kept: IdleConnections,
    /// How many `kept` holds.
    count: usize,
    /// HTTP/2 connections, which only TLS has. Idle or not.
    shared: HashMap<Authority, Vec<Arc<Http2Connection>>>,
    habits: Habits,
}

#[derive(Debug, Default)]
struct IdleConnections {
    http: HashMap<Authority, Vec<PooledConnection>>,
    https: HashMap<Authority, Vec<PooledConnection>>,
}

impl IdleConnections {
    fn by_host(&mut self, scheme: Scheme) -> &mut HashMap<Authority, Vec<PooledConnection>> {
        match scheme {
            Scheme::Http => &mut self.http,
            Scheme::Https => &mut self.https,
        }
    }
}

impl Pool {
    /// A connection to the target's host that `reuse` allows. Of a shared one, bytes came within
    /// the time that another may be idle.
    pub(crate) fn take(
        self: &Arc<Self>,
        target: &Target,
        reuse: Reuse,
        sharing: Sharing,
    ) -> Option<PooledConnection> {
        let limit = match reuse {
            Reuse::Any => KEPT,
            Reuse::Proven(age) => age.min(KEPT),
            Reuse::Fresh => return None,
        };
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        if target.scheme == Scheme::Https
            && sharing == Sharing::Allowed
            && let Some(shared) = idle.shared.get(&target.authority)
            && let Some(found) = shared.iter().find(|connection| connection.has_room(limit))
        {
            let (stream, wire) = (found.stream(), found.wire());
            let mut stream = PooledConnection::new(Sender::Shared(stream), wire, self, target);
            stream.reused = true;
            return Some(stream);
        }
        let now = Instant::now();
        let kept = idle.kept.by_host(target.scheme).get_mut(&target.authority)?;
        // The newest is last. One that is not ready still writes a request that was answered early.
        for place in (0..kept.len()).rev() {
            let connection = &kept[place];
            let age = now.duration_since(connection.since);
            if age > limit {
                break;
            }
            let sender = connection.exclusive();
            if sender.is_none_or(SendRequest::is_closed) {
                idle.count -= 1;
                kept.remove(place);
                idle.habits.note_closed(&target.authority, age);
                continue;
            }
            let least = if connection.untouched {
                Some(Duration::ZERO)
            } else {
                idle.habits.least_idle(&target.authority, reuse)
            };
            if least.is_some_and(|least| age >= least) && sender.is_some_and(SendRequest::is_ready)
            {
                idle.count -= 1;
                return Some(kept.remove(place));
            }
        }
        None
    }

    /// Whether the host has refused HTTP/2.
    pub(crate) fn needs_http1(&self, authority: &Authority) -> bool {
        self.habits(|habits| habits.needs_http1(authority))
    }

    pub(super) fn habits<T>(&self, with: impl FnOnce(&mut Habits) -> T) -> T {
        with(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner).habits)
    }

    pub(super) fn put(&self, connection: PooledConnection) {
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        if idle.count >= IN_ALL {
            return;
        }
        let by_host = idle.kept.by_host(connection.scheme);
        let kept = match by_host.get_mut(&connection.authority) {
            Some(kept) => kept,
            None => by_host.entry(connection.authority.clone()).or_default(),
        };
        if kept.len() < PER_HOST {
            kept.push(connection);
            idle.count += 1;
        }
    }

    /// Drops connections that are closed or were idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        let stays = |c: &PooledConnection| c.is_open() && now.duration_since(c.since) <= KEPT;
        for by_host in [&mut idle.kept.http, &mut idle.kept.https] {
            by_host.retain(|_, kept| {
                kept.retain(stays);
                !kept.is_empty()
            });
        }
        idle.count = idle.kept.http.values().chain(idle.kept.https.values()).map(Vec::len).sum();
        idle.shared.retain(|_, shared| {
            shared.retain(|connection| connection.is_of_use(KEPT));
            !shared.is_empty()
        });
    }

    /// Lets other requests use the connection too, unless there are enough already.
    pub(super) fn share(&self, authority: &Authority, fresh: &Arc<Http2Connection>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = idle.shared.entry(authority.clone()).or_default();
        shared.retain(|connection| connection.is_of_use(KEPT));
        if shared.len() < PER_HOST {
            shared.push(Arc::clone(fresh));
        }
    }
}
