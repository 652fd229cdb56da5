//! Step 4, send it: to the right upstream, and knowing whether bytes left.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{HeaderMap, Request, StatusCode};
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::upgrade_of;
use proxy_core::http::next_hop;
use proxy_core::http::target::{Authority, Target};
use proxy_core::mcp::stdio::{STDIO_PORT, STDIO_PROOF, STDIO_PROVER, stdio_name};
use proxy_core::policy::decision::PassReason;
use store::call::Sent as BytesSent;
use store::decision::Decision;
use store::model::EffectClass;

use super::exchange::Exchange;
use super::outbound::OutboundCall;
use super::reply::Reply;
use super::respond::live;
use super::states::{Claimed, PassedRequest, Sent};
use crate::body::incoming::IncomingBody;
use crate::body::reply::ReplyBody;
use crate::body::request::RequestBody;
use crate::context::ProxyContext;
use crate::front::link::ClientLink;
use crate::front::upgrade;
use crate::mcp::watch::{SILENT, Watch};
use crate::upstream::keeping::Reuse;
use crate::upstream::private::Owner;
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::{AnswerHead, SendFailure, Silence};

/// A call of the class `once` takes a kept connection only if that was idle no longer than this:
/// the upstream may close it at any time, and a request that was written then is of unknown
/// outcome.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

/// How often a request is sent again that its upstream has provably not begun with.
const RESENDS: u32 = 2;

/// Sends a claimed call.
pub(crate) async fn forward(claimed: Exchange<Claimed>) -> Exchange<Sent> {
    let (exchange, Claimed { running, outbound }) = claimed.split();
    let (result, late) = match send_once(&exchange, outbound).await {
        Ok(answer) => (Ok(answer), None),
        Err(failure) => (Err(failure.error), failure.late),
    };
    exchange.with(Sent { running, result, late })
}

/// Sends a call at most once: again only if nothing of it can have left.
async fn send_once(
    exchange: &Exchange<()>,
    mut call: OutboundCall,
) -> Result<AnswerHead, SendFailure> {
    let context = &exchange.context;
    let wrapper =
        stdio_wrapper(context, &call.target, &call.head.headers).map_err(SendFailure::of)?;
    let silence = exchange.label.silence(&context.timeouts);
    call.prepare(&context.own.via);
    if exchange.label.mcp.is_some() {
        call.ask_for_plain_answer();
    }
    let target = wrapper.as_ref().unwrap_or(&call.target);
    let mut reuse = Reuse::Proven(match call.class {
        EffectClass::Once => FRESH_ENOUGH,
        EffectClass::Idempotent | EffectClass::Keyed => Duration::MAX,
    });
    let mut left = RESENDS;
    loop {
        let request = call.request();
        match context.upstreams.send(target, request, &exchange.owner, reuse, &silence).await {
            Err(failure) if failure.stale && left > 0 => (left, reuse) = (left - 1, Reuse::Fresh),
            sent => return sent,
        }
    }
}

/// Where a server on stdio is reached: at the port of the loopback that its wrapper names. `None`
/// for every other target. With `refuse_loopback` the wrapper has to prove that it is one.
fn stdio_wrapper(
    context: &ProxyContext,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Option<Target>, Error> {
    if stdio_name(&target.authority.host).is_none() {
        return Ok(None);
    }
    let port = headers.get(STDIO_PORT).and_then(|port| port.to_str().ok()?.parse().ok());
    let port = port.filter(|port| *port > 0).ok_or_else(|| Error::Upstream {
        detail: format!("{} can only be reached through its wrapper", target.authority.host),
        sent: BytesSent::Never,
    })?;
    let proof = headers.get(STDIO_PROOF).and_then(|proof| proof.to_str().ok()).unwrap_or_default();
    if context.upstreams.dialer.guard.refuses_loopback()
        && !context.store.check_session_token(STDIO_PROVER, proof)
    {
        let why = format!("{} is on this machine (refuse_loopback)", target.authority.host);
        return Err(Error::Refused(why));
    }
    let authority = Authority::new(target.authority.host.clone(), port);
    Ok(Some(Target { authority, ..target.clone() }))
}

/// Sends a request that is not guarded. It is sent again if its upstream has provably not begun
/// with it or, of a read, if a kept connection ended without a byte of an answer.
async fn send_passed(
    context: &ProxyContext,
    hop: &Target,
    request: Request<RequestBody>,
    owner: &Owner,
    reads: bool,
) -> Result<AnswerHead, Error> {
    let mut again = request.body().again().map(|body| {
        let mut copy = Request::new(body);
        (*copy.method_mut(), *copy.uri_mut()) = (request.method().clone(), request.uri().clone());
        *copy.headers_mut() = request.headers().clone();
        // The case in which the client has written the names of the fields.
        *copy.extensions_mut() = request.extensions().clone();
        copy
    });
    let reuse = if reads { Reuse::Any } else { Reuse::Proven(Duration::MAX) };
    let silence = Silence { limit: context.timeouts.silence, caller: None };
    match context.upstreams.send(hop, request, owner, reuse, &silence).await {
        Ok(answer) => Ok(answer),
        Err(SendFailure { error, stale, lost, .. }) => match again.take() {
            Some(again) if stale || lost && reads => {
                let sent = context.upstreams.send(hop, again, owner, Reuse::Fresh, &silence);
                sent.await.map_err(|failure| failure.error)
            }
            _ => Err(error),
        },
    }
}

/// Passes on a request that is not guarded, streaming both ways.
pub(crate) async fn pass(
    context: &ProxyContext,
    link: &ClientLink,
    owner: &Owner,
    request: PassedRequest,
) -> Result<Reply, Error> {
    let PassedRequest { target, parts: mut head, body, reason } = request;
    let decision = if reason.bypass().is_some() { Decision::Bypassed } else { Decision::Passed };
    context.store.count(decision, &target.authority.host);
    let protocols = upgrade_of(&head.method, &head.headers);
    let watch = Watch::of(&context.calls.mcp, &target, &mut head, &reason);
    let wrapper = stdio_wrapper(context, &target, &head.headers)?;
    next_hop::prepare(&context.own.via, &target, &mut head);
    let mut request = Request::from_parts(head, body);
    let client = protocols.is_some().then(|| hyper::upgrade::on(&mut request));
    if let Some(protocols) = protocols {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, protocols);
    }
    let hop = wrapper.as_ref().unwrap_or(&target);
    let mut answer = send_passed(context, hop, request, owner, reason.bypass().is_none()).await?;
    if let Some(client) = client
        && answer.response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let upstream = hyper::upgrade::on(&mut answer.response);
        link.turn.upgrade();
        let (closing, slot) = (context.lifecycle.closing.clone(), Arc::clone(&link.slot));
        let idle = context.timeouts.tunnel_idle;
        context.lifecycle.tunnels.spawn(upgrade::join(client, upstream, closing, idle, slot));
        return Ok(live::switching(&context.own.via, answer));
    }
    let (head, incoming) = answer.response.into_parts();
    let may_be_silent = watch.is_some() || reason == PassReason::Grpc;
    let idle = if may_be_silent { SILENT } else { context.timeouts.silence };
    let body =
        UpstreamBody::new(IncomingBody::new(incoming, head.version, idle), answer.connection);
    let body = match watch {
        Some(watch) => watch.body(context, &head.headers, body),
        None => ReplyBody::upstream(body),
    };
    Ok(live::passed(
        &context.own.via,
        live::PassedAnswer { head, body, took: answer.took },
        &reason,
    ))
}
