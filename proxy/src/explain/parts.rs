//! What of a request counts for its key.

use hyper::header::HeaderName;
use proxy_core::http::forms::kind::describe;
use proxy_core::identity::principal::principal_parts;
use proxy_core::masking::url::masked_url;
use proxy_core::policy::decision::Guarded;
use proxy_core::policy::rule::Principal;
use proxy_core::received::ReceivedRequest;
use serde::Serialize;

use crate::body::buffer::BufferedBody;

/// Something that is, or is not, part of a key.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// `method`, `url`, `header`, `body`, …
    pub part: &'static str,
    /// Without secrets.
    pub value: String,
    /// Whether it distinguishes two calls.
    pub counts: bool,
}

/// What is, and what is not, part of a key.
pub(super) fn key_parts(
    request: &ReceivedRequest,
    body: &BufferedBody,
    guarded: &Guarded,
) -> Vec<Part> {
    let ReceivedRequest { target, parts: head, metadata, login, .. } = request;
    let part = |part, value: String, counts| Part { part, value, counts };
    let mut parts =
        vec![part("method", head.method.to_string(), true), part("url", masked_url(target), true)];
    let mut names: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    for name in names {
        parts.push(part("header", name.to_owned(), guarded.counts(name)));
    }
    let form = describe(&head.headers, body.in_memory().unwrap_or_default());
    parts.push(part("body", form.to_owned(), true));
    if let Some(rule) = &guarded.rule {
        for field in &rule.input.ignore {
            parts.push(part("field", field.0.to_string(), false));
        }
        for field in &rule.input.select {
            parts.push(part("field", format!("{} (and no other)", field.0), true));
        }
    }
    for place in guarded.key_places() {
        parts.push(part("key place", place.to_string(), false));
    }
    if metadata.repeat.is_some() {
        parts.push(part("Agent-Repeat", "its value".to_owned(), true));
    }
    let by_session =
        guarded.rule.as_ref().is_some_and(|rule| rule.keys.principal == Principal::Session);
    let credentials: Vec<String> = principal_parts(&head.headers, target.query(), login)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let value = match (by_session, credentials.is_empty()) {
        (true, _) => "the session (its rule)".to_owned(),
        (false, true) => "no credentials".to_owned(),
        (false, false) => credentials.join(", "),
    };
    parts.push(part("principal", value, !by_session));
    parts
}
