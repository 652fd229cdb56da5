//! Sends a request over a kept connection or a fresh one, and knows whether bytes left.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::{Request, Response};
use proxy_core::error::Error;
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::mcp::stdio::stdio_name;
use store::call::Sent;
use tokio::time::timeout;

use super::address_guard::AddressGuard;
use super::dial::Dialer;
use super::egress_proxy::EgressProxies;
use super::keeping::Reuse;
use super::pool::{Fate, Pool, PooledConnection};
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
}

impl SendFailure {
    /// A failure after which nothing is tried again.
    fn of(error: Error) -> Self {
        Self { error, stale: false, lost: false, request: None }
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

    /// Sends `request` and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        target: &Target,
        mut request: Request<RequestBody>,
        reuse: Reuse,
    ) -> Result<AnswerHead, SendFailure> {
        let started = Instant::now();
        // Only HTTP/1.1 hands a connection over to another protocol.
        let exclusive = request.headers().contains_key(UPGRADE)
            || target.scheme == Scheme::Https && self.pool.needs_http1(&target.authority);
        let sharing = if exclusive { Sharing::Exclusive } else { Sharing::Allowed };
        if let Some(kept) = self.pool.take(target, reuse, sharing) {
            match self.attempt(target, kept, request).await {
                Err(SendFailure { request: Some(unsent), .. }) => request = unsent,
                Ok((response, connection)) => {
                    return Ok(AnswerHead { response, connection, took: started.elapsed() });
                }
                Err(failure) => return Err(failure),
            }
        }
        let fresh = self.connect(target, sharing).await;
        let fresh = fresh.map_err(SendFailure::of)?;
        let (response, connection) = self.attempt(target, fresh, request).await?;
        Ok(AnswerHead { response, connection, took: started.elapsed() })
    }

    async fn connect(&self, target: &Target, sharing: Sharing) -> Result<PooledConnection, Error> {
        let authority = &target.authority;
        let (stream, proxy) = match target.scheme {
            Scheme::Http if stdio_name(&authority.host).is_some() => {
                let wrapper = Authority::new("127.0.0.1", authority.port);
                (self.dialer.direct(&wrapper).await?, None)
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
        let mut connection = self.pool.adopt(target, transport).await?;
        connection.proxy = proxy;
        Ok(connection)
    }

    async fn attempt(
        &self,
        target: &Target,
        mut connection: PooledConnection,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, PooledConnection), SendFailure> {
        let progress = connection.progress();
        let mark = connection.begin(&request);
        connection.shape(&mut request, target);
        let limit = self.timeouts.response_head;
        let mut last = mark.progress;
        let result = {
            let mut sending = pin!(connection.send(request));
            loop {
                match timeout(limit, &mut sending).await {
                    Ok(result) => break Some(result),
                    // The limit is for the answer: it starts when the upload stops moving.
                    Err(_) if progress.get() > last => last = progress.get(),
                    Err(_) => break None,
                }
            }
        };
        let Some(result) = result else {
            let detail = format!("no answer within {} s", limit.as_secs());
            return Err(SendFailure::of(Error::UpstreamTimeout { detail, sent: Sent::Maybe }));
        };
        let mut failed = match result {
            Ok(response) => {
                connection.note_answer();
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
        Err(SendFailure { error, stale, lost: fate == Fate::Lost, request })
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
