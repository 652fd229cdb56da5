//! Step 6, the answer: stored, live or problem. The only file with our status codes and headers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    AGE, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, SET_COOKIE, TRAILER, UPGRADE,
};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use store::call::{Answer, AnswerBody, Doubt, Problem, Settled};
use store::model::Timestamp;
use store::state::Knowledge;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::Shared;
use crate::body::Body;
use crate::error::{Error, Sent};
use crate::forward::Reached;
use crate::headers;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const EXECUTION_ID: HeaderName = HeaderName::from_static("agent-execution-id");
const RETRY_TOKEN: HeaderName = HeaderName::from_static("idempotency-retry-token");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// What the SDKs of OpenAI and Anthropic, and of Stripe, obey before their own retry rules.
const DO_NOT_RETRY: [HeaderName; 2] =
    [HeaderName::from_static("x-should-retry"), HeaderName::from_static("stripe-should-retry")];

/// An answer, and what the metrics are told of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    /// One word: how the request was decided.
    pub(crate) decision: &'static str,
    /// How long the upstream took to the head of its answer.
    pub(crate) upstream: Option<Duration>,
}

/// What names a guarded call to its caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Label {
    /// The key and whether the client said it.
    pub(crate) key: Option<(String, bool)>,
    pub(crate) execution_id: Option<Uuid>,
    pub(crate) attempt: u32,
}

impl Label {
    /// `word; key=…; attempt=…; reason=…; omitted=…`.
    fn status(&self, word: &str, reason: Option<&str>, omitted: bool) -> HeaderValue {
        use std::fmt::Write as _;

        let mut text = String::with_capacity(64);
        text.push_str(word);
        if let Some((_, explicit)) = &self.key {
            text.push_str(if *explicit { "; key=explicit" } else { "; key=derived" });
        }
        if self.attempt > 0 {
            let _ = write!(text, "; attempt={}", self.attempt);
        }
        if let Some(reason) = reason {
            let _ = write!(text, "; reason={reason}");
        }
        if omitted {
            text.push_str("; omitted=set-cookie");
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("malformed"))
    }

    fn put(&self, headers: &mut HeaderMap, word: &str, reason: Option<&str>, omitted: bool) {
        headers.insert(IDEMPOTENCY_STATUS, self.status(word, reason, omitted));
        if let Some((key, _)) = &self.key
            && let Ok(key) = HeaderValue::from_str(key)
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(id) = self.execution_id {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = id.hyphenated().encode_lower(&mut text);
            if let Ok(id) = HeaderValue::from_str(text) {
                headers.insert(EXECUTION_ID, id);
            }
        }
    }

    fn of(&self, settled: &Settled) -> Self {
        Self {
            key: self.key.clone(),
            execution_id: Some(settled.execution_id),
            attempt: settled.attempt,
        }
    }
}

/// How a duplicate came by the stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicate {
    /// The call was over.
    Replayed,
    /// It waited for the call.
    Coalesced,
}

/// The answer of something that is not guarded. `told`: why, unless it only reads.
pub(crate) fn passed(
    shared: &Shared,
    mut head: Parts,
    body: Body,
    told: Option<&str>,
    took: Duration,
) -> Reply {
    let trailer = head.headers.remove(TRAILER);
    headers::strip_response(&mut head.headers);
    if let Some(trailer) = trailer {
        head.headers.insert(TRAILER, trailer);
    }
    headers::add_via(&mut head.headers, &shared.config.instance);
    if let Some(reason) = told {
        let status = Label::default().status("bypassed", Some(reason), false);
        head.headers.insert(IDEMPOTENCY_STATUS, status);
    }
    bodiless(&mut head);
    let decision = if told.is_some() { "bypassed" } else { "passed" };
    Reply { response: Response::from_parts(head, body), decision, upstream: Some(took) }
}

/// Both sides have agreed to speak something else.
pub(crate) fn switching(shared: &Shared, reached: Reached) -> Reply {
    let (mut head, _) = reached.response.into_parts();
    let protocol = head.headers.remove(UPGRADE);
    headers::strip_response(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    headers::add_via(&mut head.headers, &shared.config.instance);
    let status = Label::default().status("bypassed", Some("upgrade"), false);
    head.headers.insert(IDEMPOTENCY_STATUS, status);
    let response = Response::from_parts(head, Body::empty());
    Reply { response, decision: "bypassed", upstream: Some(reached.took) }
}

/// The upstream's whole answer, to the caller that had it executed.
pub(crate) fn answered(
    shared: &Shared,
    mut head: Parts,
    body: Bytes,
    trailers: Option<HeaderMap>,
    settled: &Settled,
    label: &Label,
    took: Duration,
) -> Reply {
    let label = label.of(settled);
    let (word, reason) = match (settled.outcome, &settled.doubt) {
        (Knowledge::Executed, _) => ("executed", None),
        (Knowledge::NotExecuted, _) => ("not-executed", None),
        (Knowledge::Unknown, Some(_)) => ("in-doubt", None),
        (Knowledge::Unknown, None) => ("in-doubt", Some("idempotent")),
    };
    headers::add_via(&mut head.headers, &shared.config.instance);
    label.put(&mut head.headers, word, reason, false);
    if let Some(doubt) = &settled.doubt {
        in_doubt(&mut head.headers, doubt);
    }
    let received_at = settled.answer.as_ref().map_or_else(|| SystemClock.now(), |a| a.received_at);
    date(&mut head.headers, received_at);
    bodiless(&mut head);
    let body = with_trailers(&mut head.headers, body, trailers);
    Reply { response: Response::from_parts(head, body), decision: word, upstream: Some(took) }
}

/// The head of an answer that flows; its outcome is not known yet.
pub(crate) fn flowing(
    shared: &Shared,
    mut head: Parts,
    body: Body,
    label: &Label,
    took: Duration,
) -> Reply {
    headers::add_via(&mut head.headers, &shared.config.instance);
    label.put(&mut head.headers, "executing", None, false);
    date(&mut head.headers, SystemClock.now());
    bodiless(&mut head);
    Reply { response: Response::from_parts(head, body), decision: "executed", upstream: Some(took) }
}

/// What the call's outcome is to a duplicate of it.
pub(crate) fn duplicate(
    shared: &Shared,
    settled: &Arc<Settled>,
    how: Duplicate,
    label: &Label,
    wants_trailers: bool,
) -> Result<Reply, Error> {
    if settled.outcome == Knowledge::Unknown {
        return Err(match (&settled.doubt, &settled.problem) {
            (Some(doubt), _) => Error::InDoubt(doubt.clone()),
            (None, Some(problem)) => as_error(problem),
            (None, None) => match &settled.answer {
                Some(answer) => return replay(shared, settled, answer, how, label, wants_trailers),
                None => Error::Internal,
            },
        });
    }
    match (&settled.answer, &settled.problem) {
        (Some(answer), _) => replay(shared, settled, answer, how, label, wants_trailers),
        (None, Some(problem)) => Err(as_error(problem)),
        (None, None) => Err(not_kept(settled.execution_id, None)),
    }
}

fn replay(
    shared: &Shared,
    settled: &Settled,
    answer: &Answer,
    how: Duplicate,
    label: &Label,
    wants_trailers: bool,
) -> Result<Reply, Error> {
    let AnswerBody::Kept(body) = &answer.body else {
        return Err(not_kept(settled.execution_id, Some(answer)));
    };
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = StatusCode::from_u16(answer.status).map_err(|_| Error::Internal)?;
    head.headers = fields(&answer.headers);
    headers::add_via(&mut head.headers, &shared.config.instance);
    let (word, reason) = match (settled.outcome, how) {
        (Knowledge::NotExecuted, _) => ("not-executed", Some("coalesced")),
        (_, Duplicate::Replayed) => ("replayed", None),
        (_, Duplicate::Coalesced) => ("coalesced", None),
    };
    label.of(settled).put(&mut head.headers, word, reason, answer.omitted_cookies);
    head.headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let age = SystemClock.now().as_micros() - answer.received_at.as_micros();
    head.headers.insert(AGE, HeaderValue::from(age.max(0) / 1_000_000));
    date(&mut head.headers, answer.received_at);
    bodiless(&mut head);
    let trailers =
        (wants_trailers && !answer.trailers.is_empty()).then(|| fields(&answer.trailers));
    let body = with_trailers(&mut head.headers, body.clone(), trailers);
    Ok(Reply { response: Response::from_parts(head, body), decision: word, upstream: None })
}

fn not_kept(execution_id: Uuid, answer: Option<&Answer>) -> Error {
    let (sha256, size) = match answer.map(|answer| &answer.body) {
        Some(AnswerBody::Dropped { sha256, size }) => {
            (store::key::Digest::from_bytes(*sha256).hex(32), *size)
        }
        _ => (String::new(), 0),
    };
    let location = answer.and_then(|answer| {
        let field = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        field.and_then(|(_, value)| String::from_utf8(value.to_vec()).ok())
    });
    let status = answer.map_or(0, |answer| answer.status);
    Error::NotKept { execution_id, status, sha256, size, location }
}

/// A gateway problem of ours, to the caller whose call got no answer.
pub(crate) fn unanswered(
    shared: &Shared,
    error: &Error,
    settled: &Settled,
    label: &Label,
) -> Reply {
    let label = label.of(settled);
    build(shared, error, Some(&label), settled.doubt.as_ref())
}

/// A problem of ours.
pub(crate) fn problem(shared: &Shared, error: &Error, label: Option<&Label>) -> Reply {
    let doubt = match error {
        Error::InDoubt(doubt) => Some(doubt),
        _ => None,
    };
    build(shared, error, label, doubt)
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

fn build(shared: &Shared, error: &Error, label: Option<&Label>, doubt: Option<&Doubt>) -> Reply {
    let (status, code, title) = kind(error);
    let execution_id = match error {
        Error::InProgress(id) | Error::KeyReuse(id) | Error::NotKept { execution_id: id, .. } => {
            Some(*id)
        }
        Error::InDoubt(doubt) => Some(doubt.execution_id),
        _ => label.and_then(|label| label.execution_id),
    };
    let body = ProblemBody {
        r#type: format!("urn:openclaw-state-engine:{code}"),
        title,
        status: status.as_u16(),
        detail: detail(error, doubt),
        execution_id,
        sent: match error {
            Error::Upstream { sent, .. } | Error::UpstreamTimeout { sent, .. } => {
                Some(sent.as_str())
            }
            _ => None,
        },
        doubt: doubt.map(|doubt| doubt_body(shared, doubt)),
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
    };
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::whole(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(PROXY_STATUS, proxy_status(error));
    date(headers, SystemClock.now());
    let (word, reason) = told(error, doubt);
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
            headers.insert(hyper::header::PROXY_AUTHENTICATE, scheme);
        }
        Error::NotKept { location: Some(location), .. } => {
            if let Ok(location) = HeaderValue::from_str(location) {
                headers.insert(LOCATION, location);
            }
        }
        _ => {}
    }
    if let Some(doubt) = doubt {
        in_doubt(headers, doubt);
    }
    Reply { response, decision: word.unwrap_or(code), upstream: None }
}

/// Status, code and title of each error (docs/FAILURE_CONTRACT.md).
fn kind(error: &Error) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        Error::Malformed(_) => (S::BAD_REQUEST, "malformed", "The request cannot be understood"),
        Error::Refused(_) => (S::FORBIDDEN, "refused", "The proxy does not do this"),
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
fn told(error: &Error, doubt: Option<&Doubt>) -> (Option<&'static str>, Option<&'static str>) {
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
        _ => return (None, None),
    };
    (Some(word), None)
}

/// What happened and what to do next.
fn detail(error: &Error, doubt: Option<&Doubt>) -> String {
    let next = match error {
        Error::InDoubt(doubt) => return doubt_detail(doubt),
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
        Error::SessionEnded(_) => "Start another session, or set its status to active.",
        Error::UnknownScope(_) => "Create it first, or leave the header out.",
        _ => "",
    };
    let what = error.to_string();
    if next.is_empty() { what } else { format!("{}. {next}", what.trim_end_matches('.')) }
}

fn doubt_detail(doubt: &Doubt) -> String {
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
    format!(
        "{which} was sent at {} and may already have taken effect; last seen: {}. Do not simply \
         send it again: look up at the tool whether it took effect. {next}",
        doubt.sent_at,
        doubt.last_event.trim_end_matches('.'),
    )
}

fn doubt_body<'a>(shared: &Shared, doubt: &'a Doubt) -> DoubtBody<'a> {
    DoubtBody {
        sent_at: doubt.sent_at,
        last_event: &doubt.last_event,
        verify: None,
        retry_token: doubt.retry_token.as_deref(),
        confirm_url: doubt
            .retry_token
            .as_ref()
            .map(|token| format!("{}/confirm/{token}", shared.config.confirm_base)),
    }
}

/// RFC 9209.
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

/// The headers of an answer that leaves the call in doubt: clients must not retry by themselves.
fn in_doubt(headers: &mut HeaderMap, doubt: &Doubt) {
    for name in DO_NOT_RETRY {
        headers.insert(name, HeaderValue::from_static("false"));
    }
    headers.remove(RETRY_AFTER);
    if let Some(token) = &doubt.retry_token
        && let Ok(token) = HeaderValue::from_str(token)
    {
        headers.insert(RETRY_TOKEN, token);
    }
}

fn retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// What duplicates of a call get to see where no answer of the tool came.
pub(crate) fn as_stored(error: &Error) -> Option<Problem> {
    let (Error::Upstream { detail, sent } | Error::UpstreamTimeout { detail, sent }) = error else {
        return None;
    };
    Some(Problem {
        status: kind(error).0.as_u16(),
        detail: detail.clone(),
        sent: sent.as_str().to_owned(),
    })
}

fn as_error(problem: &Problem) -> Error {
    let sent = if problem.sent == Sent::Never.as_str() { Sent::Never } else { Sent::Maybe };
    let detail = problem.detail.clone();
    if problem.status == StatusCode::GATEWAY_TIMEOUT.as_u16() {
        Error::UpstreamTimeout { detail, sent }
    } else {
        Error::Upstream { detail, sent }
    }
}

/// The fields that are kept of an answer: all but Set-Cookie.
pub(crate) fn stored_fields(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    headers
        .iter()
        .filter(|(name, _)| *name != SET_COOKIE)
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect()
}

fn fields(stored: &[(String, Bytes)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(stored.len() + 8);
    for (name, value) in stored {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value.clone())) {
            headers.append(name, value);
        }
    }
    headers
}

/// An answer without Date gets the time when it came (RFC 9110, 6.6.1).
fn date(headers: &mut HeaderMap, received_at: Timestamp) {
    if headers.contains_key(DATE) {
        return;
    }
    let micros = u64::try_from(received_at.as_micros()).unwrap_or(0);
    let time: SystemTime = UNIX_EPOCH + Duration::from_micros(micros);
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(time)) {
        headers.insert(DATE, value);
    }
}

/// 1xx and 204 have no body, whatever the upstream's header says (RFC 9112, 6.3).
fn bodiless(head: &mut Parts) {
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        head.headers.remove(CONTENT_LENGTH);
    }
}

/// Only a chunked body carries trailers, and only announced ones; hyper drops them where the
/// client did not ask for any.
fn with_trailers(headers: &mut HeaderMap, body: Bytes, trailers: Option<HeaderMap>) -> Body {
    let Some(trailers) = trailers else { return Body::whole(body) };
    headers.remove(CONTENT_LENGTH);
    for name in trailers.keys() {
        headers.append(TRAILER, HeaderValue::from(name));
    }
    Body::with_trailers(body, trailers)
}

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
pub(crate) fn not_a_web_server(shared: &Shared) -> Reply {
    let api = shared.config.api_addresses.first();
    let api = api.map_or_else(String::new, |api| format!(" The state API is at http://{api}/."));
    let text = format!(
        "This is the proxy of openclaw-state-engine: start your agent with HTTP_PROXY={}.{api}\n",
        shared.config.confirm_base
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
        date(response.headers_mut(), SystemClock.now());
    }
    Reply { response, decision, upstream: None }
}
