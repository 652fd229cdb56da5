//! What names a guarded call to its caller.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use proxy_core::http::own_fields::IDEMPOTENCY_KEY;
use proxy_core::mcp::caller::Asker;
use proxy_core::policy::rule::{OnUnknown, Rule};
use store::call::{Doubt, Settled};
use uuid::Uuid;

use crate::steps::respond::fields::{EXECUTION_ID, IDEMPOTENCY_STATUS};

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
    pub(crate) fn status(&self, word: &str, reason: Option<&str>, omitted: bool) -> HeaderValue {
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

    pub(crate) fn put(
        &self,
        headers: &mut HeaderMap,
        word: &str,
        reason: Option<&str>,
        omitted: bool,
    ) {
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
    pub(crate) fn verify(&self) -> Option<&str> {
        self.rule.as_ref()?.given.verify.as_deref()
    }

    /// What the caller is told of a doubt: no token where its rule leaves that to an operator.
    pub(crate) fn tells<'a>(&self, doubt: &'a Doubt) -> Cow<'a, Doubt> {
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
