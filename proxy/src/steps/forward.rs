//! Step 4, send it: to the right upstream, and knowing whether bytes left.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, StatusCode};
use proxy_core::error::{Error, Sent};
use proxy_core::http::target::{Authority, Target};
use proxy_core::http::{hop_by_hop, next_hop};
use proxy_core::mcp::stdio;
use proxy_core::policy::decision::{GRPC, Passed};
use store::model::EffectClass;

use crate::body::outgoing::Outgoing;
use crate::body::stream::Body;
use crate::body::timed::Timed;
use crate::context::ProxyContext;
use crate::front::link::Link;
use crate::mcp::watch::{self, Watch};
use crate::steps::prepared::Prepared;
use crate::steps::reply::Reply;
use crate::steps::respond::live;
use crate::upstream::response_body::FromUpstream;
use crate::upstream::send::{self, Reached};

/// A `once` call goes over a kept connection only if that was idle no longer: the upstream may
/// close it at any time, and a request that was written then is of unknown outcome.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

/// Forwards what is not guarded, streaming both ways.
pub(crate) async fn pass(
    context: &ProxyContext,
    link: &Link,
    target: &Target,
    mut head: Parts,
    body: Outgoing,
    why: (Passed, &str),
) -> Result<Reply, Error> {
    let told = match why {
        (Passed::Read, _) => {
            context.config.store.count("passed", &target.authority.host);
            None
        }
        (Passed::Bypassed, rule) => {
            context.config.store.count("bypassed", &target.authority.host);
            Some(rule.split_ascii_whitespace().next().unwrap_or_default().trim_start_matches('-'))
        }
    };
    let upgrade = hop_by_hop::upgrade_of(&head.method, &head.headers);
    let watched = Watch::of(context, target, &mut head, why.1);
    let hop = stdio_hop(target, &head.headers)?;
    next_hop::prepare(&context.via, target, &mut head);
    let mut request = Request::from_parts(head, body);
    let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    if let Some(protocol) = upgrade {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, protocol);
    }
    let hop = hop.as_ref().unwrap_or(target);
    let mut reached = send::reach(context, hop, request, None).await.map_err(|f| f.error)?;
    if let Some(client) = client
        && reached.response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let upstream = hyper::upgrade::on(&mut reached.response);
        link.turn.upgrade();
        let (closing, slot) = (context.closing.clone(), Arc::clone(&link.slot));
        context.tunnels.spawn(crate::front::upgrade::join(client, upstream, closing, slot));
        return Ok(live::switching(context, reached));
    }
    let (head, incoming) = reached.response.into_parts();
    let quiet = watched.is_some() || why.1 == GRPC;
    let idle = if quiet { watch::IDLE } else { context.config.timeouts.body_idle };
    let body = FromUpstream::new(Timed::new(incoming, head.version, idle), reached.connection);
    let body = match watched {
        Some(watch) => watch.body(context, &head.headers, body),
        None => Body::upstream(body),
    };
    Ok(live::passed(context, head, body, told, reached.took))
}

/// Sends a claimed call, at most once: again only where nothing of it can have left.
pub(crate) async fn guarded(context: &ProxyContext, call: &mut Prepared) -> Result<Reached, Error> {
    let hop = stdio_hop(&call.target, &call.head.headers)?;
    call.for_next_hop(context);
    let hop = hop.as_ref().unwrap_or(&call.target);
    let age = (call.class == EffectClass::Once).then_some(FRESH_ENOUGH);
    let first = match send::reach(context, hop, call.request(), age).await {
        Ok(reached) => return Ok(reached),
        Err(failure) => failure,
    };
    if !first.stale {
        return Err(first.error);
    }
    send::reach(context, hop, call.request(), Some(Duration::ZERO)).await.map_err(|f| f.error)
}

/// Where a server on stdio is reached: at the port of the loopback that its wrapper names. `None`
/// for every other target.
fn stdio_hop(target: &Target, headers: &HeaderMap) -> Result<Option<Target>, Error> {
    if stdio::stdio_name(&target.authority.host).is_none() {
        return Ok(None);
    }
    let port = headers.get(stdio::STDIO_PORT).and_then(|port| port.to_str().ok()?.parse().ok());
    let port = port.filter(|port| *port > 0).ok_or_else(|| Error::Upstream {
        detail: format!("{} is reached by its wrapper alone", target.authority.host),
        sent: Sent::Never,
    })?;
    let authority = Authority { host: target.authority.host.clone(), port };
    Ok(Some(Target { authority, ..target.clone() }))
}
