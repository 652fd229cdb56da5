//! Problems of ours (RFC 9457), as answers, as results of tools and as events.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, PROXY_AUTHENTICATE,
    RETRY_AFTER,
};
use hyper::{HeaderMap, Response, StatusCode};
use proxy_core::difference::list::Difference;
use proxy_core::error::Error;
use serde::Serialize;
use store::call::{Doubt, Settled};
use store::model::Timestamp;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use super::fields::{PROXY_STATUS, add_date, add_doubt};
use super::problem_kind::{detail, kind, proxy_status, status};
use crate::body::reply::ReplyBody;
use crate::config::Outcome;
use crate::context::ProxyContext;
use crate::steps::label::CallLabel;
use crate::steps::reply::Reply;

/// The problem of a call that got no answer, to its caller.
pub(crate) fn unanswered(
    context: &ProxyContext,
    error: &Error,
    settled: &Settled,
    label: &CallLabel,
) -> Reply {
    build(context, error, Some(label), settled.doubt.as_ref())
}

/// A problem as an event of a stream that has begun: the response to a tool call of MCP.
pub(crate) fn event(
    context: &ProxyContext,
    label: &CallLabel,
    error: &Error,
    settled: Option<&Settled>,
) -> Bytes {
    let Some(caller) = &label.mcp else { return Bytes::new() };
    let doubt = settled.and_then(|settled| settled.doubt.as_ref());
    let doubt = doubt.map(|doubt| label.visible(doubt));
    let body = problem_body(context, error, Some(label), doubt.as_deref());
    caller.problem_event(&body.text(), &serde_json::to_vec(&body).unwrap_or_default())
}

/// A problem of ours.
pub(crate) fn problem(context: &ProxyContext, error: &Error, label: Option<&CallLabel>) -> Reply {
    let doubt = match error {
        Error::InDoubt(doubt) => Some(doubt),
        _ => None,
    };
    build(context, error, label, doubt)
}

/// The whole answer to a request whose head hyper cannot read. The connection ends with it.
pub(crate) fn of_head(context: &ProxyContext, status: StatusCode) -> Vec<u8> {
    let error = Error::Malformed(match status {
        StatusCode::URI_TOO_LONG => "the request target is too long".to_owned(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the head of the request is too large or has too many fields".to_owned()
        }
        _ => "the request line or a header field is malformed".to_owned(),
    });
    let body = problem_body(context, &error, None, None);
    let body = ProblemBody { status: status.as_u16(), ..body };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    fields.insert(PROXY_STATUS, proxy_status(&error));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    add_date(&mut fields, SystemClock.now());
    let mut answer = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in &fields {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(&body);
    answer
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
    /// How long the call has been running.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<&'a [Difference]>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    doubt: Option<DoubtBody<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    kept: Option<KeptAnswerBody<'a>>,
}

impl ProblemBody<'_> {
    /// The problem for a model, which reads only the text of a tool's result.
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
struct KeptAnswerBody<'a> {
    answer_status: u16,
    sha256: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

/// The execution that an error concerns.
fn execution_of(error: &Error, label: Option<&CallLabel>) -> Option<Uuid> {
    match error {
        Error::InProgress { execution_id, .. }
        | Error::KeyReuse { execution_id, .. }
        | Error::NotKept { execution_id, .. } => Some(*execution_id),
        Error::InDoubt(doubt) => Some(doubt.execution_id),
        _ => label.and_then(|label| label.execution_id),
    }
}

fn problem_body<'a>(
    context: &ProxyContext,
    error: &'a Error,
    label: Option<&'a CallLabel>,
    doubt: Option<&'a Doubt>,
) -> ProblemBody<'a> {
    let verify = label.and_then(CallLabel::verify);
    ProblemBody {
        detail: detail(error, doubt, verify),
        execution_id: execution_of(error, label),
        doubt: doubt.map(|doubt| doubt_body(context, doubt, verify)),
        ..plain_body(error)
    }
}

/// What the error itself says.
fn plain_body(error: &Error) -> ProblemBody<'_> {
    let (status, code, title) = kind(error);
    ProblemBody {
        r#type: format!("urn:openclaw-state-engine:{code}"),
        title,
        status: status.as_u16(),
        detail: String::new(),
        execution_id: None,
        sent: match error {
            Error::Upstream { sent, .. } | Error::UpstreamTimeout { sent, .. } => {
                Some(sent.as_str())
            }
            _ => None,
        },
        running_ms: match error {
            Error::InProgress { running_for, .. } => Some(running_for.as_millis() as u64),
            _ => None,
        },
        differs: match error {
            Error::KeyReuse { differences: Some(differences), .. } => Some(&differences.differs),
            _ => None,
        },
        doubt: None,
        kept: match error {
            Error::NotKept { status, sha256, size, location, .. } if *status > 0 => {
                Some(KeptAnswerBody {
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

/// The problem of an error about which nothing is recorded, with this detail.
pub(crate) fn document<'a>(error: &'a Error, detail: &str) -> impl Serialize + use<'a> {
    let mut body = plain_body(error);
    detail.clone_into(&mut body.detail);
    body
}

fn build(
    context: &ProxyContext,
    error: &Error,
    label: Option<&CallLabel>,
    doubt: Option<&Doubt>,
) -> Reply {
    let doubt = match (label, doubt) {
        (Some(label), Some(doubt)) => Some(label.visible(doubt)),
        (_, doubt) => doubt.map(Cow::Borrowed),
    };
    let doubt = doubt.as_deref();
    let body = problem_body(context, error, label, doubt);
    let execution_id = body.execution_id;
    let mut response = response(&body, error, label);
    let headers = response.headers_mut();
    headers.insert(PROXY_STATUS, proxy_status(error));
    add_date(headers, SystemClock.now());
    let status = status(error, doubt, execution_id);
    if let Some(status) = status {
        let mut label = label.cloned().unwrap_or_default();
        label.execution_id = execution_id;
        if let Error::InDoubt(doubt) = error {
            label.attempt = doubt.attempt;
        }
        label.put(headers, status);
    }
    add_fields(headers, error);
    if let Some(doubt) = doubt {
        add_doubt(headers, doubt);
    }
    let outcome = match status {
        Some(status) => Outcome::Decided(status.decision),
        None => Outcome::Problem(kind(error).1),
    };
    Reply::new(response, outcome, None)
}

/// The problem as the caller reads it: a model sees the results of its tools, and no statuses.
fn response(
    body: &ProblemBody<'_>,
    error: &Error,
    label: Option<&CallLabel>,
) -> Response<ReplyBody> {
    let json = serde_json::to_vec(body).unwrap_or_default();
    let mut fields = HeaderMap::new();
    let mut response = if let Some(caller) = label.and_then(|label| label.mcp.as_ref()) {
        Response::new(ReplyBody::whole(caller.problem(&mut fields, &body.text(), &json)))
    } else {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = Response::new(ReplyBody::whole(json));
        *response.status_mut() = kind(error).0;
        response
    };
    *response.headers_mut() = fields;
    response
}

/// Adds the header fields that belong to an error.
fn add_fields(headers: &mut HeaderMap, error: &Error) {
    match error {
        Error::InProgress { .. } => retry_after(headers, 10),
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
            .map(|token| format!("{}/confirm/{token}", context.own.addresses.confirm_base)),
    }
}

fn retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}
