//! Answers of the proxy itself.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use store::decision::Decision;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::body::reply::ReplyBody;
use crate::config::Outcome;
use crate::context::ProxyContext;
use crate::steps::reply::Reply;
use crate::steps::respond::fields::add_date;

/// The methods that the proxy answers.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT";

/// The tunnel is open.
pub(crate) fn connected() -> Reply {
    let response = Response::new(ReplyBody::empty());
    Reply::new(response, Outcome::Decided(Decision::Tunnel), None)
}

/// What the proxy itself can do (`OPTIONS *`).
pub(crate) fn options() -> Reply {
    let mut reply = plain(StatusCode::NO_CONTENT, ReplyBody::empty());
    allow(&mut reply, METHODS);
    reply
}

/// TRACE, or a method other than POST on `/confirm/`.
pub(crate) fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, ReplyBody::empty());
    allow(&mut reply, allowed);
    reply
}

fn allow(reply: &mut Reply, methods: &'static str) {
    reply.response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// A request treats the proxy's port as a web server.
pub(crate) fn not_a_web_server(context: &ProxyContext) -> Reply {
    let api = context.own.addresses.api.first();
    let api = api.map_or_else(String::new, |api| format!(" The state API is at http://{api}/."));
    let text = format!(
        "This is the proxy of openclaw-state-engine: start your agent with HTTP_PROXY={}.{api}\n",
        context.own.addresses.confirm_base
    );
    let mut reply = plain(StatusCode::NOT_FOUND, ReplyBody::whole(text));
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
        detail: "The next identical call runs as a new attempt.",
    };
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut reply = plain(StatusCode::OK, ReplyBody::whole(json));
    let headers = reply.response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn plain(status: StatusCode, body: ReplyBody) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    add_date(response.headers_mut(), SystemClock.now());
    Reply::new(response, Outcome::Own, None)
}
