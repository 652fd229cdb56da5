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
    /// The status of its answer, if one is stored.
    pub status: Option<u16>,
    /// The body of that answer, if it is stored.
    pub answer: Option<Vec<u8>>,
}

/// A pointer of a rule that matched nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmatchedPointer {
    /// The rule's label.
    pub rule: String,
    /// `ignore`, `select`, `key`, `failed_if` or `unknown_if`.
    pub setting: &'static str,
    /// The pointer.
    pub pointer: String,
    /// In how many recorded calls of the rule it was looked for.
    pub calls: usize,
}

impl Policy {
    /// Whether any rule has a pointer.
    pub fn has_pointers(&self) -> bool {
        self.rules.iter().any(|rule| pointers_of(rule).next().is_some())
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

/// A pointer of a rule.
struct RulePointer<'a> {
    setting: &'static str,
    pointer: &'a Pointer,
    into: PointsInto,
}

/// The bodies that a pointer looks into.
#[derive(Clone, Copy)]
enum PointsInto {
    Requests,
    /// Answers with a status of success.
    Successes,
    Answers,
}

fn pointers_of(rule: &Rule) -> impl Iterator<Item = RulePointer<'_>> {
    let to = |setting, into| move |pointer| RulePointer { setting, pointer, into };
    let key = match &rule.keys.place {
        Some(KeyPlace::Member(pointer)) => Some(pointer),
        _ => None,
    };
    let ignore = rule.input.ignore.iter().map(|field| &field.0);
    let select = rule.input.select.iter().map(|field| &field.0);
    let failed_if = rule.answer.failed_if.keys().map(|field| &field.0);
    let unknown_if = rule.answer.unknown_if.members.keys().map(|field| &field.0);
    let in_requests = ignore.map(to("ignore", PointsInto::Requests));
    in_requests
        .chain(select.map(to("select", PointsInto::Requests)))
        .chain(key.map(to("key", PointsInto::Requests)))
        .chain(failed_if.map(to("failed_if", PointsInto::Successes)))
        .chain(unknown_if.map(to("unknown_if", PointsInto::Answers)))
}

fn unmatched(rule: &Rule, calls: &[RecordedCall]) -> Vec<UnmatchedPointer> {
    let own = || calls.iter().filter(|call| rule.applied(&call.rule));
    let requests: Vec<_> = own().filter_map(|call| Body::of_request(&call.input)).collect();
    let answers: Vec<_> = own()
        .filter_map(|call| Some((call.status?, Body::of_answer(call.answer.as_deref()?)?)))
        .collect();
    let none = |RulePointer { setting, pointer, into }| {
        let bodies: Vec<&Body> = match into {
            PointsInto::Requests => requests.iter().collect(),
            PointsInto::Successes => {
                let successes = answers.iter().filter(|(status, _)| (200..300).contains(status));
                successes.map(|(_, body)| body).collect()
            }
            PointsInto::Answers => answers.iter().map(|(_, body)| body).collect(),
        };
        let matched = bodies.is_empty() || bodies.iter().any(|body| body.has(pointer));
        (!matched).then(|| UnmatchedPointer {
            rule: rule.label().to_owned(),
            setting,
            pointer: pointer.to_string(),
            calls: bodies.len(),
        })
    };
    pointers_of(rule).filter_map(none).collect()
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
        let status = answer.as_ref().map(|_| 200);
        RecordedCall { rule: rule.to_owned(), input: Json::parse(input).unwrap(), status, answer }
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
    fn answers_that_failed_have_only_what_unknown_if_looks_for() {
        let policy = policy(&[
            r#"{"name":"a","failed_if":{"/state":"no"},"unknown_if":{"text":"later","/state":"?"}}"#,
            r#"{"name":"b","unknown_if":{"text":"busy","/result/isError":true,"/ok":false}}"#,
        ]);
        let answered = |rule: &str, status: u16, answer: &str| RecordedCall {
            status: Some(status),
            ..call(rule, "application/json", "1", answer)
        };
        let calls = [
            answered("rule a", 409, r#"{"state":"?"}"#),
            answered("rule a", 200, r#"{"ok":true}"#),
            answered("rule b", 500, "not JSON"),
            answered("rule b", 200, r#"{"isError":true,"ok":true}"#),
            answered("rule b", 204, ""),
        ];
        assert_eq!(
            listed(&policy, &calls),
            ["rule a failed_if /state 1", "rule b unknown_if /result/isError 1"]
        );
        assert!(policy.has_pointers());
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
