//! Connections to upstreams that are kept for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use hyper::http::uri;
use hyper::{Request, Response, Uri};
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::http::written;

use super::egress_proxy::EgressProxy;
use super::http2::{self, Http2Connection, Http2Stream, Refusal};
use super::keeping::{Habits, Reuse};
use super::wire::{Progress, Sharing, WireCounters};
use crate::body::request::RequestBody;

/// How many idle connections one host may have, and all hosts together.
const PER_HOST: usize = 256;
const IN_ALL: usize = 2_048;

/// How long a connection is kept idle.
const KEPT: Duration = Duration::from_secs(60);

/// The idle connections, and those that many requests share.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<PoolState>,
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

/// A connection to an upstream, for one request at a time.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    sender: Sender,
    wire: Arc<WireCounters>,
    pool: Arc<Pool>,
    scheme: Scheme,
    authority: Authority,
    since: Instant,
    /// The proxy at its other end, if it does not lead to the upstream itself.
    pub(crate) proxy: Option<Arc<EgressProxy>>,
    /// It has carried a request before, so the upstream may be about to close it.
    pub(crate) reused: bool,
    /// It has carried two, so the upstream does not close connections behind its answers.
    proven: bool,
    /// It was opened and has carried nothing: no answer was there to be closed behind.
    untouched: bool,
}

/// Where a connection stood when a request began.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) progress: u64,
    received: u64,
}

/// What is known about a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The upstream has not begun with it. `again`: another connection may be better.
    Unsent { again: bool },
    /// It was written to a kept connection, of which not a byte came. The upstream had probably
    /// closed it.
    Lost,
    /// Anything else.
    Unknown,
}

#[derive(Debug)]
pub(super) enum Sender {
    /// HTTP/1.1, for one request at a time.
    Exclusive(SendRequest<RequestBody>),
    /// A stream of an HTTP/2 connection.
    Shared(Http2Stream),
}

impl PooledConnection {
    /// How far sending has come.
    pub(crate) fn progress(&self) -> Progress {
        match &self.sender {
            Sender::Exclusive(_) => Progress::Wire(Arc::clone(&self.wire)),
            Sender::Shared(stream) => Progress::Body(stream.sent()),
        }
    }

    /// Addresses a request to the other end: a proxy gets the absolute form and its credentials,
    /// any other end neither. A request may be tried on more than one connection.
    fn address(&self, request: &mut Request<RequestBody>) {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = self.proxy.is_some().then_some(uri::Scheme::HTTP);
        parts.authority = self.proxy.as_ref().and(host);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        match self.proxy.as_ref().and_then(|proxy| proxy.authorization()) {
            Some(ours) => request.headers_mut().insert(PROXY_AUTHORIZATION, ours.clone()),
            None => request.headers_mut().remove(PROXY_AUTHORIZATION),
        };
    }

    /// `request` is about to be sent. From here on a flush passes the failpoint `after-send`.
    pub(crate) fn begin(&self, request: &Request<RequestBody>) -> Mark {
        self.wire.arm();
        self.wire.begin(self.reused, request.body().size_hint().lower());
        Mark { progress: self.progress().get(), received: self.wire.received() }
    }

    /// Gives a request the form that this connection's protocol needs.
    pub(crate) fn shape(&self, request: &mut Request<RequestBody>, target: &Target) {
        match &self.sender {
            Sender::Exclusive(_) => {
                http2::unshape(request, target);
                self.address(request);
                announce_chunks(request);
                let line = request.uri().path_and_query();
                if line.is_some_and(|line| written::has_hidden(line.as_str())) {
                    self.wire.note_hidden();
                }
            }
            Sender::Shared(stream) => stream.shape(request, target),
        }
    }

    /// Sends a request that was shaped for this connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.sender {
            Sender::Exclusive(sender) => sender.try_send_request(request).await,
            Sender::Shared(stream) => stream.send(request).await,
        }
    }

    /// Whether a failure proves that the upstream has not begun with the request that began at
    /// `mark`, and whether another connection may be better.
    pub(crate) fn fate(&self, mark: &Mark, error: &hyper::Error) -> Fate {
        match &self.sender {
            Sender::Exclusive(_) if self.wire.written() == mark.progress => {
                if self.reused {
                    self.pool.habits(|habits| {
                        habits.note_closed(&self.authority, self.since.elapsed());
                    });
                }
                Fate::Unsent { again: self.reused }
            }
            Sender::Exclusive(_) if self.reused && self.wire.received() == mark.received => {
                self.pool.habits(|habits| habits.note_lost(&self.authority));
                Fate::Lost
            }
            Sender::Exclusive(_) => Fate::Unknown,
            Sender::Shared(_) => match http2::refusal(error) {
                None => Fate::Unknown,
                Some(Refusal::NotProcessed) => Fate::Unsent { again: true },
                Some(Refusal::NeedsHttp1) => {
                    self.pool.habits(|habits| habits.note_http1(&self.authority));
                    Fate::Unsent { again: true }
                }
            },
        }
    }

    /// The head of an answer has come: the host keeps connections, if it was a kept one.
    pub(crate) fn note_answer(&mut self) {
        if self.reused && !self.proven && self.exclusive().is_some() {
            self.proven = true;
            self.pool.habits(|habits| habits.note_kept(&self.authority));
        }
    }

    /// A part of an answer's body was read, and more is to come.
    pub(crate) fn note_part(&self) {
        self.wire.note_part();
    }

    /// Whether the end of an answer is always marked, so that a lost connection does not look like
    /// one.
    pub(crate) fn marks_ends(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Keeps a connection that was opened before it was known what for.
    pub(super) fn keep_untouched(mut self) {
        self.untouched = true;
        self.keep();
    }

    /// Keeps the connection for the next request.
    pub(crate) fn give_back(mut self) {
        self.untouched = false;
        self.keep();
    }

    fn keep(mut self) {
        match &self.sender {
            Sender::Exclusive(sender) if !sender.is_closed() => {}
            // An HTTP/2 connection was never taken out.
            _ => return,
        }
        self.since = Instant::now();
        self.reused = true;
        self.wire.disarm();
        let pool = Arc::clone(&self.pool);
        pool.put(self);
    }

    /// The sender of an HTTP/1.1 connection.
    fn exclusive(&self) -> Option<&SendRequest<RequestBody>> {
        match &self.sender {
            Sender::Exclusive(sender) => Some(sender),
            Sender::Shared(_) => None,
        }
    }
}

/// Announces that a body of unknown length comes in chunks. Of a GET or HEAD hyper would send no
/// body otherwise.
fn announce_chunks(request: &mut Request<RequestBody>) {
    let body = request.body();
    if !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
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
            let stream = self.connection(Sender::Shared(stream), wire, target);
            return Some(PooledConnection { reused: true, ..stream });
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

    fn habits<T>(&self, with: impl FnOnce(&mut Habits) -> T) -> T {
        with(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner).habits)
    }

    fn put(&self, connection: PooledConnection) {
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
        let stays = |c: &PooledConnection| {
            c.exclusive().is_some_and(|sender| !sender.is_closed())
                && now.duration_since(c.since) <= KEPT
        };
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

    pub(super) fn connection(
        self: &Arc<Self>,
        sender: Sender,
        wire: Arc<WireCounters>,
        target: &Target,
    ) -> PooledConnection {
        PooledConnection {
            sender,
            wire,
            pool: Arc::clone(self),
            scheme: target.scheme,
            authority: target.authority.clone(),
            since: Instant::now(),
            proxy: None,
            reused: false,
            proven: false,
            untouched: false,
        }
    }
}
