//! A connection to an upstream, and one request's time on it.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use hyper::http::uri;
use hyper::{Request, Response, Uri};
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::http::written;
use proxy_core::identity::connection_auth::{answer_may_bind, credentials_may_bind};

use super::egress_proxy::EgressProxy;
use super::http2::{self, Http2Stream, Refusal};
use super::pool::Pool;
use super::private::Owner;
use super::wire::{Progress, WireCounters};
use crate::body::request::RequestBody;

/// A connection to an upstream, for one request at a time.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    sender: Sender,
    wire: Arc<WireCounters>,
    pool: Arc<Pool>,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) since: Instant,
    /// The proxy at its other end, if it does not lead to the upstream itself.
    pub(crate) proxy: Option<Arc<EgressProxy>>,
    /// It has carried a request before, so the upstream may be about to close it.
    pub(crate) reused: bool,
    /// It has carried two, so the upstream does not close connections behind its answers.
    proven: bool,
    /// It was opened and has carried nothing: no answer was there to be closed behind.
    pub(super) untouched: bool,
    /// Whose newest request it carries.
    owner: Option<Owner>,
    /// It may be signed in, so that nobody else may use it.
    sign_in: Option<Box<SignIn>>,
}

/// How a connection may have been signed in.
#[derive(Debug, Default)]
struct SignIn {
    /// The newest credentials that may have done it. `None`: only an answer has named a scheme.
    credentials: Option<HeaderValue>,
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
    pub(super) fn new(
        sender: Sender,
        wire: Arc<WireCounters>,
        pool: &Arc<Pool>,
        target: &Target,
    ) -> Self {
        Self {
            sender,
            wire,
            pool: Arc::clone(pool),
            scheme: target.scheme,
            authority: target.authority.clone(),
            since: Instant::now(),
            proxy: None,
            reused: false,
            proven: false,
            untouched: false,
            owner: None,
            sign_in: None,
        }
    }

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

    /// `request` of `owner` is about to be sent. From here on a flush passes the failpoint
    /// `after-send`.
    pub(super) fn begin(&mut self, request: &Request<RequestBody>, owner: &Owner) -> Mark {
        if credentials_may_bind(request.headers()) {
            let mut credentials = request.headers().get(AUTHORIZATION).cloned();
            if let Some(value) = &mut credentials {
                value.set_sensitive(true);
            }
            self.sign_in = Some(Box::new(SignIn { credentials }));
        }
        self.owner = Some(owner.clone());
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
        let answer = match &mut self.sender {
            Sender::Exclusive(sender) => sender.try_send_request(request).await,
            Sender::Shared(stream) => stream.send(request).await,
        }?;
        if answer_may_bind(answer.headers()) {
            self.sign_in.get_or_insert_default();
        }
        Ok(answer)
    }

    /// Waits until it takes a request. False: it is closed.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Exclusive(sender) => sender.ready().await.is_ok(),
            Sender::Shared(_) => true,
        }
    }

    /// Whether its upstream has not closed it, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.exclusive().is_some_and(|sender| !sender.is_closed())
    }

    /// The newest credentials that may have signed it in.
    pub(super) fn login(&self) -> Option<&HeaderValue> {
        self.sign_in.as_ref()?.credentials.as_ref()
    }

    pub(super) fn leads_to(&self, target: &Target) -> bool {
        self.scheme == target.scheme && self.authority == target.authority
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
        // An HTTP/2 connection was never taken out.
        if !self.is_open() {
            return;
        }
        self.since = Instant::now();
        self.reused = true;
        self.wire.disarm();
        let pool = Arc::clone(&self.pool);
        match self.owner.take() {
            Some(owner) if self.sign_in.is_some() => {
                if let Ok(place) = Arc::clone(&pool.private).try_acquire_owned() {
                    owner.keep(self, place);
                }
            }
            _ => pool.put(self),
        }
    }

    /// The sender of an HTTP/1.1 connection.
    pub(super) fn exclusive(&self) -> Option<&SendRequest<RequestBody>> {
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
