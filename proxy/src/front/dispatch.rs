//! What a request asks for: an upstream, a tunnel, or the proxy itself.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::join_cookies;
use proxy_core::http::request_form::{TargetForm, check_framing, read_target};
use proxy_core::http::route;
use proxy_core::http::target::{Authority, ROUTE_PREFIX, Target};
use proxy_core::http::written;

use super::link::ClientLink;
use super::{confirm, tunnel};
use crate::context::ProxyContext;
use crate::steps;
use crate::steps::reply::Reply;
use crate::steps::respond::{own, problem};

/// Answers one request.
pub(crate) async fn handle(
    context: Arc<ProxyContext>,
    link: Arc<ClientLink>,
    request: Request<Incoming>,
) -> Reply {
    match dispatch(&context, &link, request).await {
        Ok(reply) => reply,
        Err(error) => problem::problem(&context, &error, None),
    }
}

async fn dispatch(
    context: &Arc<ProxyContext>,
    link: &ClientLink,
    request: Request<Incoming>,
) -> Result<Reply, Error> {
    if request.method() == Method::TRACE {
        return Ok(own::not_allowed(own::METHODS));
    }
    let (mut head, body) = request.into_parts();
    check_framing(&head)?;
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    let is_own = |authority: &Authority| context.own.is(authority);
    let inside = link.tunnel_target().map(|tunnel| (&tunnel.scheme, &tunnel.authority));
    match read_target(&head, inside, &is_own)? {
        TargetForm::Forward(target) => {
            steps::answer(context, link, target, Request::from_parts(head, body)).await
        }
        TargetForm::Own { path_and_query } if path_and_query.starts_with(ROUTE_PREFIX) => {
            let target = route_target(context, &mut head, &path_and_query)?;
            steps::answer(context, link, target, Request::from_parts(head, body)).await
        }
        TargetForm::Own { path_and_query } => {
            confirm::answer(context, &head.method, &path_and_query).await
        }
        TargetForm::Tunnel(authority) => {
            tunnel::open(context, link, Request::from_parts(head, body), authority).await
        }
        TargetForm::Options => Ok(own::options()),
    }
}

/// Where a route leads. The head gets the path that the upstream sees.
fn route_target(
    context: &ProxyContext,
    head: &mut Parts,
    path_and_query: &str,
) -> Result<Target, Error> {
    let is_own = |authority: &Authority| context.own.is(authority);
    let target = route::resolve(&context.routes(), path_and_query, &head.headers, &is_own)?;
    head.uri = written::for_parser(&target.path_and_query)
        .parse()
        .map_err(|_| Error::Malformed("the path after the route cannot be sent".to_owned()))?;
    Ok(target)
}
