//! Connections to upstreams: made, counted, kept for the next request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use hyper::http::uri;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use proxy_core::error::{Error, Sent};
use proxy_core::http::target::{Authority, Scheme, Target};
use tokio::net::TcpStream;

use crate::body::outgoing::Outgoing;
use crate::upstream::egress_proxy::Hop;
use crate::upstream::http2::{self, Multiplexed, Stream};
use crate::upstream::wire::{Counted, Transport, Wire};

/// How many idle connections one host may have, and all hosts together.
const PER_HOST: usize = 256;
const IN_ALL: usize = 2_048;

/// For how long a connection is kept idle.
const KEPT: Duration = Duration::from_secs(60);

/// The most header fields of an answer.
const MAX_HEADERS: usize = 256;

/// The idle connections, and those that many requests share.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    kept: Kept,
    /// Of those in `kept`.
    count: usize,
    /// HTTP/2, by TLS alone; idle or not.
    shared: HashMap<Authority, Vec<Arc<Multiplexed>>>,
}

#[derive(Debug, Default)]
struct Kept {
    http: HashMap<Authority, Vec<Connection>>,
    https: HashMap<Authority, Vec<Connection>>,
}

impl Kept {
    fn by_host(&mut self, scheme: Scheme) -> &mut HashMap<Authority, Vec<Connection>> {
        match scheme {
            Scheme::Http => &mut self.http,
            Scheme::Https => &mut self.https,
        }
    }
}

/// A connection to an upstream, for one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    wire: Arc<Wire>,
    pool: Arc<Pool>,
    scheme: Scheme,
    authority: Authority,
    since: Instant,
    /// The proxy at its other end, where it does not lead to the upstream itself.
    pub(crate) hop: Option<Arc<Hop>>,
    /// It has carried a request before, so the upstream may be about to close it.
    pub(crate) reused: bool,
}

#[derive(Debug)]
enum Sender {
    /// HTTP/1.1: nobody else's.
    Alone(SendRequest<Outgoing>),
    /// A stream of an HTTP/2 connection.
    Shared(Stream),
}

impl Connection {
    /// How far sending has come.
    pub(crate) fn progress(&self) -> Progress {
        match &self.sender {
            Sender::Alone(_) => Progress::Wire(Arc::clone(&self.wire)),
            Sender::Shared(stream) => Progress::Body(stream.sent()),
        }
    }

    /// Gives a request the form that the other end wants: to a proxy the absolute one, with the
    /// proxy's credentials; to all others neither. A request may be tried on more than one connection.
    fn address(&self, request: &mut Request<Outgoing>) {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = self.hop.is_some().then_some(uri::Scheme::HTTP);
        parts.authority = self.hop.as_ref().and(host);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        match self.hop.as_ref().and_then(|hop| hop.authorization()) {
            Some(ours) => request.headers_mut().insert(PROXY_AUTHORIZATION, ours.clone()),
            None => request.headers_mut().remove(PROXY_AUTHORIZATION),
        };
    }

    /// From here on a flush means that a guarded request was sent.
    pub(crate) fn arm(&self) {
        self.wire.arm();
    }

    /// Gives the request the form that this connection's protocol wants.
    pub(crate) fn shape(&self, request: &mut Request<Outgoing>, target: &Target) {
        match &self.sender {
            Sender::Alone(_) => {
                http2::unshape(request, target);
                self.address(request);
                tell_framing(request);
            }
            Sender::Shared(stream) => stream.shape(request, target),
        }
    }

    /// Sends a request that was shaped for it.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        match &mut self.sender {
            Sender::Alone(sender) => sender.try_send_request(request).await,
            Sender::Shared(stream) => stream.send(request).await,
        }
    }

    /// Does a failure prove that the upstream has not begun with the request. `before`: what
    /// [`Progress::get`] was before it was sent.
    pub(crate) fn proves_unsent(&self, before: u64, error: &hyper::Error) -> bool {
        match &self.sender {
            Sender::Alone(_) => self.wire.written() == before,
            Sender::Shared(_) => http2::refused(error),
        }
    }

    /// The end of an answer is always told: a lost connection does not look like one.
    pub(crate) fn tells_ends(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Keeps it for the next request.
    pub(crate) fn give_back(mut self) {
        match &self.sender {
            Sender::Alone(sender) if !sender.is_closed() => {}
            // It was never taken out.
            _ => return,
        }
        self.since = Instant::now();
        self.reused = true;
        self.wire.disarm();
        let pool = Arc::clone(&self.pool);
        pool.put(self);
    }

    /// `None`: it is a stream, and others look after it.
    fn alone(&self) -> Option<&SendRequest<Outgoing>> {
        match &self.sender {
            Sender::Alone(sender) => Some(sender),
            Sender::Shared(_) => None,
        }
    }
}

/// Says that a body of unknown length comes in chunks: of a GET or HEAD hyper would send none of it.
fn tell_framing(request: &mut Request<Outgoing>) {
    let body = request.body();
    if !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}

/// How far sending has come, in bytes: of the connection, or of the body where others share it.
#[derive(Debug)]
pub(crate) enum Progress {
    Wire(Arc<Wire>),
    Body(Arc<AtomicU64>),
}

impl Progress {
    pub(crate) fn get(&self) -> u64 {
        match self {
            Self::Wire(wire) => wire.written(),
            Self::Body(sent) => sent.load(Ordering::Acquire),
        }
    }
}

impl Pool {
    /// A connection to the target's host that has been idle for at most `age`, or is shared and has
    /// been heard of since. `alone`: not a shared one.
    pub(crate) fn take(
        self: &Arc<Self>,
        target: &Target,
        age: Option<Duration>,
        alone: bool,
    ) -> Option<Connection> {
        let limit = age.unwrap_or(KEPT).min(KEPT);
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        if target.scheme == Scheme::Https
            && !alone
            && let Some(shared) = idle.shared.get(&target.authority)
            && let Some(found) = shared.iter().find(|connection| connection.has_room(limit))
        {
            let (stream, wire) = (found.stream(), found.wire());
            let stream = self.connection(Sender::Shared(stream), wire, target);
            return Some(Connection { reused: true, ..stream });
        }
        let now = Instant::now();
        let kept = idle.kept.by_host(target.scheme).get_mut(&target.authority)?;
        // The newest is last. One that is not ready still writes a request that was answered early.
        for place in (0..kept.len()).rev() {
            let connection = &kept[place];
            if now.duration_since(connection.since) > limit {
                break;
            }
            let sender = connection.alone();
            let closed = sender.is_none_or(SendRequest::is_closed);
            if closed || sender.is_some_and(SendRequest::is_ready) {
                idle.count -= 1;
                let connection = kept.remove(place);
                if !closed {
                    return Some(connection);
                }
            }
        }
        None
    }

    fn put(&self, connection: Connection) {
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

    /// Closes what is closed already or has been idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        let stays = |c: &Connection| {
            c.alone().is_some_and(|sender| !sender.is_closed())
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

    /// From now on others may use it too, unless there are enough already.
    fn share(&self, authority: &Authority, made: &Arc<Multiplexed>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = idle.shared.entry(authority.clone()).or_default();
        shared.retain(|connection| connection.is_of_use(KEPT));
        if shared.len() < PER_HOST {
            shared.push(Arc::clone(made));
        }
    }

    /// Speaks HTTP on a fresh connection: the version that its TLS has agreed on, else 1.1.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        target: &Target,
        transport: Transport,
    ) -> Result<Connection, Error> {
        let multiplexed = transport.is_http2();
        let wire = transport.wire();
        let io = TokioIo::new(transport);
        if multiplexed {
            let made = Multiplexed::handshake(io, Arc::clone(&wire)).await;
            let made = made.map_err(|error| mute(&target.authority, &error))?;
            let stream = made.stream();
            self.share(&target.authority, &made);
            return Ok(self.connection(Sender::Shared(stream), wire, target));
        }
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await
            .map_err(|error| mute(&target.authority, &error))?;
        tokio::spawn(async move {
            // Whoever waits for the answer gets the error too.
            let _ = connection.with_upgrades().await;
        });
        Ok(self.connection(Sender::Alone(sender), wire, target))
    }

    /// Keeps a connection that was made before it was known what for.
    pub(crate) async fn keep(self: &Arc<Self>, authority: &Authority, stream: TcpStream) {
        let (scheme, authority) = (Scheme::Http, authority.clone());
        let target = Target { scheme, authority, path_and_query: String::new() };
        if let Ok(connection) = self.adopt(&target, Transport::Plain(Counted::new(stream))).await {
            connection.give_back();
        }
    }

    fn connection(
        self: &Arc<Self>,
        sender: Sender,
        wire: Arc<Wire>,
        target: &Target,
    ) -> Connection {
        Connection {
            sender,
            wire,
            pool: Arc::clone(self),
            scheme: target.scheme,
            authority: target.authority.clone(),
            since: Instant::now(),
            hop: None,
            reused: false,
        }
    }
}

fn mute(authority: &Authority, error: &hyper::Error) -> Error {
    Error::Upstream {
        detail: format!("could not speak HTTP with {authority}: {error}"),
        sent: Sent::Never,
    }
}
