//! The six steps of a guarded call, a file each.

pub(crate) mod claim;
mod detached;
pub(crate) mod exchange;
mod forward;
pub(crate) mod identify;
pub(crate) mod label;
mod outbound;
mod prepare;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod states;
mod stop;

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use proxy_core::error::Error;
use proxy_core::http::target::Target;
use proxy_core::policy::decision::{HeadDecision, PolicyDecision};

use self::detached::Detached;
use self::exchange::Exchange;
use self::reply::Reply;
use self::respond::own;
use self::states::{Received, Stop};
use crate::context::ProxyContext;
use crate::front::delivery::Waiting;
use crate::front::link::ClientLink;

/// Answers a request for an upstream: guards it, or passes it on.
pub(crate) async fn answer(
    context: &Arc<ProxyContext>,
    link: &ClientLink,
    target: Target,
    request: Request<Incoming>,
) -> Result<Reply, Error> {
    let Some((received, owner)) = request::receive(context, link, target, request)? else {
        return Ok(own::options());
    };
    let decision = match received.decision {
        HeadDecision::Decided(PolicyDecision::Pass(reason)) => {
            let Received { request, body, .. } = received;
            let passed = request::stream_through(context, request, body, reason);
            return forward::pass(context, link, &owner, passed).await;
        }
        decision => decision,
    };
    let (waiting, client) = Waiting::new(link);
    let received = Exchange::new(context, &client, owner, Received { decision, ..received });
    // Boxed, so that a request that passes does not carry the state of a guarded one.
    let guarded = Box::pin(async {
        match guard(received).await {
            Continue(reply) => Ok(reply),
            Break(stopped) => stop::answer(stopped, link).await,
        }
    });
    let reply = guarded.await;
    waiting.end();
    reply
}

/// A guarded call, from its request to its answer.
async fn guard(received: Exchange<Received>) -> ControlFlow<Exchange<Stop>, Reply> {
    let buffered = request::read_body(received).await?;
    let identified = identify::identify(buffered).await?;
    let admitted = claim::admit(identified)?;
    let context = Arc::clone(&admitted.context);
    // hyper drops this future when the client leaves. From the claim on the call runs to its end,
    // so that a retry finds the outcome.
    let detached = Detached::new(&context.lifecycle.calls, async move {
        let claimed = claim::claim(admitted).await?;
        let sent = forward::forward(claimed).await;
        let recorded = record::record(sent).await;
        Continue(respond::respond(recorded))
    });
    detached.await
}
