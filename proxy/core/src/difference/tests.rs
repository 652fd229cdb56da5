use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use store_core::key::Digest;
use store_core::model::EffectClass;

use super::list::Difference;
use super::*;
use crate::http::head::RequestHead;
use crate::http::target::{Authority, Scheme, Target};
use crate::masking::input::{BodyToKeep, MAX_KEPT, input_json};
use crate::policy::decide::Policy;
use crate::policy::decision::PolicyDecision;
use crate::settings::Settings;

const JSON: &str = "content-type: application/json";
const FORM: &str = "content-type: application/x-www-form-urlencoded";

fn guarded(rule: &str) -> Guarded {
    let rule = serde_json::from_str(rule).unwrap();
    let settings = Settings { rules: vec![rule], ..Settings::default() };
    let target = target("/");
    let headers = HeaderMap::new();
    let head = RequestHead { method: &Method::POST, target: &target, headers: &headers };
    match Policy::new(&settings).decide(head, Some(b"")) {
        PolicyDecision::Guard(guarded) => guarded,
        PolicyDecision::Pass(why) => panic!("{why}"),
    }
}

fn target(path: &str) -> Target {
    let authority = Authority::new("tool.example", 80);
    Target { scheme: Scheme::Http, authority, path_and_query: path.to_owned() }
}

/// A POST as it is stored. `headers` are lines.
fn stored(path: &str, headers: &str, body: &str) -> Json {
    let fields = headers.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    });
    let headers: HeaderMap = fields.collect();
    let target = target(path);
    let head = RequestHead { method: &Method::POST, target: &target, headers: &headers };
    let bytes = body.as_bytes();
    let kept =
        BodyToKeep { bytes: Some(bytes), sha256: Digest::of(bytes), size: bytes.len() as u64 };
    let none = Guarded::by_class(EffectClass::Once, "test");
    input_json(head, &|name| none.counts(name), kept)
}

/// `part name` of each difference.
fn listed(found: &Differences) -> Vec<String> {
    let one = |one: &Difference| {
        let part = serde_json::to_value(one.part).unwrap().as_str().unwrap().to_owned();
        one.name.as_ref().map_or_else(|| part.clone(), |name| format!("{part} {name}"))
    };
    found.differs.iter().map(one).collect()
}

fn compared(stored: &Json, request: &Json, guarded: Option<&Guarded>) -> Differences {
    between(stored, request, guarded, &|_| true)
}

#[track_caller]
fn assert_differ(old: (&str, &str, &str), new: (&str, &str, &str), want: &[&str]) {
    let (old, new) = (stored(old.0, old.1, old.2), stored(new.0, new.1, new.2));
    assert_eq!(listed(&compared(&old, &new, None)), want, "{old:?} {new:?}");
    assert_eq!(listed(&compared(&new, &old, None)), want, "the other way round");
    assert!(compared(&old, &old, None).differs.is_empty());
}

#[test]
fn what_differs_is_named_with_its_place() {
    let json = |body: &'static str| ("/", JSON, body);
    for (old, new, want) in [
        (r#"{"a":1,"b":2}"#, r#"{"b":2, "a":1}"#, &[][..]),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, &["member /a"]),
        (r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890124}"#, &["member /n"]),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, &["member /b"]),
        (r#"{"a":{"b":[{"c":1},2]}}"#, r#"{"a":{"b":[{"c":2},2]}}"#, &["member /a/b/0/c"]),
        (r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, &["member /a"]),
        (r#"{"a":{}}"#, r#"{"a":[]}"#, &["member /a"]),
        (r#"{"a/b":1,"c~d":1}"#, r#"{"a/b":2,"c~d":2}"#, &["member /a~1b", "member /c~0d"]),
        (r#"{"":1}"#, r#"{"":2}"#, &["member /"]),
        ("[1,2]", "[1,3]", &["member /1"]),
        ("1", "2", &["body"]),
        // Readers differ about duplicate members.
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#, &["body"]),
        ("", r#"{"a":1}"#, &["body"]),
        (r#"{"a":1}"#, "not JSON", &["body"]),
    ] {
        assert_differ(json(old), json(new), want);
    }
}

#[test]
fn forms_queries_and_headers_are_compared_by_name() {
    let form = |body: &'static str| ("/", FORM, body);
    assert_differ(form("a=1&b=2"), form("a=1&b=3"), &["field /b"]);
    assert_differ(form("a=1&a=2"), form("a=2&a=1"), &["field /a"]);
    assert_differ(form("a=1&b=2"), form("b=2&a=1"), &["field"]);
    assert_differ(form("x%2Fy=1"), form("x/y=2"), &["field /x~1y"]);
    assert_differ(form(r#"{"a":1}"#), form(r#"{"a":2}"#), &["body"]);
    let at = |path: &'static str| (path, JSON, "1");
    assert_differ(at("/p?a=1&b=2"), at("/p?a=1&b=3"), &["query b"]);
    assert_differ(at("/p"), at("/p?x"), &["query x"]);
    assert_differ(at("/p?a=1&b=2"), at("/p?b=2&a=1"), &["query"]);
    assert_differ(at("/p"), at("/q"), &["url"]);
    let with = |lines: &'static str| ("/", lines, "text");
    assert_differ(with("x-a: 1"), with("x-a: 2\nx-b: 1"), &["header x-a", "header x-b"]);
    assert_differ(with("user-agent: 1"), with("user-agent: 2"), &[]);
}

#[test]
fn boundaries_do_not_differ_and_digests_are_the_last_suspects() {
    let multipart = |boundary: &str, extra: &str, body: &str| {
        let kind = format!("content-type: multipart/form-data; boundary={boundary}{extra}");
        stored("/", &kind, body)
    };
    let first = multipart("one", "", "--one\r\n\r\nx\r\n--one--");
    let again = multipart("two", "", "--two\r\n\r\ny\r\n--two--");
    assert_eq!(listed(&compared(&first, &again, None)), ["body"]);
    let header = multipart("two", "\nx-a: 1", "--two\r\n\r\nx\r\n--two--");
    assert_eq!(listed(&compared(&first, &header, None)), ["header x-a"]);
    let large = "x".repeat(MAX_KEPT + 1);
    let text = "content-type: text/plain\nx-a: ";
    let old = stored("/", &format!("{text}1"), &large);
    let new = stored("/", &format!("{text}2"), &format!("{large}y"));
    assert_eq!(listed(&compared(&old, &new, None)), ["header x-a", "body"]);
}

#[test]
fn no_secret_is_shown_and_a_masked_value_is_mentioned() {
    let body = |secret: &str, n: u8| {
        let text = format!(r#"{{"password":"{secret}","n":{n}}}"#);
        stored("/p?api_key=k-1", &format!("{JSON}\nx-session-secret: {secret}"), &text)
    };
    let found = compared(&body("hunter2", 1), &body("hunter3", 2), None);
    assert_eq!(listed(&found), ["member /n"]);
    assert!(found.masked);
    let text = serde_json::to_string(&found).unwrap() + &found.sentence();
    assert!(!text.contains("hunter") && !text.contains("k-1"), "{text}");
    assert_eq!(found.sentence(), "They differ in member /n. A masked value may differ.");
    let same = compared(&body("hunter2", 1), &body("hunter3", 1), None);
    assert_eq!(
        same.sentence(),
        "Nothing that is stored of the two differs. A masked value may differ."
    );
}

#[test]
fn the_lines_to_paste_are_a_rule_that_makes_them_one() {
    let old = stored("/", &format!("{JSON}\nx-batch: 1"), r#"{"a":{"at":1},"b\"":1,"c":1}"#);
    let new = stored("/", &format!("{JSON}\nx-batch: 2"), r#"{"a":{"at":2},"b\"":2,"c":1}"#);
    let found = compared(&old, &new, None);
    let lines = found.rule.join("\n");
    assert_eq!(lines, "ignore = [\"/a/at\", \"/b\\\"\"]\nignore_headers = [\"x-batch\"]");
    // What the rule of the call leaves out is not listed.
    let ignores = guarded(r#"{"ignore":["/a/at","/b\""]}"#);
    let found = compared(&old, &new, Some(&ignores));
    assert_eq!(listed(&found), ["header x-batch"]);
    let selects = guarded(r#"{"select":["/a","/x"]}"#);
    let found = compared(&old, &new, Some(&selects));
    assert_eq!(listed(&found), ["header x-batch", "member /a/at"]);
    assert_eq!(found.rule, ["ignore_headers = [\"x-batch\"]"], "select excludes ignore");
    let key = guarded(r#"{"key":"/a/at"}"#);
    let found = compared(&old, &new, Some(&key));
    assert_eq!(listed(&found), ["header x-batch", "member /b\""]);
}

#[test]
fn ids_and_meta_of_tool_calls_do_not_differ() {
    let call = |id: u8, to: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"send","arguments":{{"to":"{to}"}},"_meta":{{"n":{id}}}}}}}"#
        );
        stored("/", JSON, &body)
    };
    let found = compared(&call(1, "ada"), &call(2, "bob"), None);
    assert_eq!(listed(&found), ["member /params/arguments/to"]);
    let mut of_tool = Guarded::by_class(EffectClass::Once, "test");
    of_tool.is_tool_call = true;
    let found = compared(&call(1, "ada"), &call(2, "ada"), Some(&of_tool));
    assert!(found.differs.is_empty(), "{found:?}");
    let found = compared(
        &call(1, "ada"),
        &call(2, "ada"),
        Some(&Guarded::by_class(EffectClass::Once, "test")),
    );
    assert_eq!(listed(&found), ["member /id", "member /params/_meta/n"], "plain JSON-RPC");
}

#[test]
fn the_list_is_bounded() {
    let members = |n: u8| {
        let all: Vec<String> = (0..200).map(|i| format!("\"m{i}\":{n}")).collect();
        stored("/", JSON, &format!("{{{}}}", all.join(",")))
    };
    let found = compared(&members(1), &members(2), None);
    assert_eq!((found.differs.len(), found.more), (20, true));
    let long = "n".repeat(60_000);
    let named = |n: u8| stored("/", JSON, &format!("{{\"{long}\":{n}}}"));
    let found = compared(&named(1), &named(2), None);
    assert!(serde_json::to_string(&found).unwrap().len() < 1_000);
    assert!(found.rule.is_empty(), "a name that was cut is not a pointer");
    let deep = |n: u8| {
        let text = format!("{}{n}{}", "[".repeat(120), "]".repeat(120));
        stored("/", JSON, &text)
    };
    assert_eq!(compared(&deep(1), &deep(2), None).differs.len(), 1);
    // The input of the state API is any JSON.
    let (old, new) = (Json::parse("{\"a\":1}").unwrap(), Json::parse("{\"a\":2}").unwrap());
    assert_eq!(listed(&compared(&old, &new, None)), ["member /a"]);
}

#[test]
fn only_fields_that_count_are_compared() {
    let one = stored("/", "x-a: 1\nx-b: 1", "text");
    let other = stored("/", "x-a: 2\nx-b: 2", "text");
    let found = between(&one, &other, None, &|name| name == "x-b");
    assert_eq!(listed(&found), ["header x-b"]);
}

#[test]
fn parameters_are_named_in_the_lines_as_a_server_reads_them() {
    let at = |path: &str| stored(path, JSON, "1");
    for (old, new, lines) in [
        ("/p?t=1&n=1", "/p?t=2&n=1", &[r#"ignore_query = ["t"]"#][..]),
        ("/p", "/p?t", &[r#"ignore_query = ["t"]"#]),
        ("/p?a%62=1&ab=1", "/p?a%62=2&ab=2", &[r#"ignore_query = ["ab"]"#]),
        ("/p?x[]=1&x[]=2", "/p?x[]=2&x[]=1", &[r#"ignore_query = ["x[]"]"#]),
        ("/p?a%22%5c=1", "/p?a%22%5c=2", &[r#"ignore_query = ["a\"\\"]"#]),
        // A rule cannot name them: a name with a delimiter, one that is empty, an order.
        ("/p?a%26b=1", "/p?a%26b=2", &[]),
        ("/p?=1", "/p?=2", &[]),
        ("/p?a=1&b=2", "/p?b=2&a=1", &[]),
        ("/p?a=1", "/q?a=1", &[]),
    ] {
        assert_eq!(compared(&at(old), &at(new), None).rule, lines, "{old} {new}");
    }
    let (old, new) = (at("/p?t=1&n=1"), at("/p?t=2&n=2"));
    let ignores = guarded(r#"{"ignore_query":"t"}"#);
    assert_eq!(listed(&compared(&old, &new, Some(&ignores))), ["query n"]);
    // What signs a try distinguishes no calls, whatever the rule.
    let signed = |time: u8| at(&format!("/p?X-Amz-Signature={time}&X-Amz-Date={time}&n={time}"));
    for guarded in [None, Some(&ignores)] {
        assert_eq!(listed(&compared(&signed(1), &signed(2), guarded)), ["query n"]);
    }
}
