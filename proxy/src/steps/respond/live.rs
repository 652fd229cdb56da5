//! Step 6, the answer: stored, live or problem. The only file with our status codes and headers.

mod own;
mod problem;
mod recode;
mod stored;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{CONNECTION, DATE, HeaderName, HeaderValue, TRAILER, UPGRADE};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Response, StatusCode, Version};
use store::call::{Doubt, Settled};
use store::model::Timestamp;
use store::state::Knowledge;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

pub(crate) use self::own::{confirmed, connected, not_a_web_server, not_allowed, options};
pub(crate) use self::problem::{as_stored, problem, told_event, unanswered};
pub(crate) use self::stored::{Duplicate, Wants, duplicate, stored_fields, stored_reason};
use crate::Shared;
use crate::body::Body;
use crate::forward::Reached;
use crate::headers::{self, IDEMPOTENCY_KEY, RETRY_TOKEN};
use crate::mcp::Asker;
use crate::policy::{OnUnknown, Rule};

const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const EXECUTION_ID: HeaderName = HeaderName::from_static("agent-execution-id");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// What the SDKs of `OpenAI` and Anthropic, and of Stripe, obey before their own retry rules.
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
    pub(crate) rule: Option<Arc<Rule>>,
    /// Who waits for the response to a tool call of MCP.
    pub(crate) mcp: Option<Arc<Asker>>,
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

    /// How its outcome is to be looked up, by its rule.
    fn verify(&self) -> Option<&str> {
        self.rule.as_ref()?.given.verify.as_deref()
    }

    /// What the caller is told of a doubt: no token where its rule leaves that to an operator.
    fn tells<'a>(&self, doubt: &'a Doubt) -> Cow<'a, Doubt> {
        match &self.rule {
            Some(rule) if rule.given.on_unknown == OnUnknown::Human => {
                Cow::Owned(Doubt { retry_token: None, ..doubt.clone() })
            }
            _ => Cow::Borrowed(doubt),
        }
    }

    /// Learns how the call was settled.
    pub(crate) fn settle(&mut self, settled: &Settled) {
        self.execution_id = Some(settled.execution_id);
        self.attempt = settled.attempt;
    }
}

/// The answer of something that is not guarded. `told`: why, unless it only reads.
pub(crate) fn passed(
    shared: &Shared,
    mut head: Parts,
    body: Body,
    told: Option<&str>,
    took: Duration,
) -> Reply {
    let trailer = head.headers.get(TRAILER).cloned();
    headers::strip_response(&mut head.headers);
    if let Some(trailer) = trailer {
        head.headers.insert(TRAILER, trailer);
    }
    headers::add_via(&mut head.headers, &shared.via);
    if let Some(reason) = told {
        let status = Label::default().status("bypassed", Some(reason), false);
        head.headers.insert(IDEMPOTENCY_STATUS, status);
    }
    own_framing(&mut head);
    let decision = if told.is_some() { "bypassed" } else { "passed" };
    Reply { response: Response::from_parts(head, body), decision, upstream: Some(took) }
}

/// Both sides have agreed to speak something else.
pub(crate) fn switching(shared: &Shared, reached: Reached) -> Reply {
    let (mut head, _) = reached.response.into_parts();
    let protocol = head.headers.get(UPGRADE).cloned();
    headers::strip_response(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    headers::add_via(&mut head.headers, &shared.via);
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
    let (word, reason) = match (settled.outcome, &settled.doubt) {
        (Knowledge::Executed, _) => ("executed", None),
        (Knowledge::NotExecuted, _) => ("not-executed", None),
        (Knowledge::Unknown, Some(_)) => ("in-doubt", None),
        (Knowledge::Unknown, None) => ("in-doubt", Some("idempotent")),
    };
    headers::add_via(&mut head.headers, &shared.via);
    label.put(&mut head.headers, word, reason, false);
    if let Some(doubt) = &settled.doubt {
        in_doubt(&mut head.headers, &label.tells(doubt));
    }
    let received_at = settled.answer.as_ref().map_or_else(|| SystemClock.now(), |a| a.received_at);
    date(&mut head.headers, received_at);
    own_framing(&mut head);
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
    headers::add_via(&mut head.headers, &shared.via);
    label.put(&mut head.headers, "executing", None, false);
    date(&mut head.headers, SystemClock.now());
    own_framing(&mut head);
    Reply { response: Response::from_parts(head, body), decision: "executed", upstream: Some(took) }
}

/// The headers of an answer that leaves the call in doubt: clients must not retry by themselves.
fn in_doubt(headers: &mut HeaderMap, doubt: &Doubt) {
    for name in DO_NOT_RETRY {
        headers.insert(name, HeaderValue::from_static("false"));
    }
    if let Some(token) = &doubt.retry_token
        && let Ok(token) = HeaderValue::from_str(token)
    {
        headers.insert(RETRY_TOKEN, token);
    }
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

/// Makes the head of an answer fit for this hop: our version, since after that of an upstream's
/// HTTP/1.0 hyper would end a body with the connection, and a broken answer like a whole one; and no
/// length for 1xx and 204, which have no body whatever the upstream's header says (RFC 9112, 6.3).
fn own_framing(head: &mut Parts) {
    head.version = Version::HTTP_11;
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        headers::remove_where(&mut head.headers, |name| name == "content-length");
    }
}

/// Only a chunked body carries trailers, and only announced ones; hyper drops them where the
/// client did not ask for any.
fn with_trailers(fields: &mut HeaderMap, body: Bytes, trailers: Option<HeaderMap>) -> Body {
    let Some(trailers) = trailers else { return Body::whole(body) };
    headers::remove_where(fields, |name| name == "content-length");
    for name in trailers.keys() {
        fields.append(TRAILER, HeaderValue::from(name.clone()));
    }
    Body::with_trailers(body, trailers)
}
