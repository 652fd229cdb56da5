//! One request through the six steps; every way in ends here.

pub(crate) mod claim;
pub(crate) mod detached;
pub(crate) mod forward;
pub(crate) mod identify;
pub(crate) mod label;
pub(crate) mod prepared;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod respond;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::MAX_FORWARDS;
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use proxy_core::error::Error;
use proxy_core::http::request_form::Form;
use proxy_core::http::target::{ROUTE_PREFIX, Target};
use proxy_core::http::{hop_by_hop, request_form, route};
use proxy_core::identity::metadata;
use proxy_core::mcp::decide;
use proxy_core::mcp::head;
use proxy_core::policy::decision::{Decision, GRPC};
use proxy_core::received::Received;
use store::call::{Call, Claim};
use tokio::sync::OwnedSemaphorePermit;

use crate::body::buffer;
use crate::body::outgoing::Outgoing;
use crate::body::timed::Timed;
use crate::context::ProxyContext;
use crate::front::link::Link;
use crate::front::{confirm, tunnel};
use crate::mcp::watch;
use crate::steps::detached::Owned;
use crate::steps::identify::Identified;
use crate::steps::label::Label;
use crate::steps::prepared::Prepared;
use crate::steps::record::running::Running;
use crate::steps::reply::Reply;
use crate::steps::respond::stored::Wants;
use crate::steps::respond::{own, problem};

/// Answers one request.
pub(crate) async fn handle(
    context: Arc<ProxyContext>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Reply {
    let mut label = Label::default();
    match route(&context, &link, request, &mut label).await {
        Ok(reply) => reply,
        Err(error) => problem::problem(&context, &error, Some(&label)),
    }
}

/// Finds out what is asked, and of whom.
async fn route(
    context: &Arc<ProxyContext>,
    link: &Link,
    request: Request<Incoming>,
    label: &mut Label,
) -> Result<Reply, Error> {
    let inside = link.inside.as_deref().filter(|inside| !inside.own);
    let inside = inside.map(|inside| (&inside.scheme, &inside.authority));
    if request.method() == Method::TRACE {
        return Ok(own::not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT"));
    }
    let (mut head, body) = request.into_parts();
    request_form::check_framing(&head)?;
    if head.version == Version::HTTP_2 {
        hop_by_hop::join_cookies(&mut head.headers);
    }
    match request_form::form(&head, inside, &|authority| context.is_own(authority))? {
        Form::Forward(target) => {
            forwarded(context, link, target, Request::from_parts(head, body), label).await
        }
        Form::Own { path_and_query } if path_and_query.starts_with(ROUTE_PREFIX) => {
            let target =
                route::resolve(&context.routes(), &path_and_query, &head.headers, &|authority| {
                    context.is_own(authority)
                })?;
            let mut head = head;
            head.uri = target.path_and_query.parse().map_err(|_| {
                Error::Malformed("the path behind the route cannot be sent".to_owned())
            })?;
            forwarded(context, link, target, Request::from_parts(head, body), label).await
        }
        Form::Own { path_and_query } => {
            confirm::answer(context, &head.method, &path_and_query).await
        }
        Form::Tunnel(authority) => {
            tunnel::open(context, link, Request::from_parts(head, body), authority).await
        }
        Form::Options => Ok(own::options()),
    }
}

/// A request for somebody else: passed on, or guarded.
async fn forwarded(
    context: &Arc<ProxyContext>,
    link: &Link,
    target: Target,
    request: Request<Incoming>,
    label: &mut Label,
) -> Result<Reply, Error> {
    let (mut head, body) = request.into_parts();
    let credentials = link.inside.as_deref().and_then(|inside| inside.credentials.as_ref());
    let asked = metadata::asked(
        &head.headers,
        credentials,
        context.config.require_token,
        &context.check_token(),
    )?;
    if hop_by_hop::via_has(&head.headers, &context.config.instance) {
        return Err(Error::Loop);
    }
    if head.method == Method::OPTIONS && !hop_allowed(&mut head) {
        return Ok(own::options());
    }
    context.guard.check_literal(&target.authority)?;
    let policy = context.policy();
    let decision = policy.decide(&head.method, &target, &head.headers, None);
    if let Decision::Pass { kind, rule } = &decision {
        let stall = if rule == GRPC { watch::IDLE } else { context.config.timeouts.body_stall };
        let body = Outgoing::Live(Timed::new(body, head.version, stall));
        return forward::pass(context, link, &target, head, body, (*kind, rule)).await;
    }
    let request = Received { target, head, asked, policy };
    Box::pin(guarded(context, link, request, body, decision, label)).await
}

/// A call on its way to its effect: what is asked, which execution it means, may it run, send it,
/// record what came of it, answer.
async fn guarded(
    context: &Arc<ProxyContext>,
    link: &Link,
    request: Received,
    body: Incoming,
    decision: Decision,
    label: &mut Label,
) -> Result<Reply, Error> {
    let head = &request.head;
    let may_be_message = head::may_be_message(&head.method, &head.headers);
    let known = match &decision {
        Decision::Guard(_) if !may_be_message || head::says_call(&head.headers) => {
            Some(identify::scope(context, &request).await?)
        }
        _ => None,
    };
    buffer::check_announced(context, &body)?;
    let mut taken = buffer::take(context, body, head.version).await?;
    let message =
        if may_be_message { identify::mcp_message(&request, &mut taken).await? } else { None };
    let (tool, decision) = match message {
        Some(message) => decide::decide(Some(&context.mcp.hints), &request, message),
        None => (None, identify::decide(&request, &taken, decision)),
    };
    label.mcp = tool.as_ref().map(|(_, asker)| Arc::clone(asker));
    let guarded = match decision {
        Decision::Pass { kind, rule } => {
            let (head, body) = identify::unguarded(request.head, &taken);
            return forward::pass(context, link, &request.target, head, body, (kind, &rule)).await;
        }
        Decision::Guard(guarded) => guarded,
        Decision::NeedsBody => return Err(Error::Internal),
    };
    let scope = match known {
        Some(scope) => scope,
        None => identify::scope(context, &request).await?,
    };
    let wants = Wants::of(&request.head);
    let store = &context.config.store;
    let digest = |label: &str, bytes: &[u8]| Ok(store.keyed_digest(label, bytes));
    let mut identified = identify::identify(&digest, request, taken, scope, guarded, tool).await?;
    let delivery = identify::number_repeat(context, &mut identified).await?;
    *label = identified.label();
    let told = decided(context, identified, label, &wants).await;
    if let Some(delivery) = delivery.filter(|_| reply::tells(&told)) {
        link.turn.owe(context.deliveries.owe(delivery));
    }
    told
}

/// May it run: then send it, record what came of it, answer.
async fn decided(
    context: &Arc<ProxyContext>,
    identified: Identified,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    if let Some(settled) = identified.replay(context)? {
        return claim::replayed(context, &settled, identified.target(), label, wants);
    }
    let place = claim::place(context)?;
    let (call, prepared) = identified.prepare();
    // hyper drops this future when the client leaves; a claimed call must run to its end for the
    // retry to find. So from the claim on the work is the server's.
    let work = carry_out(Arc::clone(context), call, prepared, place);
    match Owned::new(&context.exchanges, work).await? {
        Carried::Out(reply) => Ok(reply),
        Carried::Not(claim, target) => claim::refused(context, claim, &target, label, wants).await,
    }
}

/// What became of a call that asked to run.
enum Carried {
    Out(Reply),
    /// It is a duplicate, or in doubt.
    Not(Claim, Target),
}

async fn carry_out(
    context: Arc<ProxyContext>,
    call: Call,
    mut prepared: Prepared,
    place: OwnedSemaphorePermit,
) -> Result<Carried, Error> {
    let lease = match claim::ask(&context, call).await? {
        Claim::Execute(lease) => lease,
        other => return Ok(Carried::Not(other, prepared.target)),
    };
    prepared.add_key(lease.execution_id());
    let running = Running::new(&context, lease, &prepared, place);
    let forwarded = forward::guarded(&context, &mut prepared).await;
    drop(prepared);
    Ok(Carried::Out(match forwarded {
        Ok(reached) => record::answer(running, reached).await,
        Err(error) => record::failure(running, error).await,
    }))
}

/// OPTIONS with `Max-Forwards` (RFC 9110, 7.6.2): false where it goes no further than here.
fn hop_allowed(head: &mut Parts) -> bool {
    let left = head.headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse().ok());
    match left {
        None => true,
        Some(0_u32) => false,
        Some(left) => {
            head.headers.insert(MAX_FORWARDS, (left - 1).into());
            true
        }
    }
}
