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
use super::table::{Answers, Means, REFUSALS, Refusal};
use crate::http::forms::kind::plain;
use crate::http::target::Target;

/// What is known of a call whose answer came whole, and why. `body` is the answer's, as it came;
/// `None` where it is too large to be looked at: then the status alone speaks.
///
/// An answer that did not come whole is not for this function: it is unknown.
pub fn outcome(
    target: &Target,
    status: u16,
    headers: &HeaderMap,
    body: Option<&[u8]>,
    class: EffectClass,
    rule: Option<&Rule>,
) -> (Knowledge, &'static str) {
    match status {
        200..=299 if rule.is_some_and(|rule| refused(rule, headers, body)) => {
            (Knowledge::NotExecuted, "its rule takes the body for a refusal")
        }
        200..=299 => REFUSALS
            .iter()
            .filter(|refusal| refusal.is_about(target, headers))
            .find_map(|refusal| refusal.read(&plain(headers, body?)?))
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
            (Knowledge::NotExecuted, "it asks to come back later")
        }
        _ => (Knowledge::Unknown, "it failed and does not say how far it came"),
    }
}

/// Has the body a value that the rule's `failed_if` names.
fn refused(rule: &Rule, headers: &HeaderMap, body: Option<&[u8]>) -> bool {
    let signs = &rule.given.failed_if;
    let form = || {
        let form = store_core::canonical::json(&plain(headers, body?)?)?;
        String::from_utf8(form).ok()
    };
    !signs.is_empty()
        && form().is_some_and(|form| {
            signs.iter().any(|(field, value)| field.0.get(&form) == Some(value.0.as_str()))
        })
}

impl Refusal {
    fn is_about(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            Answers::At { host, path } => {
                target.authority.host == *host && target.path().starts_with(path)
            }
            Answers::GraphQl => {
                graphql::is_endpoint(target)
                    || headers.get(CONTENT_TYPE).is_some_and(|value| {
                        value.as_bytes().starts_with(b"application/graphql-response+json")
                    })
            }
        }
    }

    /// `None` where the body refuses nothing, or is no object that every reader reads alike.
    fn read(&self, body: &[u8]) -> Option<(Knowledge, &'static str)> {
        let members = members(body)?;
        let get = |name: &str| members.get(name).map(|value| value.get());
        match &self.means {
            Means::NotOk { unless } => {
                let error =
                    get("error").and_then(|text| serde_json::from_str::<Cow<'_, str>>(text).ok());
                (get("ok")? == "false").then(|| match error {
                    Some(error) if unless.contains(&error.as_ref()) => {
                        (Knowledge::Unknown, "it says that a part may have been done")
                    }
                    _ => (Knowledge::NotExecuted, "its body says that it refused"),
                })
            }
            Means::ErrorsWithoutData => {
                let errors: Vec<&RawValue> = serde_json::from_str(get("errors")?).ok()?;
                (!errors.is_empty() && get("data").is_none())
                    .then_some((Knowledge::NotExecuted, "its body has errors and no data"))
            }
        }
    }
}
