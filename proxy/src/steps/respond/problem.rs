//! Problems of ours (RFC 9457): the status, the code, and what to do next.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use proxy_core::error::{Error, Sent};
use serde::Serialize;
use store::call::{Doubt, Problem, Settled};
use store::model::Timestamp;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::body::stream::Body;
use crate::context::ProxyContext;
use crate::steps::label::Label;
use crate::steps::reply::Reply;
use crate::steps::respond::fields::{self, PROXY_STATUS};

/// A gateway problem of ours, to the caller whose call got no answer.
pub(crate) fn unanswered(
    context: &ProxyContext,
    error: &Error,
    settled: &Settled,
    label: &Label,
) -> Reply {
    build(context, error, Some(label), settled.doubt.as_ref())
}

/// A problem as an event of a stream that has begun: the response to a tool call of MCP.
pub(crate) fn told_event(
    context: &ProxyContext,
    error: &Error,
    settled: Option<&Settled>,
    label: &Label,
) -> Bytes {
    let Some(asker) = &label.mcp else { return Bytes::new() };
    let doubt = doubt_told(Some(label), settled.and_then(|settled| settled.doubt.as_ref()));
    let body = problem_body(context, error, Some(label), doubt.as_deref());
    asker.problem_event(&body.text(), &serde_json::to_vec(&body).unwrap_or_default())
}

/// A problem of ours.
pub(crate) fn problem(context: &ProxyContext, error: &Error, label: Option<&Label>) -> Reply {
    let doubt = match error {
        Error::InDoubt(doubt) => Some(doubt),
        _ => None,
    };
    build(context, error, label, doubt)
}

/// The members of a problem (RFC 9457), with ours.
#[derive(Debug, Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    doubt: Option<DoubtBody<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    kept: Option<KeptBody<'a>>,
}

impl ProblemBody<'_> {
    /// For a model, which reads the text of a tool's result and nothing else.
    fn text(&self) -> String {
        use std::fmt::Write as _;

        let mut text = format!("{}. {}", self.title, self.detail);
        if let Some(id) = self.execution_id {
            let _ = write!(text, "\nexecution_id: {id}");
        }
        if let Some(doubt) = &self.doubt {
            let lines = [
                ("verify", doubt.verify),
                ("retry_token", doubt.retry_token),
                ("confirm_url", doubt.confirm_url.as_deref()),
            ];
            for (name, value) in lines {
                if let Some(value) = value {
                    let _ = write!(text, "\n{name}: {value}");
                }
            }
        }
        text
    }
}

#[derive(Debug, Serialize)]
struct DoubtBody<'a> {
    sent_at: Timestamp,
    last_event: &'a str,
    verify: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct KeptBody<'a> {
    answer_status: u16,
    sha256: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

/// What the rule lets be told of a doubt.
fn doubt_told<'a>(label: Option<&Label>, doubt: Option<&'a Doubt>) -> Option<Cow<'a, Doubt>> {
    doubt.map(|doubt| label.map_or(Cow::Borrowed(doubt), |label| label.tells(doubt)))
}

/// The execution that an error is about.
fn execution_of(error: &Error, label: Option<&Label>) -> Option<Uuid> {
    match error {
        Error::InProgress(id) | Error::KeyReuse(id) | Error::NotKept { execution_id: id, .. } => {
            Some(*id)
        }
        Error::InDoubt(doubt) => Some(doubt.execution_id),
        _ => label.and_then(|label| label.execution_id),
    }
}

fn problem_body<'a>(
    context: &ProxyContext,
    error: &'a Error,
    label: Option<&'a Label>,
    doubt: Option<&'a Doubt>,
) -> ProblemBody<'a> {
    let verify = label.and_then(Label::verify);
    let (status, code, title) = kind(error);
    ProblemBody {
        r#type: format!("urn:openclaw-state-engine:{code}"),
        title,
        status: status.as_u16(),
        detail: detail(error, doubt, verify),
        execution_id: execution_of(error, label),
        sent: match error {
            Error::Upstream { sent, .. } | Error::UpstreamTimeout { sent, .. } => {
                Some(sent.as_str())
            }
            _ => None,
        },
        doubt: doubt.map(|doubt| doubt_body(context, doubt, verify)),
        kept: match error {
            Error::NotKept { status, sha256, size, location, .. } if *status > 0 => {
                Some(KeptBody {
                    answer_status: *status,
                    sha256,
                    size: *size,
                    location: location.as_deref(),
                })
            }
            _ => None,
        },
    }
}

fn build(
    context: &ProxyContext,
    error: &Error,
    label: Option<&Label>,
    doubt: Option<&Doubt>,
) -> Reply {
    let doubt = doubt_told(label, doubt);
    let doubt = doubt.as_deref();
    let (status, code, _) = kind(error);
    let body = problem_body(context, error, label, doubt);
    let execution_id = body.execution_id;
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut fields = HeaderMap::new();
    let mut response = if let Some(asker) = label.and_then(|label| label.mcp.as_ref()) {
        // A model sees the results of its tools, and no statuses.
        Response::new(Body::whole(asker.problem(&mut fields, &body.text(), &json)))
    } else {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = Response::new(Body::whole(json));
        *response.status_mut() = status;
        response
    };
    *response.headers_mut() = fields;
    let headers = response.headers_mut();
    headers.insert(PROXY_STATUS, proxy_status(error));
    fields::date(headers, SystemClock.now());
    let (word, reason) = told(error, doubt, execution_id.is_some());
    if let Some(word) = word {
        let mut label = label.cloned().unwrap_or_default();
        label.execution_id = execution_id;
        if let Error::InDoubt(doubt) = error {
            label.attempt = doubt.attempt;
        }
        label.put(headers, word, reason, false);
    }
    match error {
        Error::InProgress(_) => retry_after(headers, 10),
        Error::QueueFull(_) => retry_after(headers, 1),
        Error::Credentials(_) => {
            let scheme = HeaderValue::from_static("Basic realm=\"openclaw-state-engine\"");
            headers.insert(PROXY_AUTHENTICATE, scheme);
        }
        Error::NotKept { location: Some(location), .. } => {
            if let Ok(location) = HeaderValue::from_str(location) {
                headers.insert(LOCATION, location);
            }
        }
        _ => {}
    }
    if let Some(doubt) = doubt {
        fields::in_doubt(headers, doubt);
    }
    Reply { response, decision: word.unwrap_or(code), upstream: None }
}

/// Status, code and title of each error (`docs/FAILURE_CONTRACT.md`).
fn kind(error: &Error) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        Error::Malformed(_) => (S::BAD_REQUEST, "malformed", "The request cannot be understood"),
        Error::Refused(_) => (S::FORBIDDEN, "refused", "The proxy does not do this"),
        Error::UnknownRoute(_) => (S::NOT_FOUND, "unknown-route", "No such route"),
        Error::UnknownScope(_) => (S::NOT_FOUND, "unknown-scope", "No such user, session or goal"),
        Error::ForeignScope(_) => {
            (S::FORBIDDEN, "foreign-scope", "The session or goal is somebody else's")
        }
        Error::SessionEnded(_) => (S::GONE, "session-ended", "The session has ended"),
        Error::Credentials(_) => {
            (S::PROXY_AUTHENTICATION_REQUIRED, "credentials", "The proxy needs the session's token")
        }
        Error::BodyStalled(_) => (S::REQUEST_TIMEOUT, "body-stalled", "The request body stalled"),
        Error::TooLarge(_) => (S::PAYLOAD_TOO_LARGE, "too-large", "The request body is too large"),
        Error::Misdirected(_) => {
            (S::MISDIRECTED_REQUEST, "malformed", "The request came to the wrong place")
        }
        Error::Unsupported(_) => (S::NOT_IMPLEMENTED, "unsupported", "Not supported"),
        Error::Loop => (S::LOOP_DETECTED, "loop", "The request has come back to its proxy"),
        Error::Upstream { .. } => (S::BAD_GATEWAY, "upstream-failed", "The tool did not answer"),
        Error::UpstreamTimeout { .. } => {
            (S::GATEWAY_TIMEOUT, "upstream-timeout", "The tool did not answer in time")
        }
        Error::InProgress(_) => (S::CONFLICT, "in-progress", "The same call is still running"),
        Error::KeyReuse(_) => {
            (S::UNPROCESSABLE_ENTITY, "key-reuse", "The idempotency key belongs to another request")
        }
        Error::InDoubt(_) => {
            (S::FAILED_DEPENDENCY, "in-doubt", "This call may already have taken effect")
        }
        Error::NotKept { .. } => {
            (S::GONE, "response-not-kept", "The call took effect; its answer was not kept")
        }
        Error::QueueFull(_) => {
            (S::SERVICE_UNAVAILABLE, "queue-full", "Too much is waiting already")
        }
        Error::StoreFull(_) => (S::INSUFFICIENT_STORAGE, "store-full", "The disk is full"),
        Error::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

/// The word of `Idempotency-Status`, with its reason.
fn told(
    error: &Error,
    doubt: Option<&Doubt>,
    claimed: bool,
) -> (Option<&'static str>, Option<&'static str>) {
    let word = match error {
        Error::InDoubt(doubt) if doubt.same_content => {
            return (Some("in-doubt"), Some("same-content"));
        }
        _ if doubt.is_some() => "in-doubt",
        Error::InProgress(_) => "in-progress",
        Error::KeyReuse(_) => "key-reuse",
        Error::NotKept { .. } => return (Some("replayed"), Some("response-not-kept")),
        Error::Upstream { sent: Sent::Never, .. }
        | Error::UpstreamTimeout { sent: Sent::Never, .. }
        | Error::TooLarge(_)
        | Error::BodyStalled(_)
        | Error::QueueFull(_)
        | Error::StoreFull(_) => "not-executed",
        // Of unknown outcome, and nothing holds the next one back.
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } if claimed => {
            return (Some("in-doubt"), Some("idempotent"));
        }
        _ => return (None, None),
    };
    (Some(word), None)
}

/// What happened and what to do next.
fn detail(error: &Error, doubt: Option<&Doubt>, verify: Option<&str>) -> String {
    let next = match error {
        Error::InDoubt(own) => return doubt_detail(doubt.unwrap_or(own), verify),
        Error::Upstream { sent: Sent::Never, .. }
        | Error::UpstreamTimeout { sent: Sent::Never, .. } => {
            "Nothing was sent: the call may be sent again."
        }
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } if doubt.is_some() => {
            "The request may have been carried out. Look it up before it is sent again; a plain \
             repeat of it is held back."
        }
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } => {
            "The request may have been carried out."
        }
        Error::InProgress(_) => "Ask again later; it is not started twice.",
        Error::KeyReuse(_) => "Use a new key for a new call, or send the first request unchanged.",
        Error::NotKept { status: 0, .. } => {
            "It was recorded as done by a person's decision; do not send it again."
        }
        Error::NotKept { .. } => "Do not send it again; look the result up at the tool.",
        Error::TooLarge(_) => "Nothing was sent. `serve --max-request` raises the limit.",
        Error::BodyStalled(_) => "Nothing was executed; send the request again.",
        Error::QueueFull(_) => "Nothing was sent; try again shortly.",
        Error::StoreFull(_) => "Nothing was sent; free disk space and try again.",
        Error::Loop => "Check the proxy settings: it is its own upstream.",
        Error::UnknownRoute(_) => "Add a [[route]] to the configuration and reload it.",
        Error::SessionEnded(_) => "Start another session, or set its status to active.",
        Error::UnknownScope(_) => "Create it first, or leave the header out.",
        _ => "",
    };
    let what = error.to_string();
    if next.is_empty() { what } else { format!("{}. {next}", what.trim_end_matches('.')) }
}

fn doubt_detail(doubt: &Doubt, verify: Option<&str>) -> String {
    let which = if doubt.same_content {
        "A call with the same content, under another key,"
    } else {
        "This call"
    };
    let next = match doubt.retry_token {
        Some(_) => {
            "If it did not take effect, POST to confirm_url, or send it with the header \
             Idempotency-Retry-Token: either allows one more attempt."
        }
        None => {
            "An operator can settle it (openclaw-state-engine resolve); Agent-Repeat says that \
             another call is meant."
        }
    };
    let how =
        verify.map(|verify| format!(" ({})", verify.trim_end_matches('.'))).unwrap_or_default();
    format!(
        "{which} was sent at {} and may already have taken effect; last seen: {}. Do not simply \
         send it again: look up at the tool whether it took effect{how}. {next}",
        doubt.sent_at,
        doubt.last_event.trim_end_matches('.'),
    )
}

fn doubt_body<'a>(
    context: &ProxyContext,
    doubt: &'a Doubt,
    verify: Option<&'a str>,
) -> DoubtBody<'a> {
    DoubtBody {
        sent_at: doubt.sent_at,
        last_event: &doubt.last_event,
        verify,
        retry_token: doubt.retry_token.as_deref(),
        confirm_url: doubt
            .retry_token
            .as_ref()
            .map(|token| format!("{}/confirm/{token}", context.config.confirm_base)),
    }
}

fn retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// The reason as an error type of RFC 9209.
fn proxy_status(error: &Error) -> HeaderValue {
    HeaderValue::from_static(match error {
        Error::Loop => "openclaw-state-engine; error=proxy_loop_detected",
        Error::Refused(_) => "openclaw-state-engine; error=destination_ip_prohibited",
        Error::Upstream { sent: Sent::Never, .. } => {
            "openclaw-state-engine; error=destination_unavailable"
        }
        Error::Upstream { .. } => "openclaw-state-engine; error=http_response_incomplete",
        Error::UpstreamTimeout { sent: Sent::Never, .. } => {
            "openclaw-state-engine; error=connection_timeout"
        }
        Error::UpstreamTimeout { .. } => "openclaw-state-engine; error=http_response_timeout",
        Error::Internal => "openclaw-state-engine; error=proxy_internal_error",
        Error::QueueFull(_) | Error::StoreFull(_) => {
            "openclaw-state-engine; error=proxy_internal_response"
        }
        _ => "openclaw-state-engine; error=http_request_error",
    })
}

/// What duplicates of a call get to see where no answer of the tool came.
pub(crate) fn as_stored(error: &Error) -> Option<Problem> {
    let detail = match error {
        Error::Upstream { detail, .. }
        | Error::UpstreamTimeout { detail, .. }
        // A name that leads to where the proxy does not connect is known for one only when dialled.
        | Error::Refused(detail) => detail.clone(),
        _ => return None,
    };
    Some(Problem { status: kind(error).0.as_u16(), detail, sent: error.sent().as_str().to_owned() })
}

pub(crate) fn as_error(problem: &Problem) -> Error {
    let sent = if problem.sent == Sent::Never.as_str() { Sent::Never } else { Sent::Maybe };
    let detail = problem.detail.clone();
    match StatusCode::from_u16(problem.status) {
        Ok(StatusCode::GATEWAY_TIMEOUT) => Error::UpstreamTimeout { detail, sent },
        Ok(StatusCode::FORBIDDEN) => Error::Refused(detail),
        _ => Error::Upstream { detail, sent },
    }
}
