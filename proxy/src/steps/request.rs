//! Step 1, what is asked: whose call it is, whether it is guarded, and its body.

use std::io;
use std::ops::ControlFlow::Break;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::MAX_FORWARDS;
use hyper::http::request::Parts;
use hyper::{Method, Request};
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::via_has;
use proxy_core::http::next_hop;
use proxy_core::http::target::Target;
use proxy_core::identity::metadata::read_metadata;
use proxy_core::mcp;
use proxy_core::mcp::message::Message;
use proxy_core::policy::decision::{HeadDecision, PassReason, PolicyDecision};
use proxy_core::received::ReceivedRequest;
use store::call::Scope;
use tokio::task::spawn_blocking;

use super::exchange::Exchange;
use super::states::{Buffered, PassedRequest, Received, Step, Stop};
use crate::body::buffer::{BufferedBody, unreadable};
use crate::body::incoming::IncomingBody;
use crate::body::request::RequestBody;
use crate::context::ProxyContext;
use crate::front::link::ClientLink;
use crate::mcp::watch::SILENT;
use crate::upstream::private::Owner;

/// Reads the head of a request for `target`, and decides by it. Also returns whose a connection
/// becomes that the request signs in. `None`: OPTIONS that go no further than here.
pub(crate) fn receive(
    context: &ProxyContext,
    link: &ClientLink,
    target: Target,
    request: Request<Incoming>,
) -> Result<Option<(Received, Owner)>, Error> {
    let (mut parts, body) = request.into_parts();
    let headers = &parts.headers;
    let metadata =
        context.with_tokens(|tokens| read_metadata(headers, link.credentials(), tokens))?;
    if via_has(headers, &context.own.addresses.instance) {
        return Err(Error::Loop);
    }
    if parts.method == Method::OPTIONS && !count_forward(&mut parts) {
        return Ok(None);
    }
    let to_api = context.leads_to_api(link, metadata.credentials.as_ref(), &target.authority);
    if !to_api {
        context.upstreams.dialer.check(target.scheme, &target.authority)?;
    }
    let owner = Owner::new(&link.private, &metadata, &parts.headers);
    let login = owner.login(&target);
    let request = ReceivedRequest { target, parts, metadata, login, policy: context.policy() };
    let decision = if to_api {
        HeadDecision::Decided(PolicyDecision::Pass(PassReason::StateApi))
    } else {
        request.policy.decide_by_head(request.head())
    };
    Ok(Some((Received { request, body, decision }, owner)))
}

/// A request that passes by its head, with its body as it comes.
pub(crate) fn stream_through(
    context: &ProxyContext,
    request: ReceivedRequest,
    body: Incoming,
    reason: PassReason,
) -> PassedRequest {
    let ReceivedRequest { target, parts, .. } = request;
    let stall = if reason == PassReason::Grpc { SILENT } else { context.timeouts.body_stall };
    let body = RequestBody::Live(IncomingBody::new(body, parts.version, stall));
    PassedRequest { target, parts, body, reason }
}

/// Counts an OPTIONS request's `Max-Forwards` down (RFC 9110, 7.6.2). False: it goes no further.
fn count_forward(parts: &mut Parts) -> bool {
    let left = parts.headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse().ok());
    match left {
        None => true,
        Some(0_u32) => false,
        Some(left) => {
            parts.headers.insert(MAX_FORWARDS, (left - 1).into());
            true
        }
    }
}

/// Reads the body and decides for good. A request that is guarded whatever its body says is refused
/// before its body is read, if its scope does not exist.
pub(crate) async fn read_body(received: Exchange<Received>) -> Step<Buffered> {
    let (mut exchange, Received { request, body, decision }) = received.split();
    let context = Arc::clone(&exchange.context);
    let headers = &request.parts.headers;
    let may_be_message = mcp::head::may_be_message(&request.parts.method, headers);
    let certain = if may_be_message {
        mcp::head::says_call(headers)
    } else {
        decision != HeadDecision::NeedsBody
    };
    let known = async {
        let scope = if certain { Some(read_scope(&context, &request).await?) } else { None };
        context.bodies.check_announced(&body)?;
        let mut body = context.bodies.read(body, request.parts.version).await?;
        let message = if may_be_message { mcp_message(&request, &mut body).await? } else { None };
        Ok((scope, body, message))
    };
    let (scope, body, message) = match known.await {
        Ok(known) => known,
        Err(error) => return Break(exchange.with(Stop::Failed(error))),
    };
    let (tool, decision) = match (message, decision) {
        (Some(message), _) => {
            let hints = Some(&*context.calls.mcp.hints);
            mcp::decide::decide(&request.policy, hints, request.head(), message)
        }
        (None, HeadDecision::Decided(decision)) => (None, decision),
        (None, HeadDecision::NeedsBody) => {
            (None, request.policy.decide_by_body(request.head(), body.in_memory()))
        }
    };
    exchange.label.mcp = tool.as_ref().map(|tool| Arc::clone(&tool.caller));
    let guarded = match decision {
        PolicyDecision::Guard(guarded) => guarded,
        PolicyDecision::Pass(reason) => {
            let passed = passed_with_body(request, &body, reason);
            return Break(exchange.with(Stop::Passed(Box::new(passed))));
        }
    };
    let scope = match scope {
        Some(scope) => Ok(scope),
        None => read_scope(&context, &request).await,
    };
    exchange.step(scope.map(|scope| Buffered { request, body, scope, guarded, tool }))
}

async fn read_scope(context: &ProxyContext, request: &ReceivedRequest) -> Result<Scope, Error> {
    Ok(context.store.scope(&request.metadata.scope).await?)
}

/// The message of MCP in the body, if it is one.
pub(crate) async fn mcp_message(
    request: &ReceivedRequest,
    body: &mut BufferedBody,
) -> Result<Option<Message>, Error> {
    if body.bytes.len() > store::MAX_KEPT_BODY as u64 {
        return Ok(None);
    }
    let bytes = body.load().await?;
    if body.in_memory().is_some() {
        return Ok(mcp::head::message(&request.parts.headers, &bytes));
    }
    let headers = request.parts.headers.clone();
    let read = spawn_blocking(move || mcp::head::message(&headers, &bytes)).await;
    read.map_err(|panic| unreadable(&io::Error::other(panic)))
}

/// A request of which the body says that it is not guarded.
fn passed_with_body(
    request: ReceivedRequest,
    body: &BufferedBody,
    reason: PassReason,
) -> PassedRequest {
    let ReceivedRequest { target, mut parts, .. } = request;
    let trailers = body.trailers.as_ref();
    next_hop::set_framing(&mut parts, body.bytes.len(), trailers);
    PassedRequest { target, parts, body: RequestBody::spooled(&body.bytes, trailers), reason }
}
