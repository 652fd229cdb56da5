//! Sends a request over a kept connection or a fresh one, and knows whether bytes left.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::header::UPGRADE;
use hyper::{Method, Request, Response, StatusCode};
use proxy_core::error::Error;
use proxy_core::http::head::is_grpc;
use proxy_core::http::request_form::has_known_coding;
use proxy_core::http::target::{Scheme, Target};
use proxy_core::identity::connection_auth::credentials_may_bind;
use proxy_core::mcp::caller::Caller;
use proxy_core::mcp::stdio::stdio_name;
use store::call::Sent;
use tokio::time::timeout;

use super::address_guard::AddressGuard;
use super::connection::{Fate, PooledConnection};
use super::dial::Dialer;
use super::egress_proxy::EgressProxies;
use super::keeping::Reuse;
use super::pool::Pool;
use super::private::Owner;
use super::tls::UpstreamTls;
use super::wire::{CountedStream, Sharing, Transport};
use crate::body::request::RequestBody;
use crate::config::Timeouts;

/// The upstreams, and the connections to them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pub(crate) dialer: Dialer,
    pub(crate) pool: Arc<Pool>,
    tls: UpstreamTls,
    timeouts: Timeouts,
}

/// The head of an answer, and the connection that its body comes by.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: PooledConnection,
    /// From the dispatch to the head of the answer.
    pub(crate) took: Duration,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) struct SendFailure {
    pub(crate) error: Error,
    /// The upstream has not begun with the request, and another connection may be better.
    pub(crate) stale: bool,
    /// The request went to a kept connection of which not a byte came: a read may be repeated.
    pub(crate) lost: bool,
    /// The request, if it was handed back untouched.
    request: Option<Request<RequestBody>>,
    /// The answer, which may still come, if the upstream was silent for too long.
    pub(crate) late: Option<LateHead>,
}

type Sending = Pin<
    Box<
        dyn Future<
                Output = (
                    Result<Response<Incoming>, TrySendError<Request<RequestBody>>>,
                    PooledConnection,
                ),
            > + Send,
    >,
>;

/// The head of an answer that may still come. Dropping it closes the connection.
pub(crate) struct LateHead {
    sending: Sending,
    started: Instant,
    reads_no_body: bool,
}

impl fmt::Debug for LateHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateHead").finish_non_exhaustive()
    }
}

impl LateHead {
    /// Waits for the head. `None`: it does not come any more.
    pub(crate) async fn head(self) -> Option<AnswerHead> {
        let (result, connection) = self.sending.await;
        let response =
            result.ok().filter(|response| has_readable_body(response, self.reads_no_body))?;
        Some(AnswerHead { response, connection, took: self.started.elapsed() })
    }
}

/// Whether it is known where the answer's body ends and how it is coded (RFC 9112, 6.3). `to_head`:
/// it has none, as the answer to HEAD.
fn has_readable_body(response: &Response<Incoming>, to_head: bool) -> bool {
    let has_none = to_head
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status())
        || response.status().is_informational();
    has_none || has_known_coding(response.headers())
}

fn unreadable_body() -> Error {
    let detail = "the upstream's answer has a transfer coding other than chunked".to_owned();
    Error::Upstream { detail, sent: Sent::Maybe }
}

/// How often it is looked for signs of life within the time that an upstream may be silent.
const TICKS: u32 = 8;

/// How long an upstream may be silent.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    pub(crate) limit: Duration,
    /// The caller of a tool of MCP, of whose progress other streams bring notes.
    pub(crate) caller: Option<Arc<Caller>>,
}

impl Silence {
    /// How many notes came on other streams.
    pub(crate) fn notes(&self) -> u64 {
        self.caller.as_ref().map_or(0, |caller| caller.notes())
    }
}

impl SendFailure {
    /// A failure after which nothing is tried again.
    pub(crate) fn of(error: Error) -> Self {
        Self { error, stale: false, lost: false, request: None, late: None }
    }
}

impl Upstreams {
    pub(crate) fn new(
        guard: AddressGuard,
        proxies: Option<EgressProxies>,
        tls: UpstreamTls,
        timeouts: &Timeouts,
    ) -> Self {
        Self {
            dialer: Dialer::new(guard, proxies, timeouts.connect),
            pool: Arc::default(),
            tls,
            timeouts: timeouts.clone(),
        }
    }

    /// Sends `request` of `owner` and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        target: &Target,
        mut request: Request<RequestBody>,
        owner: &Owner,
        reuse: Reuse,
        silence: &Silence,
    ) -> Result<AnswerHead, SendFailure> {
        let started = Instant::now();
        let sharing = self.sharing(target, &request);
        if let Some(kept) = self.kept(target, &request, owner, reuse, sharing).await {
            match self.attempt(target, kept, request, owner, silence).await {
                Err(SendFailure { request: Some(unsent), .. }) => request = unsent,
                Ok((response, connection)) => {
                    return Ok(AnswerHead { response, connection, took: started.elapsed() });
                }
                Err(failure) => return Err(failure),
            }
        }
        let fresh = self.connect(target, sharing).await;
        let fresh = fresh.map_err(SendFailure::of)?;
        let (response, connection) = self.attempt(target, fresh, request, owner, silence).await?;
        Ok(AnswerHead { response, connection, took: started.elapsed() })
    }

    /// What kind of connection the request needs. What signs its connection in must not share it.
    fn sharing(&self, target: &Target, request: &Request<RequestBody>) -> Sharing {
        // Only HTTP/1.1 hands a connection over to another protocol.
        let needs_http1 = request.headers().contains_key(UPGRADE)
            || target.scheme == Scheme::Https && self.pool.needs_http1(&target.authority);
        match credentials_may_bind(request.headers()) {
            _ if needs_http1 => Sharing::Exclusive,
            true if is_grpc(request.headers()) => Sharing::Alone,
            true => Sharing::Exclusive,
            false => Sharing::Allowed,
        }
    }

    /// The owner's own connection to the target, if there is one: it may be signed in. Otherwise one
    /// that nobody has signed in.
    async fn kept(
        &self,
        target: &Target,
        request: &Request<RequestBody>,
        owner: &Owner,
        reuse: Reuse,
        sharing: Sharing,
    ) -> Option<PooledConnection> {
        if reuse != Reuse::Fresh
            && let Some(mut own) = owner.take(target, credentials_may_bind(request.headers()))
            && timeout(self.timeouts.connect, own.ready()).await == Ok(true)
        {
            return Some(own);
        }
        self.pool.take(target, reuse, sharing)
    }

    async fn connect(&self, target: &Target, sharing: Sharing) -> Result<PooledConnection, Error> {
        let authority = &target.authority;
        let (stream, proxy) = match target.scheme {
            Scheme::Http if stdio_name(&authority.host).is_some() => {
                (self.dialer.wrapper(authority.port).await?, None)
            }
            Scheme::Http => self.dialer.http(authority).await?,
            Scheme::Https => (self.dialer.tunnel(authority).await?, None),
        };
        let stream = CountedStream::new(stream);
        let transport = match target.scheme {
            Scheme::Http => Transport::plain(stream),
            Scheme::Https => {
                let limit = self.timeouts.connect;
                Transport::tls(self.tls.connect(stream, authority, sharing, limit).await?)
            }
        };
        let mut connection = self.pool.adopt(target, transport, sharing).await?;
        connection.proxy = proxy;
        Ok(connection)
    }

    async fn attempt(
        &self,
        target: &Target,
        mut connection: PooledConnection,
        mut request: Request<RequestBody>,
        owner: &Owner,
        silence: &Silence,
    ) -> Result<(Response<Incoming>, PooledConnection), SendFailure> {
        let started = Instant::now();
        let progress = connection.progress();
        let mark = connection.begin(&request, owner);
        connection.shape(&mut request, target);
        let reads_no_body = request.method() == Method::HEAD;
        let mut last = (mark.progress, silence.notes());
        let mut sending: Sending = Box::pin(async move {
            let result = connection.send(request).await;
            (result, connection)
        });
        let mut silent = 0;
        let (result, mut connection) = loop {
            let waited = timeout(silence.limit / TICKS, &mut sending).await;
            let seen = (progress.get(), silence.notes());
            match waited {
                Ok(sent) => break sent,
                // The limit is for the answer: it starts when the upload stops moving.
                Err(_) if seen != last => (last, silent) = (seen, 0),
                Err(_) if silent + 1 < TICKS => silent += 1,
                Err(_) => {
                    let detail = format!("no answer within {} s", silence.limit.as_secs());
                    let error = Error::UpstreamTimeout { detail, sent: Sent::Maybe };
                    let late = Some(LateHead { sending, started, reads_no_body });
                    return Err(SendFailure { late, ..SendFailure::of(error) });
                }
            }
        };
        let mut failed = match result {
            Ok(response) => {
                connection.note_answer();
                if !has_readable_body(&response, reads_no_body) {
                    return Err(SendFailure::of(unreadable_body()));
                }
                return Ok((response, connection));
            }
            Err(failed) => failed,
        };
        let request = failed.take_message();
        let fate = match &request {
            Some(_) => Fate::Unsent { again: connection.reused },
            None => connection.fate(&mark, failed.error()),
        };
        let sent = if matches!(fate, Fate::Unsent { .. }) { Sent::Never } else { Sent::Maybe };
        let error = self.explain(&failed.into_error(), sent);
        let stale = fate == Fate::Unsent { again: true };
        let failure = SendFailure { stale, request, ..SendFailure::of(error) };
        Err(SendFailure { lost: fate == Fate::Lost, ..failure })
    }

    /// What went wrong, in words. A request body that stalls is the client's fault.
    fn explain(&self, error: &hyper::Error, sent: Sent) -> Error {
        use std::error::Error as _;

        let mut cause = error.source();
        let mut innermost = String::new();
        while let Some(inner) = cause {
            let stalled = inner
                .downcast_ref::<std::io::Error>()
                .is_some_and(|inner| inner.kind() == std::io::ErrorKind::TimedOut);
            if error.is_user() && stalled {
                return Error::BodyStalled(self.timeouts.body_stall.as_secs());
            }
            innermost = format!(": {inner}");
            cause = inner.source();
        }
        let detail = format!("the upstream gave no answer: {error}{innermost}");
        Error::Upstream { detail, sent }
    }
}
