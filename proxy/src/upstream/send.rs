//! Sends a request over a kept connection or a fresh one, and knows whether bytes left.

use std::pin::pin;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::{Request, Response};
use proxy_core::error::{Error, Sent};
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::mcp::stdio;
use tokio::time::timeout;

use crate::body::outgoing::Outgoing;
use crate::context::ProxyContext;
use crate::upstream::dial;
use crate::upstream::pool::Connection;
use crate::upstream::wire::{Counted, Transport};

/// The head of an answer, and the connection that its body comes by.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Connection,
    /// From the dispatch to the head of the answer.
    pub(crate) took: Duration,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The connection was a kept one, and nothing was written to it.
    pub(crate) stale: bool,
    /// The request, where it was handed back untouched.
    request: Option<Request<Outgoing>>,
}

/// Sends `request` and waits for the head of its answer. `age`: how old a kept connection may be.
pub(crate) async fn reach(
    context: &ProxyContext,
    target: &Target,
    request: Request<Outgoing>,
    age: Option<Duration>,
) -> Result<Reached, Failure> {
    let started = Instant::now();
    let mut request = request;
    // Only HTTP/1.1 hands a connection over to another protocol.
    let alone = request.headers().contains_key(UPGRADE);
    if age != Some(Duration::ZERO)
        && let Some(kept) = context.pool.take(target, age, alone)
    {
        match attempt(context, target, kept, request).await {
            Err(Failure { request: Some(unsent), .. }) => request = unsent,
            Ok((response, connection)) => {
                return Ok(Reached { response, connection, took: started.elapsed() });
            }
            Err(failure) => return Err(failure),
        }
    }
    let fresh = connect(context, target, alone).await;
    let fresh = fresh.map_err(|error| Failure { error, stale: false, request: None })?;
    let (response, connection) = attempt(context, target, fresh, request).await?;
    Ok(Reached { response, connection, took: started.elapsed() })
}

async fn connect(
    context: &ProxyContext,
    target: &Target,
    alone: bool,
) -> Result<Connection, Error> {
    let limit = context.config.timeouts.connect;
    let (stream, hop) = match target.scheme {
        Scheme::Http if stdio::stdio_name(&target.authority.host).is_some() => {
            let wrapper = Authority { host: "127.0.0.1".to_owned(), port: target.authority.port };
            (dial::direct(&context.guard, &wrapper, limit).await?, None)
        }
        Scheme::Http => dial::dial_http(&context.guard, &target.authority, limit).await?,
        Scheme::Https => (dial::dial(&context.guard, &target.authority, limit).await?, None),
    };
    let stream = Counted::new(stream);
    let transport = match target.scheme {
        Scheme::Http => Transport::Plain(stream),
        Scheme::Https => {
            let secured = context.upstreams.secure(stream, &target.authority, alone, limit).await?;
            Transport::Tls(Box::new(secured))
        }
    };
    let mut connection = context.pool.adopt(target, transport).await?;
    connection.hop = hop;
    Ok(connection)
}

async fn attempt(
    context: &ProxyContext,
    target: &Target,
    mut connection: Connection,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let progress = connection.progress();
    let before = progress.get();
    connection.arm();
    connection.shape(&mut request, target);
    let limit = context.config.timeouts.response_head;
    let mut seen = before;
    let result = {
        let mut sending = pin!(connection.send(request));
        loop {
            match timeout(limit, &mut sending).await {
                Ok(result) => break Some(result),
                // The limit is for the answer: it begins when the upload stops moving.
                Err(_) if progress.get() > seen => seen = progress.get(),
                Err(_) => break None,
            }
        }
    };
    let Some(result) = result else {
        let detail = format!("no answer within {} s", limit.as_secs());
        let error = Error::UpstreamTimeout { detail, sent: Sent::Maybe };
        return Err(Failure { error, stale: false, request: None });
    };
    let mut failed = match result {
        Ok(response) => return Ok((response, connection)),
        Err(failed) => failed,
    };
    let request = failed.take_message();
    let unsent = request.is_some() || connection.proves_unsent(before, failed.error());
    let sent = if unsent { Sent::Never } else { Sent::Maybe };
    let error = explain(&failed.into_error(), context, sent);
    Err(Failure { error, stale: unsent && connection.reused, request })
}

/// What went wrong, in words; a client's own body that stalls is the client's fault.
fn explain(error: &hyper::Error, context: &ProxyContext, sent: Sent) -> Error {
    use std::error::Error as _;

    let mut cause = error.source();
    let mut innermost = String::new();
    while let Some(inner) = cause {
        let stalled = inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|inner| inner.kind() == std::io::ErrorKind::TimedOut);
        if error.is_user() && stalled {
            return Error::BodyStalled(context.config.timeouts.body_stall.as_secs());
        }
        innermost = format!(": {inner}");
        cause = inner.source();
    }
    let detail = format!("the upstream gave no answer: {error}{innermost}");
    Error::Upstream { detail, sent }
}
