//! Pointers of rules that match nothing in recorded calls, and so probably start at the wrong place.

use serde::Serialize;
use serde_json::value::RawValue;
use store_core::canonical::{self, Pointer};
use store_core::model::Json;

use super::decide::Policy;
use super::keyed::KeyPlace;
use super::rule::Rule;
use crate::difference::stored::StoredRequest;
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::urlencoded::undisputed;

/// A recorded call, as far as pointers can look into it.
#[derive(Debug)]
pub struct RecordedCall {
    /// What decided about it, beginning with the label of its rule.
    pub rule: String,
    /// Its request as it is stored.
    pub input: Json,
    /// The body of its answer, if that was a success and is stored.
    pub answer: Option<Vec<u8>>,
}

/// A pointer of a rule that matched nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmatchedPointer {
    /// The rule's label.
    pub rule: String,
    /// `ignore`, `select`, `key` or `failed_if`.
    pub setting: &'static str,
    /// The pointer.
    pub pointer: String,
    /// In how many recorded calls of the rule it was looked for.
    pub calls: usize,
}

impl Policy {
    /// Whether any rule has a pointer.
    pub fn has_pointers(&self) -> bool {
        self.rules.iter().any(|rule| {
            let [in_requests, in_answers] = pointers_of(rule);
            !(in_requests.is_empty() && in_answers.is_empty())
        })
    }

    /// The pointers of the rules that match nothing in these calls, of all rules or of one. A
    /// pointer that was looked for in no call is not listed.
    pub fn unmatched_pointers(
        &self,
        only: Option<&Rule>,
        calls: &[RecordedCall],
    ) -> Vec<UnmatchedPointer> {
        let rules = self.rules.iter().filter(|rule| only.is_none_or(|only| ***rule == *only));
        rules.flat_map(|rule| unmatched(rule, calls)).collect()
    }
}

impl Rule {
    /// Whether a call was decided by this rule, or matched it. `decided` is the audit's.
    fn applied(&self, decided: &str) -> bool {
        decided
            .strip_prefix(self.label())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
    }
}

type NamedPointer<'a> = (&'static str, &'a Pointer);

/// The pointers of a rule with their settings: those into requests, and those into answers.
fn pointers_of(rule: &Rule) -> [Vec<NamedPointer<'_>>; 2] {
    let key = match &rule.keys.place {
        Some(KeyPlace::Member(pointer)) => Some(("key", pointer)),
        _ => None,
    };
    let ignore = rule.input.ignore.iter().map(|field| ("ignore", &field.0));
    let select = rule.input.select.iter().map(|field| ("select", &field.0));
    let failed_if = rule.answer.failed_if.keys().map(|field| ("failed_if", &field.0));
    [ignore.chain(select).chain(key).collect(), failed_if.collect()]
}

fn unmatched(rule: &Rule, calls: &[RecordedCall]) -> Vec<UnmatchedPointer> {
    let [in_requests, in_answers] = pointers_of(rule);
    let own = || calls.iter().filter(|call| rule.applied(&call.rule));
    let requests: Vec<_> = own().filter_map(|call| Body::of_request(&call.input)).collect();
    let answers: Vec<_> =
        own().filter_map(|call| Body::of_answer(call.answer.as_deref()?)).collect();
    let none = |(setting, pointer): NamedPointer<'_>, bodies: &[Body]| {
        let matched = bodies.is_empty() || bodies.iter().any(|body| body.has(pointer));
        (!matched).then(|| UnmatchedPointer {
            rule: rule.label().to_owned(),
            setting,
            pointer: pointer.to_string(),
            calls: bodies.len(),
        })
    };
    let of_requests = in_requests.into_iter().filter_map(|one| none(one, &requests));
    of_requests.chain(in_answers.into_iter().filter_map(|one| none(one, &answers))).collect()
}

/// A body that pointers can look into.
enum Body {
    /// In canonical form.
    Json(String),
    /// The names of a form's fields.
    Form(Vec<Vec<u8>>),
}

impl Body {
    fn of_request(input: &Json) -> Option<Self> {
        let request = StoredRequest::read(input)?;
        let body = request.body()?;
        match body_kind(&request.content_type()) {
            BodyKind::Form => {
                let text: String = serde_json::from_str(body).ok()?;
                let pairs = undisputed(text.as_bytes())?;
                Some(Self::Form(pairs.into_iter().map(|(name, _)| name).collect()))
            }
            // A digest is an object too, of which nobody knows what it replaced.
            BodyKind::Json if !request.is_digest() => Self::of_answer(body.as_bytes()),
            _ => None,
        }
    }

    fn of_answer(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<&RawValue>(body).ok()?;
        String::from_utf8(canonical::json(body)?).ok().map(Self::Json)
    }

    fn has(&self, pointer: &Pointer) -> bool {
        match self {
            Self::Json(form) => pointer.get(form).is_some(),
            Self::Form(names) => pointer
                .only_name()
                .is_some_and(|name| names.iter().any(|other| *other == name.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn policy(rules: &[&str]) -> Policy {
        let rules = rules.iter().map(|rule| serde_json::from_str(rule).unwrap()).collect();
        Policy::new(&Settings { rules, ..Settings::default() })
    }

    fn call(rule: &str, kind: &str, body: &str, answer: &str) -> RecordedCall {
        let input = format!(
            r#"{{"method":"POST","url":"http://a/","headers":{{"content-type":"{kind}"}},"body":{body}}}"#
        );
        let answer = (!answer.is_empty()).then(|| answer.as_bytes().to_vec());
        RecordedCall { rule: rule.to_owned(), input: Json::parse(input).unwrap(), answer }
    }

    fn listed(policy: &Policy, calls: &[RecordedCall]) -> Vec<String> {
        let found = policy.unmatched_pointers(None, calls);
        found
            .iter()
            .map(|p| format!("{} {} {} {}", p.rule, p.setting, p.pointer, p.calls))
            .collect()
    }

    #[test]
    fn a_pointer_that_matches_no_call_of_its_rule_is_listed() {
        let policy = policy(&[
            r#"{"name":"a","ignore":["/at","/nowhere"],"key":"/order","failed_if":{"/ok":false,"/no":"x"}}"#,
            r#"{"select":["/x"]}"#,
            r#"{"name":"c","ignore":["/y"]}"#,
        ]);
        let json = "application/json";
        let calls = [
            call("rule a, method POST", json, r#"{"at":1}"#, r#"{"ok":true}"#),
            call("rule a, method POST", json, r#"{"n":1}"#, "not JSON"),
            call("rule 2", json, r#"{"y":1}"#, ""),
            // Of none of them is the body known.
            call("rule c", json, r#"{"sha256":"00","size":1}"#, ""),
            call("rule c", "text/plain", r#""y""#, ""),
            call("rule cc", json, r#"{"z":1}"#, ""),
        ];
        assert_eq!(
            listed(&policy, &calls),
            [
                "rule a ignore /nowhere 2",
                "rule a key /order 2",
                "rule a failed_if /no 1",
                "rule 2 select /x 1"
            ]
        );
        assert!(listed(&policy, &[]).is_empty(), "nothing is known yet");
    }

    #[test]
    fn pointers_name_fields_of_forms_and_start_at_the_message_of_mcp() {
        let policy = policy(&[
            r#"{"name":"a","ignore":["/b","/c"]}"#,
            r#"{"name":"m","ignore":["/arguments/n","/params/arguments/n"]}"#,
        ]);
        let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":1}}}"#;
        let calls = [
            call("rule a", "application/x-www-form-urlencoded", r#""a=1&b=2""#, ""),
            call("rule m, mcp tools/call", "application/json", message, ""),
        ];
        assert_eq!(listed(&policy, &calls), ["rule a ignore /c 1", "rule m ignore /arguments/n 1"]);
    }
}
