use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::http::target::{Authority, Scheme, Target};
use crate::policy::graphql;
use crate::policy::table::{PostMatch, REFUSALS, RefusalScope};

mod outcomes;

fn target(url: &str) -> Target {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    Target {
        scheme: Scheme::Http,
        authority: Authority::new(host, port.parse().unwrap()),
        path_and_query: format!("/{path}"),
    }
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn policy() -> Policy {
    Policy::new(&Settings::default())
}

fn words(decision: PolicyDecision) -> String {
    match decision {
        PolicyDecision::Guard(Guarded { class, why, .. }) => format!("{class}: {why}"),
        PolicyDecision::Pass(reason) => match reason.bypass() {
            None => format!("read: {reason}"),
            Some(_) => format!("bypassed: {reason}"),
        },
    }
}

fn decide_body(
    policy: &Policy,
    method: &Method,
    url: &str,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> PolicyDecision {
    policy.decide(RequestHead { method, target: &target(url), headers }, body)
}

fn decide(policy: &Policy, method: &str, url: &str, list: &[(&str, &str)], body: &str) -> String {
    let method: Method = method.parse().unwrap();
    words(decide_body(policy, &method, url, &headers(list), Some(body.as_bytes())))
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn the_method_decides_unless_something_else_does() {
    let policy = policy();
    for (method, want) in [
        ("GET", "read: method GET"),
        ("HEAD", "read: method HEAD"),
        ("OPTIONS", "read: method OPTIONS"),
        ("QUERY", "read: method QUERY"),
        ("PROPFIND", "read: method PROPFIND"),
        ("REPORT", "read: method REPORT"),
        ("SEARCH", "read: method SEARCH"),
        ("PUT", "idempotent: method PUT"),
        ("DELETE", "idempotent: method DELETE"),
        ("POST", "once: method POST"),
        ("PATCH", "once: method PATCH"),
        ("get", "once: method get"),
        ("MKCOL", "once: method MKCOL"),
        ("LOCK", "once: method LOCK"),
        ("PURGE", "once: method PURGE"),
    ] {
        assert_eq!(decide(&policy, method, "http://tool.example/a", &[], ""), want, "{method}");
    }
}

#[test]
fn what_passes_unguarded() {
    let pass = ["model.local", "[::1]:11434", "OTHER.local:8080"];
    let policy = Policy::new(&Settings {
        pass: pass.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..Settings::default()
    });
    let grpc = ("content-type", "application/grpc+proto");
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    let h2c = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c")];
    for (method, url, list, want) in [
        ("POST", "http://model.local/x", &[][..], "bypassed: --pass model.local"),
        ("POST", "http://model.local:99/x", &[], "bypassed: --pass model.local"),
        ("POST", "http://other.local:8080/x", &[], "bypassed: --pass other.local:8080"),
        ("POST", "http://other.local/x", &[], "once: method POST"),
        ("POST", "http://sub.model.local/x", &[], "once: method POST"),
        ("POST", "http://h/x", &[grpc], "bypassed: grpc"),
        ("POST", "http://h/x", &[("content-type", "Application/GRPC")], "bypassed: grpc"),
        ("POST", "http://h/x", &[("content-type", "text/application/grpc")], "once: method POST"),
        ("GET", "http://h/x", &websocket, "bypassed: upgrade"),
        ("GET", "http://h/x", &h2c, "read: method GET"),
        ("POST", "http://h/x", &websocket, "once: method POST"),
    ] {
        assert_eq!(decide(&policy, method, url, list, ""), want, "{method} {url} {list:?}");
    }
}

#[test]
fn posts_that_only_read() {
    let policy = policy();
    let query = r#"{"query":"query Q { a }","variables":{"x":1}}"#;
    let protobuf = ("content-type", "application/x-protobuf");
    for (url, list, body, want) in [
        ("http://idp/token", &[FORM][..], "grant_type=client_credentials&scope=a", "oauth-token"),
        ("http://idp/token", &[FORM], "scope=a&grant%5Ftype=refresh_token", "oauth-token"),
        ("http://idp/token", &[JSON], "grant_type=client_credentials", ""),
        ("http://idp/token", &[FORM], "x=grant_type", ""),
        ("http://idp/token", &[FORM], "grant_type=%zz", ""),
        ("http://h/graphql", &[JSON], query, "graphql-query"),
        ("http://h/api/graphql/", &[JSON], query, "graphql-query"),
        ("http://h/admin/graphql.json?x", &[JSON], query, "graphql-query"),
        ("http://h/any", &[("content-type", "application/graphql")], "{ a }", "graphql-query"),
        ("http://h/any", &[("content-type", "application/graphql")], "mutation { a }", ""),
        ("http://h/other", &[JSON], query, ""),
        ("http://h/graphql", &[], query, ""),
        ("http://es/index/_search", &[JSON], "{}", "search"),
        ("http://es/_msearch?x=1", &[], "{}", "search"),
        ("http://es/a,b/_count", &[], "", "search"),
        ("http://es/index/_search/template", &[JSON], "{}", ""),
        ("http://es/index/_doc?x=/_search", &[JSON], "{}", ""),
        ("http://otel:4318/v1/traces", &[protobuf], "x", "otlp"),
        ("http://otel:4318/v1/metrics", &[protobuf], "x", "otlp"),
        ("http://otel:4318/v1/logs", &[JSON], r#"{"resourceLogs":[]}"#, "otlp"),
        ("http://shop/v1/metrics", &[JSON], r#"{"name":"new metric"}"#, ""),
        ("http://shop/v1/logs", &[], "a log", ""),
        ("http://api.openai.com/v1/chat/completions", &[JSON], "{}", "llm-provider"),
        ("http://mine.openai.azure.com/openai/x", &[JSON], "{}", "llm-provider"),
        ("http://.openai.azure.com/openai/x", &[JSON], "{}", ""),
        ("http://bedrock-runtime.eu-west-1.amazonaws.com/model/x/invoke", &[], "", "llm-provider"),
        ("http://bedrock.eu-west-1.amazonaws.com/x", &[], "", ""),
        ("http://api.openai.com.evil.example/v1/x", &[JSON], "{}", ""),
    ] {
        let want =
            if want.is_empty() { "once: method POST".to_owned() } else { format!("read: {want}") };
        assert_eq!(decide(&policy, "POST", url, list, body), want, "{url} {list:?} {body}");
        // The table is about POST alone, and has a switch.
        assert_eq!(decide(&policy, "PATCH", url, list, body), "once: method PATCH", "{url}");
        let off = Policy::new(&Settings { reads_table: false, ..Settings::default() });
        assert_eq!(decide(&off, "POST", url, list, body), "once: method POST", "{url}");
    }
}

#[test]
fn a_body_is_needed_only_if_it_decides() {
    let policy = policy();
    let post = Method::POST;
    for (url, list, needed) in [
        ("http://h/a", &[FORM][..], true),
        ("http://h/graphql", &[JSON], true),
        ("http://h/v1/logs", &[JSON], true),
        ("http://h/a", &[JSON], true),
        ("http://h/a", &[], false),
        ("http://h/login", &[("content-type", "text/plain")], false),
        ("http://h/poll", &[], true),
        ("http://h/v1/logs", &[], false),
        ("http://h/a/_search", &[FORM], false),
    ] {
        let headers = headers(list);
        let head = RequestHead { method: &post, target: &target(url), headers: &headers };
        assert_eq!(policy.decide_by_head(head) == HeadDecision::NeedsBody, needed, "{url}");
        if needed {
            let large = decide_body(&policy, &post, url, &headers, None);
            assert_eq!(words(large), "once: method POST");
        }
    }
    let zipped = headers(&[FORM, ("content-encoding", "br")]);
    let coded = decide_body(&policy, &post, "http://h/a", &zipped, Some(b"grant_type=x"));
    assert_eq!(words(coded), "once: method POST");
}

#[test]
fn graphql_reads_are_certain() {
    let reads = |body: &str| graphql::only_queries(&headers(&[JSON]), body.as_bytes());
    let json =
        |document: &str| format!("{{\"query\":{}}}", serde_json::to_string(document).unwrap());
    for document in [
        "{ a }",
        "query { a }",
        "query A { a } query B($x: Int = 1) @d { b(x: $x) { ...F } } fragment F on T { c }",
        "# mutation\n{ mutation }",
        "{ a(s: \"mutation { x }\") }",
        "{ a(s: \"\"\" } mutation { \"\"\") }",
        "\u{feff}{ a }",
    ] {
        assert!(reads(&json(document)), "{document}");
    }
    for document in [
        "",
        "   ",
        "mutation { a }",
        "subscription { a }",
        "query A { a } mutation B { b }",
        "{ a } mutation { b }",
        "fragment F on T { c }",
        "type Query { a: Int }",
        "{ a ",
        "{ a } }",
        "{ a(s: \"open) } mutation { b }",
        "query",
        "quer { a }",
        "{ a } extend type T { b: Int }",
        "{ a } x",
    ] {
        assert!(!reads(&json(document)), "{document}");
    }
    assert!(reads(r#"[{"query":"{a}"},{"query":"query{b}"}]"#));
    for body in [
        r#"[{"query":"{a}"},{"query":"mutation{b}"}]"#,
        r#"[{"query":"{a}"},{"id":"persisted"}]"#,
        "[]",
        "{}",
        r#"{"query":null}"#,
        r#"{"query":1}"#,
        r#"{"query":"{a}","query":"mutation{b}"}"#,
        r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#,
        "{a}",
    ] {
        assert!(!reads(body), "{body}");
    }
}

#[test]
fn hostile_documents_are_guarded_and_cost_no_stack() {
    let reads = |document: String| {
        graphql::only_queries(
            &headers(&[("content-type", "application/graphql")]),
            document.as_bytes(),
        )
    };
    for (open, middle) in
        [("{a", ""), ("{a(x:[", ""), ("{a(x:{b:", "1"), ("query($x:[", "Int"), ("{...@a{", "")]
    {
        assert!(!reads(open.repeat(1_000)), "{open}");
        assert!(!reads(format!("{{a(x:{})}}", open.repeat(20_000)) + middle), "{open}");
    }
    for (open, close) in [("[", "]"), ("{b:", "}")] {
        assert!(!reads(format!("{{a(x:{}1{})}}", open.repeat(50_000), close.repeat(50_000))));
    }
    assert!(!reads(format!("query($x:{}Int{}){{a}}", "[".repeat(50_000), "]".repeat(50_000))));
    assert!(!reads(format!("{}a{}", "{a".repeat(50_000), "}".repeat(50_000))));
    assert!(!reads(format!("{{{}}}", "a ".repeat(100_000))));
}

#[test]
fn every_row_has_a_source_and_lower_case() {
    for row in READ_ONLY_POSTS {
        assert!(row.source.starts_with("https://"), "{}", row.name);
        if let PostMatch::Host(host) | PostMatch::HostBetween(_, host) = row.when {
            assert_eq!(host, host.to_ascii_lowercase());
        }
    }
    for row in KEYED_UPSTREAMS {
        assert!(row.source.starts_with("https://"), "{}", row.name);
        assert!(row.key().is_some(), "{}", row.name);
        assert!(row.hosts.iter().all(|host| *host == host.to_ascii_lowercase()), "{}", row.name);
        assert!(row.paths.iter().all(|path| path.starts_with('/')), "{}", row.name);
    }
    for row in REFUSALS {
        assert!(row.source.starts_with("https://"));
        if let RefusalScope::At { host, path } = row.when {
            assert!(host == host.to_ascii_lowercase() && path.starts_with('/'));
        }
    }
}

proptest! {
    #[test]
    fn a_document_with_a_mutation_never_reads(before in "[{}()\"#a-c \n,\\\\]{0,12}", after in "[{}()\"#a-c \n,]{0,12}") {
        // Whatever surrounds it: as a separate operation it is seen.
        let document = format!("{{ a }}\n{before}\nmutation M {{ b }}\n{after}");
        let head = headers(&[("content-type", "application/graphql")]);
        if graphql::only_queries(&head, document.as_bytes()) {
            // Then it stands inside a selection set or a string, where it is a field or a text.
            prop_assert!(before.contains('{') || before.contains('"'), "{document}");
        }
    }

    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..64), form in any::<bool>()) {
        let policy = policy();
        let list = [if form { FORM } else { JSON }];
        for url in ["http://h/graphql", "http://h/v1/logs", "http://slack.com/api/x"] {
            decide_body(&policy, &Method::POST, url, &headers(&list), Some(&body));
            outcomes::known(url, 200, &headers(&list), Some(&body));
        }
    }
}
