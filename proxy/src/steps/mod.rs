//! One request through the six steps; every door ends here.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::MAX_FORWARDS;
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use store::call::{Call, Claim};
use tokio::sync::OwnedSemaphorePermit;

use crate::Shared;
use crate::body::{Outgoing, Timed};
use crate::call::{self, Identified, Received};
use crate::claim::{self, Prepared};
use crate::delivery;
use crate::error::Error;
use crate::headers;
use crate::intake;
use crate::owned::Owned;
use crate::policy::{Decision, GRPC};
use crate::record::{self, Running};
use crate::request::{self, Form, Target};
use crate::respond::{self, Label, Reply, Wants};
use crate::serving::Link;
use crate::{confirm, connect, forward, mcp, route};

/// Answers one request.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Reply {
    let mut label = Label::default();
    match route(&shared, &link, request, &mut label).await {
        Ok(reply) => reply,
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// Finds out what is asked, and of whom.
async fn route(
    shared: &Arc<Shared>,
    link: &Link,
    request: Request<Incoming>,
    label: &mut Label,
) -> Result<Reply, Error> {
    let inside = link.inside.as_deref().filter(|inside| !inside.own);
    let inside = inside.map(|inside| (&inside.scheme, &inside.authority));
    if request.method() == Method::TRACE {
        return Ok(respond::not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT"));
    }
    let (mut head, body) = request.into_parts();
    request::check_framing(&head)?;
    if head.version == Version::HTTP_2 {
        headers::join_cookies(&mut head.headers);
    }
    match request::form(&head, inside, &|authority| shared.is_own(authority))? {
        Form::Forward(target) => {
            forwarded(shared, link, target, Request::from_parts(head, body), label).await
        }
        Form::Own { path_and_query } if path_and_query.starts_with(route::PREFIX) => {
            let target =
                route::resolve(&shared.policy(), &path_and_query, &head.headers, &|authority| {
                    shared.is_own(authority)
                })?;
            let mut head = head;
            head.uri = target.path_and_query.parse().map_err(|_| {
                Error::Malformed("the path behind the route cannot be sent".to_owned())
            })?;
            forwarded(shared, link, target, Request::from_parts(head, body), label).await
        }
        Form::Own { path_and_query } => {
            confirm::answer(shared, &head.method, &path_and_query).await
        }
        Form::Tunnel(authority) => {
            connect::open(shared, link, Request::from_parts(head, body), authority).await
        }
        Form::Options => Ok(respond::options()),
    }
}

/// A request for somebody else: passed on, or guarded.
async fn forwarded(
    shared: &Arc<Shared>,
    link: &Link,
    target: Target,
    request: Request<Incoming>,
    label: &mut Label,
) -> Result<Reply, Error> {
    let (mut head, body) = request.into_parts();
    let credentials = link.inside.as_deref().and_then(|inside| inside.credentials.as_ref());
    let asked = request::asked(
        &head.headers,
        credentials,
        shared.config.require_token,
        &shared.check_token(),
    )?;
    if headers::via_has(&head.headers, &shared.config.instance) {
        return Err(Error::Loop);
    }
    if head.method == Method::OPTIONS && !hop_allowed(&mut head) {
        return Ok(respond::options());
    }
    shared.guard.check_literal(&target.authority)?;
    let policy = shared.policy();
    let decision = policy.decide(&head.method, &target, &head.headers, None);
    if let Decision::Pass { kind, rule } = &decision {
        let stall = if rule == GRPC { mcp::watch::IDLE } else { shared.config.timeouts.body_stall };
        let body = Outgoing::Live(Timed::new(body, head.version, stall));
        return forward::pass(shared, link, &target, head, body, (*kind, rule)).await;
    }
    let request = Received { target, head, asked, policy };
    Box::pin(guarded(shared, link, request, body, decision, label)).await
}

/// A call on its way to its effect: what is asked, which execution it means, may it run, send it,
/// record what came of it, answer.
async fn guarded(
    shared: &Arc<Shared>,
    link: &Link,
    request: Received,
    body: Incoming,
    decision: Decision,
    label: &mut Label,
) -> Result<Reply, Error> {
    let head = &request.head;
    let may_be_message = mcp::head::may_be_message(&head.method, &head.headers);
    let known = match &decision {
        Decision::Guard(_) if !may_be_message || mcp::head::says_call(&head.headers) => {
            Some(call::scope(shared, &request).await?)
        }
        _ => None,
    };
    intake::check_announced(shared, &body)?;
    let mut taken = intake::take(shared, body, head.version).await?;
    let message =
        if may_be_message { call::mcp_message(&request, &mut taken).await? } else { None };
    let (tool, decision) = match message {
        Some(message) => mcp::decide(Some(&shared.mcp.hints), &request, message),
        None => (None, call::decide(&request, &taken, decision)),
    };
    label.mcp = tool.as_ref().map(|(_, asker)| Arc::clone(asker));
    let guarded = match decision {
        Decision::Pass { kind, rule } => {
            let (head, body) = call::unguarded(request.head, &taken);
            return forward::pass(shared, link, &request.target, head, body, (kind, &rule)).await;
        }
        Decision::Guard(guarded) => guarded,
        Decision::NeedsBody => return Err(Error::Internal),
    };
    let scope = match known {
        Some(scope) => scope,
        None => call::scope(shared, &request).await?,
    };
    let wants = Wants::of(&request.head);
    let store = &shared.config.store;
    let digest = |label: &str, bytes: &[u8]| Ok(store.keyed_digest(label, bytes));
    let mut identified = call::identify(&digest, request, taken, scope, guarded, tool).await?;
    let delivery = delivery::number(shared, &mut identified).await?;
    *label = identified.label();
    let told = decided(shared, identified, label, &wants).await;
    if let Some(delivery) = delivery.filter(|_| delivery::tells(&told)) {
        link.turn.owe(shared.deliveries.owe(delivery));
    }
    told
}

/// May it run: then send it, record what came of it, answer.
async fn decided(
    shared: &Arc<Shared>,
    identified: Identified,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    if let Some(settled) = identified.replay(shared)? {
        return claim::replayed(shared, &settled, identified.target(), label, wants);
    }
    let place = claim::place(shared)?;
    let (call, prepared) = identified.prepare();
    // hyper drops this future when the client leaves; a claimed call must run to its end for the
    // retry to find. So from the claim on the work is the server's.
    let work = carry_out(Arc::clone(shared), call, prepared, place);
    match Owned::new(&shared.exchanges, work).await? {
        Carried::Out(reply) => Ok(reply),
        Carried::Not(claim, target) => claim::refused(shared, claim, &target, label, wants).await,
    }
}

/// What became of a call that asked to run.
enum Carried {
    Out(Reply),
    /// It is a duplicate, or in doubt.
    Not(Claim, Target),
}

async fn carry_out(
    shared: Arc<Shared>,
    call: Call,
    mut prepared: Prepared,
    place: OwnedSemaphorePermit,
) -> Result<Carried, Error> {
    let lease = match claim::ask(&shared, call).await? {
        Claim::Execute(lease) => lease,
        other => return Ok(Carried::Not(other, prepared.target)),
    };
    prepared.add_key(lease.execution_id());
    let running = Running::new(&shared, lease, &prepared, place);
    let forwarded = forward::guarded(&shared, &mut prepared).await;
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
