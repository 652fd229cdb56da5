//! `/readyz` and `/metrics`.

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use store::Health;

use super::response::{JSON, ResponseBody, TEXT, respond};

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    /// What is not ready, in words.
    problems: Vec<&'a str>,
    /// The URL of the proxy, if there is one.
    proxy: Option<&'a str>,
    store: &'a Health,
}

/// 200 while the engine accepts calls, else 503; the body names what is not ready.
pub(crate) fn ready(
    health: &Health,
    draining: bool,
    proxy: Option<&str>,
) -> Response<ResponseBody> {
    let mut problems: Vec<_> = health.problems.iter().map(String::as_str).collect();
    if draining {
        problems.push("the engine is stopping");
    }
    let ready = health.ready && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(&Readiness { ready, problems, proxy, store: health }) {
        Ok(body) => respond(status, JSON, body),
        Err(_) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal error\n"),
    }
}

/// All metrics as `OpenMetrics` text.
pub(crate) fn metrics(registry: &Registry) -> Response<ResponseBody> {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        return respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal error\n");
    }
    let mut response = respond(StatusCode::OK, TEXT, text);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}
