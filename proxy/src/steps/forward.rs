//! Step 4, send it: to the right upstream, and knowing whether bytes left.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRAILER, UPGRADE};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use store::model::EffectClass;
use tokio::time::timeout;

use crate::Shared;
use crate::body::{Body, FromUpstream, Outgoing, Timed};
use crate::claim::Prepared;
use crate::dial;
use crate::error::{Error, Sent};
use crate::headers;
use crate::mcp;
use crate::mcp::watch::{self, Watch};
use crate::policy::{GRPC, Passed};
use crate::pool::{Connection, Counted, Transport};
use crate::request::{Authority, Scheme, Target};
use crate::respond::{self, Reply};
use crate::serving::Link;

/// A `once` call goes over a kept connection only if that was idle no longer: the upstream may
/// close it at any time, and a request that was written then is of unknown outcome.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

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
struct Failure {
    error: Error,
    /// The connection was a kept one, and nothing was written to it.
    stale: bool,
    /// The request, where it was handed back untouched.
    request: Option<Request<Outgoing>>,
}

/// Forwards what is not guarded, streaming both ways.
pub(crate) async fn pass(
    shared: &Shared,
    link: &Link,
    target: &Target,
    mut head: Parts,
    body: Outgoing,
    why: (Passed, &str),
) -> Result<Reply, Error> {
    let told = match why {
        (Passed::Read, _) => {
            shared.config.store.count("passed", &target.authority.host);
            None
        }
        (Passed::Bypassed, rule) => {
            shared.config.store.count("bypassed", &target.authority.host);
            Some(rule.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches('-'))
        }
    };
    let upgrade = headers::upgrade_of(&head.method, &head.headers);
    let watched = Watch::of(shared, target, &mut head, why.1);
    let hop = stdio_hop(target, &head.headers)?;
    prepare(shared, target, &mut head);
    let mut request = Request::from_parts(head, body);
    let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    if let Some(protocol) = upgrade {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, protocol);
    }
    let hop = hop.as_ref().unwrap_or(target);
    let mut reached = reach(shared, hop, request, None).await.map_err(|f| f.error)?;
    if let Some(client) = client
        && reached.response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let upstream = hyper::upgrade::on(&mut reached.response);
        link.turn.upgrade();
        let (closing, slot) = (shared.closing.clone(), Arc::clone(&link.slot));
        shared.tunnels.spawn(crate::connect::join(client, upstream, closing, slot));
        return Ok(respond::switching(shared, reached));
    }
    let (head, incoming) = reached.response.into_parts();
    let quiet = watched.is_some() || why.1 == GRPC;
    let idle = if quiet { watch::IDLE } else { shared.config.timeouts.body_idle };
    let body = FromUpstream::new(Timed::new(incoming, head.version, idle), reached.connection);
    let body = match watched {
        Some(watch) => watch.body(shared, &head.headers, body),
        None => Body::upstream(body),
    };
    Ok(respond::passed(shared, head, body, told, reached.took))
}

/// Sends a claimed call, at most once: again only where nothing of it can have left.
pub(crate) async fn guarded(shared: &Shared, call: &mut Prepared) -> Result<Reached, Error> {
    let hop = stdio_hop(&call.target, &call.head.headers)?;
    call.for_next_hop(shared);
    let hop = hop.as_ref().unwrap_or(&call.target);
    let age = (call.class == EffectClass::Once).then_some(FRESH_ENOUGH);
    let first = match reach(shared, hop, call.request(), age).await {
        Ok(reached) => return Ok(reached),
        Err(failure) => failure,
    };
    if !first.stale {
        return Err(first.error);
    }
    reach(shared, hop, call.request(), Some(Duration::ZERO)).await.map_err(|f| f.error)
}

/// Where a server on stdio is reached: at the port of the loopback that its wrapper names. `None`
/// for every other target.
fn stdio_hop(target: &Target, headers: &HeaderMap) -> Result<Option<Target>, Error> {
    if mcp::stdio_name(&target.authority.host).is_none() {
        return Ok(None);
    }
    let port = headers.get(mcp::STDIO_PORT).and_then(|port| port.to_str().ok()?.parse().ok());
    let port = port.filter(|port| *port > 0).ok_or_else(|| Error::Upstream {
        detail: format!("{} is reached by its wrapper alone", target.authority.host),
        sent: Sent::Never,
    })?;
    let authority = Authority { host: target.authority.host.clone(), port };
    Ok(Some(Target { authority, ..target.clone() }))
}

/// Makes a request head that of the next hop: origin form, our Via, none of what is ours or the
/// connection's.
pub(crate) fn prepare(shared: &Shared, target: &Target, head: &mut Parts) {
    let trailer = head.headers.get(TRAILER).cloned();
    headers::strip_request(&mut head.headers);
    headers::add_via(&mut head.headers, &shared.via);
    if let Some(trailer) = trailer {
        // hyper sends only the trailers that this field announces.
        head.headers.insert(TRAILER, trailer);
    }
    headers::set_host(&mut head.headers, target);
    let path_and_query = std::mem::take(&mut head.uri).into_parts().path_and_query;
    head.uri = Uri::from(path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
    head.version = Version::HTTP_11;
}

/// Tells the upstream the length that was counted, not the one that was announced, and the
/// trailers that came: hyper sends only those that are announced, in chunks.
pub(crate) fn set_framing(head: &mut Parts, length: u64, trailers: Option<&HeaderMap>) {
    let announced = head.headers.contains_key(CONTENT_LENGTH);
    let expected = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    headers::remove_where(&mut head.headers, |name| {
        name == "trailer" || trailers.is_some() && name == "content-length"
    });
    if let Some(trailers) = trailers {
        for name in trailers.keys() {
            head.headers.append(TRAILER, HeaderValue::from(name.clone()));
        }
    } else if length > 0 || announced || expected {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Sends `request` and waits for the head of its answer. `age`: how old a kept connection may be.
async fn reach(
    shared: &Shared,
    target: &Target,
    request: Request<Outgoing>,
    age: Option<Duration>,
) -> Result<Reached, Failure> {
    let started = Instant::now();
    let mut request = request;
    // Only HTTP/1.1 hands a connection over to another protocol.
    let alone = request.headers().contains_key(UPGRADE);
    if age != Some(Duration::ZERO)
        && let Some(kept) = shared.pool.take(target, age, alone)
    {
        match attempt(shared, target, kept, request).await {
            Err(Failure { request: Some(unsent), .. }) => request = unsent,
            Ok((response, connection)) => {
                return Ok(Reached { response, connection, took: started.elapsed() });
            }
            Err(failure) => return Err(failure),
        }
    }
    let fresh = connect(shared, target, alone).await;
    let fresh = fresh.map_err(|error| Failure { error, stale: false, request: None })?;
    let (response, connection) = attempt(shared, target, fresh, request).await?;
    Ok(Reached { response, connection, took: started.elapsed() })
}

async fn connect(shared: &Shared, target: &Target, alone: bool) -> Result<Connection, Error> {
    let limit = shared.config.timeouts.connect;
    let (stream, hop) = match target.scheme {
        Scheme::Http if mcp::stdio_name(&target.authority.host).is_some() => {
            let wrapper = Authority { host: "127.0.0.1".to_owned(), port: target.authority.port };
            (dial::direct(&shared.guard, &wrapper, limit).await?, None)
        }
        Scheme::Http => dial::dial_http(&shared.guard, &target.authority, limit).await?,
        Scheme::Https => (dial::dial(&shared.guard, &target.authority, limit).await?, None),
    };
    let stream = Counted::new(stream);
    let transport = match target.scheme {
        Scheme::Http => Transport::Plain(stream),
        Scheme::Https => {
            let secured = shared.upstreams.secure(stream, &target.authority, alone, limit).await?;
            Transport::Tls(Box::new(secured))
        }
    };
    let mut connection = shared.pool.adopt(target, transport).await?;
    connection.hop = hop;
    Ok(connection)
}

async fn attempt(
    shared: &Shared,
    target: &Target,
    mut connection: Connection,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let progress = connection.progress();
    let before = progress.get();
    connection.arm();
    connection.shape(&mut request, target);
    let limit = shared.config.timeouts.response_head;
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
    let error = explain(&failed.into_error(), shared, sent);
    Err(Failure { error, stale: unsent && connection.reused, request })
}

/// What went wrong, in words; a client's own body that stalls is the client's fault.
fn explain(error: &hyper::Error, shared: &Shared, sent: Sent) -> Error {
    use std::error::Error as _;

    let mut cause = error.source();
    let mut innermost = String::new();
    while let Some(inner) = cause {
        let stalled = inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|inner| inner.kind() == std::io::ErrorKind::TimedOut);
        if error.is_user() && stalled {
            return Error::BodyStalled(shared.config.timeouts.body_stall.as_secs());
        }
        innermost = format!(": {inner}");
        cause = inner.source();
    }
    let detail = format!("the upstream gave no answer: {error}{innermost}");
    Error::Upstream { detail, sent }
}
