//! What is asked of the proxy itself.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::body::stream::Body;
use crate::context::ProxyContext;
use crate::steps::reply::Reply;
use crate::steps::respond::fields;

/// The tunnel is open.
pub(crate) fn connected() -> Reply {
    plain(StatusCode::OK, "tunnel", Body::empty())
}

/// What the proxy itself can do (`OPTIONS *`).
pub(crate) fn options() -> Reply {
    let mut reply = plain(StatusCode::NO_CONTENT, "own", Body::empty());
    allow(&mut reply, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT");
    reply
}

/// TRACE, or another method than POST on `/confirm/`.
pub(crate) fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "own", Body::empty());
    allow(&mut reply, allowed);
    reply
}

fn allow(reply: &mut Reply, methods: &'static str) {
    reply.response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// Somebody takes the proxy's port for a web server.
pub(crate) fn not_a_web_server(context: &ProxyContext) -> Reply {
    let api = context.config.api_addresses.first();
    let api = api.map_or_else(String::new, |api| format!(" The state API is at http://{api}/."));
    let text = format!(
        "This is the proxy of openclaw-state-engine: start your agent with HTTP_PROXY={}.{api}\n",
        context.config.confirm_base
    );
    let mut reply = plain(StatusCode::NOT_FOUND, "own", Body::whole(text));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.response.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

/// A retry token was redeemed.
pub(crate) fn confirmed(execution_id: Uuid) -> Reply {
    #[derive(Serialize)]
    struct Confirmed {
        execution_id: Uuid,
        released: bool,
        detail: &'static str,
    }
    let body = Confirmed {
        execution_id,
        released: true,
        detail: "The next identical call is carried out as a new attempt.",
    };
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut reply = plain(StatusCode::OK, "own", Body::whole(json));
    let headers = reply.response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn plain(status: StatusCode, decision: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if decision != "tunnel" {
        fields::date(response.headers_mut(), SystemClock.now());
    }
    Reply { response, decision, upstream: None }
}
