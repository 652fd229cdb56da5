//! What names a guarded call to its caller and in the log.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use proxy_core::http::own_fields::IDEMPOTENCY_KEY;
use proxy_core::mcp::caller::Caller;
use proxy_core::policy::rule::{OnUnknown, Rule};
use store::call::{Doubt, Settled};
use store::decision::Decision;
use uuid::Uuid;

use super::respond::fields::{EXECUTION_ID, IDEMPOTENCY_STATUS};
use crate::config::Timeouts;
use crate::upstream::send::Silence;

/// What names a guarded call. It grows as the call goes through the steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLabel {
    pub(crate) key: Option<LabelKey>,
    pub(crate) execution_id: Option<Uuid>,
    pub(crate) attempt: u32,
    pub(crate) rule: Option<Arc<Rule>>,
    /// The answer is that of an equal call, which did not arrive.
    pub(crate) undelivered: bool,
    /// Who waits for the response to a tool call of MCP.
    pub(crate) mcp: Option<Arc<Caller>>,
}

/// The key of a call, as its caller sees it.
#[derive(Debug, Clone)]
pub(crate) enum LabelKey {
    /// The client chose it.
    Explicit(String),
    /// The engine derived it.
    Derived(String),
}

/// The value of `Idempotency-Status`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdempotencyStatus {
    pub(crate) decision: Decision,
    pub(crate) reason: Option<&'static str>,
    /// The stored answer had cookies, which are not kept.
    pub(crate) omitted_cookies: bool,
}

impl From<Decision> for IdempotencyStatus {
    fn from(decision: Decision) -> Self {
        Self { decision, reason: None, omitted_cookies: false }
    }
}

impl IdempotencyStatus {
    pub(crate) fn because(decision: Decision, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..decision.into() }
    }
}

impl CallLabel {
    /// `decision; key=…; attempt=…; reason=…; omitted=…`.
    fn status(&self, status: IdempotencyStatus) -> HeaderValue {
        use std::fmt::Write as _;

        let mut text = String::with_capacity(64);
        text.push_str(status.decision.as_str());
        match &self.key {
            Some(LabelKey::Explicit(_)) => text.push_str("; key=explicit"),
            Some(LabelKey::Derived(_)) => text.push_str("; key=derived"),
            None => {}
        }
        if self.attempt > 0 {
            let _ = write!(text, "; attempt={}", self.attempt);
        }
        let reason = status.reason.or(self.undelivered.then_some("undelivered"));
        if let Some(reason) = reason {
            let _ = write!(text, "; reason={reason}");
        }
        if status.omitted_cookies {
            text.push_str("; omitted=set-cookie");
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("malformed"))
    }

    /// Sets the header fields that name the call.
    pub(crate) fn put(&self, headers: &mut HeaderMap, status: impl Into<IdempotencyStatus>) {
        headers.insert(IDEMPOTENCY_STATUS, self.status(status.into()));
        if let Some(LabelKey::Explicit(key) | LabelKey::Derived(key)) = &self.key
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

    /// How long the tool may be silent.
    pub(crate) fn silence(&self, timeouts: &Timeouts) -> Silence {
        let rule = self.rule.as_ref();
        let limit = rule.and_then(|rule| rule.answer.silence).unwrap_or(timeouts.silence);
        Silence { limit, caller: self.mcp.clone() }
    }

    /// How to look up whether the call took effect, by its rule.
    pub(crate) fn verify(&self) -> Option<&str> {
        self.rule.as_ref()?.answer.verify.as_deref()
    }

    /// What the caller may know about a doubt: no token if the rule leaves the decision to an
    /// operator.
    pub(crate) fn visible<'a>(&self, doubt: &'a Doubt) -> Cow<'a, Doubt> {
        match &self.rule {
            Some(rule) if rule.answer.on_unknown == OnUnknown::Human => {
                Cow::Owned(Doubt { retry_token: None, ..doubt.clone() })
            }
            _ => Cow::Borrowed(doubt),
        }
    }

    /// Adds how the call was settled.
    pub(crate) fn settle(&mut self, settled: &Settled) {
        self.execution_id = Some(settled.execution_id);
        self.attempt = settled.attempt;
    }
}
