//! What each problem is: status, code, title, and what to do next (`docs/FAILURE_CONTRACT.md`).

use std::fmt::Write as _;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use proxy_core::difference::list::Differences;
use proxy_core::error::Error;
use store::call::{Doubt, Sent};
use store::decision::Decision;
use uuid::Uuid;

use crate::steps::label::IdempotencyStatus;

/// Status, code and title of each error (`docs/FAILURE_CONTRACT.md`).
pub(super) fn kind(error: &Error) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        Error::Malformed(_) => (S::BAD_REQUEST, "malformed", "The request cannot be understood"),
        Error::Refused(_) => (S::FORBIDDEN, "refused", "The proxy refuses this request"),
        Error::UnknownRoute(_) => (S::NOT_FOUND, "unknown-route", "No such route"),
        Error::UnknownScope(_) => (S::NOT_FOUND, "unknown-scope", "No such user, session or goal"),
        Error::ForeignScope(_) => {
            (S::FORBIDDEN, "foreign-scope", "The session or goal belongs to another user")
        }
        Error::SessionEnded(_) => (S::GONE, "session-ended", "The session has ended"),
        Error::Credentials(_) => {
            (S::PROXY_AUTHENTICATION_REQUIRED, "credentials", "The session's token is required")
        }
        Error::BodyStalled(_) => (S::REQUEST_TIMEOUT, "body-stalled", "The request body stalled"),
        Error::TooLarge(_) => (S::PAYLOAD_TOO_LARGE, "too-large", "The request body is too large"),
        Error::Misdirected(_) => {
            (S::MISDIRECTED_REQUEST, "malformed", "The request was sent to the wrong place")
        }
        Error::Unsupported(_) => (S::NOT_IMPLEMENTED, "unsupported", "Not supported"),
        Error::Loop => (S::LOOP_DETECTED, "loop", "The request has passed this proxy before"),
        Error::Upstream { .. } => (S::BAD_GATEWAY, "upstream-failed", "The tool did not answer"),
        Error::UpstreamTimeout { .. } => {
            (S::GATEWAY_TIMEOUT, "upstream-timeout", "The tool did not answer in time")
        }
        Error::InProgress { .. } => (S::CONFLICT, "in-progress", "The same call is still running"),
        Error::KeyReuse { .. } => {
            (S::UNPROCESSABLE_ENTITY, "key-reuse", "The idempotency key belongs to another request")
        }
        Error::InDoubt(_) => {
            (S::FAILED_DEPENDENCY, "in-doubt", "This call may already have taken effect")
        }
        Error::NotKept { .. } => {
            (S::GONE, "response-not-kept", "The call took effect; its answer was not kept")
        }
        Error::QueueFull(_) => (S::SERVICE_UNAVAILABLE, "queue-full", "Too many calls are waiting"),
        Error::StoreFull(_) => (S::INSUFFICIENT_STORAGE, "store-full", "The disk is full"),
        Error::StoreLost(_) => (S::SERVICE_UNAVAILABLE, "store-lost", "The store lost its files"),
        Error::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

/// The value of `Idempotency-Status`. `execution_id` is the execution that the error concerns.
pub(super) fn status(
    error: &Error,
    doubt: Option<&Doubt>,
    execution_id: Option<Uuid>,
) -> Option<IdempotencyStatus> {
    let because = |decision, reason| Some(IdempotencyStatus::because(decision, reason));
    let decision = match error {
        Error::InDoubt(doubt) if doubt.same_content => {
            return because(Decision::InDoubt, "same-content");
        }
        _ if doubt.is_some() => Decision::InDoubt,
        Error::InProgress { .. } => Decision::InProgress,
        Error::KeyReuse { .. } => Decision::KeyReuse,
        Error::NotKept { .. } => return because(Decision::Replayed, "response-not-kept"),
        Error::Upstream { sent: Sent::Never, .. }
        | Error::UpstreamTimeout { sent: Sent::Never, .. }
        | Error::TooLarge(_)
        | Error::BodyStalled(_)
        | Error::QueueFull(_)
        | Error::StoreFull(_) => Decision::NotExecuted,
        // The outcome is unknown, and the next call is not held back.
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } if execution_id.is_some() => {
            return because(Decision::InDoubt, "idempotent");
        }
        _ => return None,
    };
    Some(decision.into())
}

/// What happened and what to do next.
pub(super) fn detail(error: &Error, doubt: Option<&Doubt>, verify: Option<&str>) -> String {
    let next = match error {
        Error::InDoubt(own) => return doubt_detail(doubt.unwrap_or(own), verify),
        Error::Upstream { sent: Sent::Never, .. }
        | Error::UpstreamTimeout { sent: Sent::Never, .. } => {
            "Nothing was sent: the call may be sent again."
        }
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } if doubt.is_some() => {
            "The request may have been carried out. Look it up before you send it again; a plain \
             repeat is held back."
        }
        Error::Upstream { .. } | Error::UpstreamTimeout { .. } => {
            "The request may have been carried out."
        }
        Error::InProgress { .. } => "Try again later; the call is not started twice.",
        Error::KeyReuse { differences, .. } => return reuse_detail(error, differences.as_deref()),
        Error::NotKept { status: 0, .. } => "A person recorded it as done; do not send it again.",
        Error::NotKept { .. } => "Do not send it again; look up the result at the tool.",
        Error::TooLarge(_) => "Nothing was sent. `serve --max-request` raises the limit.",
        Error::BodyStalled(_) => "Nothing was executed; send the request again.",
        Error::QueueFull(_) => "Nothing was sent; try again shortly.",
        Error::StoreLost(_) => {
            "Nothing was sent. Put the files back and start the engine again; a retry then gets what is recorded."
        }
        Error::StoreFull(_) => "Nothing was sent; free disk space and try again.",
        Error::Loop => "Check the proxy settings: the proxy is its own upstream.",
        Error::UnknownRoute(_) => "Add a [[route]] to the configuration and reload it.",
        Error::SessionEnded(_) => "Start another session, or set its status to active.",
        Error::UnknownScope(_) => "Create it first, or remove the header.",
        _ => "",
    };
    let what = error.to_string();
    if next.is_empty() { what } else { format!("{}. {next}", what.trim_end_matches('.')) }
}

fn reuse_detail(error: &Error, differences: Option<&Differences>) -> String {
    let mut text = format!("{error}.");
    if let Some(differences) = differences {
        let _ = write!(text, " {}", differences.sentence());
    }
    text.push_str(" Use a new key for a new call, or send the first request unchanged.");
    if let Some(lines) =
        differences.map(|found| found.rule.join(" and ")).filter(|it| !it.is_empty())
    {
        let _ =
            write!(text, " If what differs says nothing about the call, add to its rule: {lines}");
    }
    text
}

fn doubt_detail(doubt: &Doubt, verify: Option<&str>) -> String {
    let which = if doubt.same_content {
        "A call with the same content, under a different key,"
    } else {
        "This call"
    };
    let next = match doubt.retry_token {
        Some(_) => {
            "If it did not take effect, POST to confirm_url, or send it with the header \
             Idempotency-Retry-Token: either allows one more attempt. The header Agent-Repeat: \
             VALUE says that you mean a different call."
        }
        None => {
            "An operator can settle it (openclaw-state-engine resolve); the header Agent-Repeat: \
             VALUE says that you mean a different call."
        }
    };
    let how =
        verify.map(|verify| format!(" ({})", verify.trim_end_matches('.'))).unwrap_or_default();
    format!(
        "{which} was sent at {} and may already have taken effect; last seen: {}. Do not send it \
         again without checking: look up at the tool whether it took effect{how}. {next}",
        doubt.sent_at,
        doubt.last_event.trim_end_matches('.'),
    )
}

/// The reason as an error type of RFC 9209.
pub(super) fn proxy_status(error: &Error) -> HeaderValue {
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
        Error::QueueFull(_) | Error::StoreFull(_) | Error::StoreLost(_) => {
            "openclaw-state-engine; error=proxy_internal_response"
        }
        _ => "openclaw-state-engine; error=http_request_error",
    })
}
