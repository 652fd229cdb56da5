//! What an upstream's whole answer says about the effect (docs/SEMANTICS.md, "What an upstream's
//! answer means").

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::value::RawValue;
use store_core::model::EffectClass;
use store_core::state::Knowledge;

use super::graphql;
use super::members::members;
use super::rule::Rule;
use super::signs::{AnswerBody, has_any};
use super::table::{REFUSALS, Refusal, RefusalScope, RefusalSign};
use crate::http::target::Target;
use crate::mcp::reply::ToolOutcome;

/// An answer that came whole.
#[derive(Debug, Clone, Copy)]
pub struct WholeAnswer<'a> {
    /// Where the request went.
    pub target: &'a Target,
    /// The request carried a payment.
    pub paid: bool,
    /// The answer's status.
    pub status: u16,
    /// The answer's header fields.
    pub headers: &'a HeaderMap,
    /// As it came. `None`: it is too large to be read.
    pub body: Option<&'a [u8]>,
}

/// What is known, and why.
type Verdict = (Knowledge, &'static str);

const UNREADABLE: Verdict = (Knowledge::Unknown, "its body may say no, and cannot be read");

/// What a whole answer says of its call, and why. A call whose answer broke off is of unknown
/// outcome, which is not decided here.
pub fn outcome(answer: WholeAnswer<'_>, class: EffectClass, rule: Option<&Rule>) -> Verdict {
    let WholeAnswer { target, paid, status, headers, body } = answer;
    let body = AnswerBody::new(headers, body);
    if let Some(verdict) = rule.and_then(|rule| by_rule(rule, status, &body)) {
        return verdict;
    }
    match status {
        200..=299 => by_table(target, headers, &body)
            .unwrap_or((Knowledge::Executed, "it answered with success")),
        300..=306 => (Knowledge::Executed, "it answered with a redirect"),
        307 | 308 => (Knowledge::NotExecuted, "it sends the request elsewhere"),
        402 if paid => (Knowledge::Unknown, "it asks for a payment that it may have taken"),
        408 => (Knowledge::Unknown, "it gave up waiting"),
        409 | 425 if class == EffectClass::Keyed => {
            (Knowledge::Unknown, "it may still work on an earlier send of the same key")
        }
        400..=499 => (Knowledge::NotExecuted, "it refused the request"),
        501 | 505 => (Knowledge::NotExecuted, "it does not know the request"),
        503 if headers.contains_key(RETRY_AFTER) => {
            (Knowledge::NotExecuted, "it asked to retry later")
        }
        _ => (Knowledge::Unknown, "it failed and does not say how much it did"),
    }
}

/// What the response to a tool call of MCP says by a rule, whose pointers start at the message.
/// `message`: `None` if it is too large to be read.
pub fn tool_outcome(
    outcome: ToolOutcome,
    rule: Option<&Rule>,
    status: u16,
    message: Option<&[u8]>,
) -> ToolOutcome {
    let headers = HeaderMap::new();
    let body = AnswerBody::new(&headers, message);
    match rule.and_then(|rule| by_rule(rule, status, &body)) {
        Some((outcome, why)) => ToolOutcome { outcome, tool_error: false, why },
        None => outcome,
    }
}

/// What a rule's `unknown_if` and `failed_if` say. `None`: nothing.
fn by_rule(rule: &Rule, status: u16, body: &AnswerBody<'_>) -> Option<Verdict> {
    match rule.answer.unknown_if.found(status, body) {
        Some(true) => return Some((Knowledge::Unknown, "by its rule the outcome is unknown")),
        None => return Some(UNREADABLE),
        Some(false) => {}
    }
    if !(200..300).contains(&status) {
        return None;
    }
    match has_any(&rule.answer.failed_if, body) {
        Some(true) => Some((Knowledge::NotExecuted, "by its rule the body is a refusal")),
        None => Some(UNREADABLE),
        Some(false) => None,
    }
}

/// What the table of refusals says of a 2xx.
fn by_table(target: &Target, headers: &HeaderMap, body: &AnswerBody<'_>) -> Option<Verdict> {
    REFUSALS.iter().filter(|refusal| refusal.matches(target, headers)).find_map(|refusal| {
        let Some(text) = body.read() else { return Some(UNREADABLE) };
        refusal.read(text.json.as_ref()?)
    })
}

impl Refusal {
    fn matches(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            RefusalScope::At { host, path } => {
                target.authority.host == *host && target.path().starts_with(path)
            }
            RefusalScope::GraphQl => {
                graphql::is_endpoint(target)
                    || headers.get(CONTENT_TYPE).is_some_and(|value| {
                        value.as_bytes().starts_with(b"application/graphql-response+json")
                    })
            }
        }
    }

    /// `None` if the body refuses nothing, or is not an object.
    fn read(&self, json: &str) -> Option<Verdict> {
        let members = members(json.as_bytes())?;
        let get = |name: &str| members.get(name).map(|value| value.get());
        match &self.means {
            RefusalSign::NotOk { unless } => {
                let error =
                    get("error").and_then(|text| serde_json::from_str::<Cow<'_, str>>(text).ok());
                (get("ok")? == "false").then(|| match error {
                    Some(error) if unless.contains(&error.as_ref()) => {
                        (Knowledge::Unknown, "it says that a part may have been done")
                    }
                    _ => (Knowledge::NotExecuted, "its body says that it refused"),
                })
            }
            RefusalSign::ErrorsWithoutData => {
                let errors: Vec<&RawValue> = serde_json::from_str(get("errors")?).ok()?;
                (!errors.is_empty() && get("data").is_none())
                    .then_some((Knowledge::NotExecuted, "its body has errors and no data"))
            }
        }
    }
}
