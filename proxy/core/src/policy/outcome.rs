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
use super::table::{REFUSALS, Refusal, RefusalScope, RefusalSign};
use crate::http::forms::kind::decoded;
use crate::http::target::Target;

/// An answer that came whole.
#[derive(Debug, Clone, Copy)]
pub struct WholeAnswer<'a> {
    /// Where the request went.
    pub target: &'a Target,
    /// The answer's status.
    pub status: u16,
    /// The answer's header fields.
    pub headers: &'a HeaderMap,
    /// As it came. `None`: it is too large to be read, so that the status alone decides.
    pub body: Option<&'a [u8]>,
}

/// What a whole answer says of its call, and why. A call whose answer broke off is of unknown
/// outcome, which is not decided here.
pub fn outcome(
    answer: WholeAnswer<'_>,
    class: EffectClass,
    rule: Option<&Rule>,
) -> (Knowledge, &'static str) {
    let WholeAnswer { target, status, headers, body } = answer;
    match status {
        200..=299 if rule.is_some_and(|rule| refused(rule, headers, body)) => {
            (Knowledge::NotExecuted, "by its rule the body is a refusal")
        }
        200..=299 => REFUSALS
            .iter()
            .filter(|refusal| refusal.matches(target, headers))
            .find_map(|refusal| refusal.read(&decoded(headers, body?)?))
            .unwrap_or((Knowledge::Executed, "it answered with success")),
        300..=306 => (Knowledge::Executed, "it answered with a redirect"),
        307 | 308 => (Knowledge::NotExecuted, "it sends the request elsewhere"),
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

/// Whether the body has a value that the rule's `failed_if` names.
fn refused(rule: &Rule, headers: &HeaderMap, body: Option<&[u8]>) -> bool {
    let signs = &rule.answer.failed_if;
    let form = || {
        let form = store_core::canonical::json(&decoded(headers, body?)?)?;
        String::from_utf8(form).ok()
    };
    !signs.is_empty()
        && form().is_some_and(|form| {
            signs.iter().any(|(field, value)| field.0.get(&form) == Some(value.0.as_str()))
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

    /// `None` if the body refuses nothing, or is not an object that every reader reads alike.
    fn read(&self, body: &[u8]) -> Option<(Knowledge, &'static str)> {
        let members = members(body)?;
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
