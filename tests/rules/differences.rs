//! A call beside the one that it was not mistaken for: `explain`, the 422 and the API name what differs,
//! show no value, and print the lines of a rule that makes the two one call.

use serde_json::{Value, json};
use testkit::{Builder, Engine, Request, Upstream};

use super::{configured, fine, reconfigure};

const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// What `explain` says about a POST in the session `default`. `headers` are lines.
fn explained(builder: &Builder, url: &str, headers: &str, body: &str) -> Value {
    let mut line = vec!["explain", "--json", "POST", url, body];
    line.extend(headers.lines().flat_map(|header| ["-H", header]));
    let file = builder.home().join("engine.toml");
    let output = builder
        .command()
        .args(line)
        .arg("--config")
        .arg(file)
        .arg("--database")
        .arg(builder.database_path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A POST with header lines.
fn post(url: &str, headers: &str, body: &str) -> Request {
    let fields = headers.lines().map(|line| line.split_once(": ").unwrap());
    fields
        .fold(Request::new("POST", url), |request, (name, value)| request.header(name, value))
        .body(body)
}

/// `part name` of each difference.
fn named(differs: &Value) -> Vec<String> {
    let one = |one: &Value| match one["name"].as_str() {
        Some(name) => format!("{} {name}", one["part"].as_str().unwrap()),
        None => one["part"].as_str().unwrap().to_owned(),
    };
    differs.as_array().unwrap_or_else(|| panic!("{differs}")).iter().map(one).collect()
}

/// Path with query, headers, body.
type Sent<'a> = (&'a str, &'a str, &'a str);

#[test]
fn explain_names_what_differs_from_the_newest_call_like_it() {
    let upstream = fine();
    let builder = configured(&upstream, "");
    let engine = builder.start();
    let long = format!(r#"{{"n":1,"pad":"{}"}}"#, "x".repeat(70_000));
    // A call that was sent, one that is explained, what differs.
    let table: &[(Sent<'_>, Sent<'_>, &[&str])] = &[
        // A retry counter and a time that the client puts into each try.
        (
            ("/a", "Content-Type: application/json\nX-My-Try: 1", r#"{"to":"ada","sent_at":1}"#),
            ("/a", "Content-Type: application/json\nX-My-Try: 2", r#"{"to":"ada","sent_at":2}"#),
            &["header x-my-try", "member /sent_at"],
        ),
        (("/b?page=1&t=1", JSON, "1"), ("/b?page=1&t=2", JSON, "1"), &["query t"]),
        (("/c", FORM, "to=ada&at=1"), ("/c", FORM, "to=ada&at=2"), &["field /at"]),
        (
            ("/d", JSON, r#"{"items":[{"id":1},{"id":2}]}"#),
            ("/d", JSON, r#"{"items":[{"id":1},{"id":3}]}"#),
            &["member /items/1/id"],
        ),
        (("/e", JSON, r#"{"n":1}"#), ("/e", JSON, r#"{"n":1.0}"#), &["member /n"]),
        (
            ("/f", "Content-Type: text/plain", "a"),
            ("/f", "Content-Type: text/plain", "b"),
            &["body"],
        ),
        (("/g", JSON, &long), ("/g", JSON, r#"{"n":1}"#), &["body"]),
        (
            ("/h", "Content-Type: application/json\nAuthorization: Bearer one", "1"),
            ("/h", "Content-Type: application/json\nAuthorization: Bearer two", "1"),
            &["credentials"],
        ),
        (
            ("/i", "Content-Type: application/json\nAgent-Repeat: one", "1"),
            ("/i", "Content-Type: application/json\nAgent-Repeat: two", "1"),
            &["repeat"],
        ),
        (
            ("/j", "Content-Type: application/json\nIdempotency-Key: one", "1"),
            ("/j", "Content-Type: application/json\nIdempotency-Key: two", "1"),
            &["key"],
        ),
    ];
    for (stored, sent_now, differs) in table {
        let sent = engine.send(&post(&upstream.url(stored.0), stored.1, stored.2));
        sent.assert_is(200, "executed");
        let explanation = explained(&builder, &upstream.url(sent_now.0), sent_now.1, sent_now.2);
        let compared = &explanation["compared"];
        assert_eq!(explanation["now"], "execute", "{explanation}");
        assert_eq!(compared["execution_id"], sent.header("agent-execution-id").unwrap());
        assert_eq!(named(&compared["differs"]), *differs, "{explanation}");
        for secret in ["Bearer", "ada", "one", "two"] {
            assert!(!compared.to_string().contains(secret), "{compared}");
        }
    }
    // What is the same call needs no comparison, and what is like no other has none.
    let (path, headers, body) = table[0].0;
    let same = explained(&builder, &upstream.url(path), headers, body);
    assert_eq!((&same["now"], &same["compared"]), (&json!("replay"), &Value::Null));
    let alone = explained(&builder, &upstream.url("/a/b"), JSON, "1");
    assert_eq!((&alone["now"], &alone["compared"]), (&json!("execute"), &Value::Null));
}

#[test]
fn the_printed_lines_make_the_two_one_call() {
    let upstream = fine();
    let builder = configured(&upstream, "");
    let engine = builder.start();
    for (path, queries, headers, bodies) in [
        ("/json", ["", ""], JSON, [r#"{"a":{"b/c":1},"n":1}"#, r#"{"a":{"b/c":2},"n":1}"#]),
        ("/form", ["", ""], FORM, ["n=1&x%2Fy=1", "n=1&x%2Fy=2"]),
        ("/quoted", ["", ""], JSON, [r#"{"say \"hi\"":1}"#, r#"{"say \"hi\"":2}"#]),
        ("/query", ["?n=1&t=1", "?n=1&t=2"], JSON, ["1", "1"]),
        ("/escaped", ["?sent%5Fat=1", "?sent%5Fat=2"], JSON, ["1", "1"]),
        ("/brackets", ["?t[]=1&n=1&t[]=2", "?n=1&t[]=3"], JSON, ["1", "1"]),
        ("/absent", ["", "?t=2"], JSON, ["1", "1"]),
        ("/unicode", ["?%C3%A4=1", "?%C3%A4=2"], FORM, ["n=1", "n=1"]),
    ] {
        let urls = queries.map(|query| format!("{}{query}", upstream.url(path)));
        let [first, second] =
            [1, 2].map(|n| post(&urls[n - 1], &format!("{headers}\nX-Try: {n}"), bodies[n - 1]));
        engine.send(&first).assert_is(200, "executed");
        let explanation = explained(&builder, &urls[1], &format!("{headers}\nX-Try: 2"), bodies[1]);
        let lines = explanation["compared"]["rule"].as_array().unwrap();
        let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!(lines.len(), 2, "{explanation}");
        let rule = format!("[[rule]]\npath = {path:?}\n{}\n", lines.join("\n"));
        reconfigure(&engine, &builder.home().join("engine.toml"), &rule);
        engine.send(&first.header("Agent-Repeat", "again")).assert_is(200, "executed");
        engine.send(&second.header("Agent-Repeat", "again")).assert_is(200, "replayed");
    }
}

#[test]
fn a_422_names_what_differs_and_shows_no_value() {
    let upstream = fine();
    let engine = configured(&upstream, "").start();
    for (number, (path, headers, first, second, differs)) in [
        ("/a", JSON, r#"{"amount":5551}"#, r#"{"amount":5552}"#, &["member /amount"][..]),
        ("/b", FORM, "amount=5551&to=ada", "amount=5552&to=ada", &["field /amount"]),
        ("/c", JSON, r#"[{"n":5551}]"#, r#"[{"n":5552}]"#, &["member /0/n"]),
        ("/d", JSON, r#"{"a":5551}"#, r#"{"a":5551,"b":5552}"#, &["member /b"]),
        ("/e", "Content-Type: text/plain", "5551", "5552", &["body"]),
        (
            "/f",
            JSON,
            r#"{"password":"5551","n":1}"#,
            r#"{"password":"5552","n":2}"#,
            &["member /n"],
        ),
        ("/g", JSON, r#"{"password":"5551"}"#, r#"{"password":"5552"}"#, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k-{number}");
        let url = upstream.url(path);
        engine.send(&post(&url, headers, first).key(&key)).assert_is(200, "executed");
        let refused = engine.send(&post(&url, headers, second).key(&key));
        refused.assert_problem(422, "key-reuse");
        let problem = refused.json();
        assert_eq!(named(&problem["differs"]), differs, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        for name in differs {
            let name = name.split(' ').next_back().unwrap();
            assert!(detail.contains(name), "{detail}");
        }
        let masked = path > "/e";
        assert_eq!(detail.contains("A masked value may differ."), masked, "{detail}");
        assert!(!problem.to_string().contains("555"), "a value is shown: {problem}");
    }
    let query = upstream.url("/q");
    engine.send(&post(&format!("{query}?a=1"), JSON, "1").key("q")).assert_is(200, "executed");
    let refused = engine.send(&post(&format!("{query}?a=2"), JSON, "1").key("q"));
    assert_eq!(named(&refused.json()["differs"]), ["query a"]);
    assert!(refused.text().len() < 2_000);
}

/// What the 422 of a key and `explain` name is what can have caused it.
#[test]
fn under_a_key_only_what_counts_under_a_key_is_named() {
    const RULES: &str = "[[rule]]\npath = \"/counted\"\ncount_headers = \"X-My-Try\"\n\
                         [[rule]]\npath = \"/ignored\"\nignore_query = \"t\"\nignore = \"/at\"\n\
                         ignore_headers = \"Content-Language\"\n";
    let upstream = fine();
    let builder = configured(&upstream, RULES);
    let engine = builder.start();
    // Two requests, each a path, headers and a body, and what differs.
    let table: &[(Sent<'_>, Sent<'_>, &[&str])] = &[
        (("/a", "X-My-Try: 1", "1"), ("/a", "X-My-Try: 2\nX-New: 1", "2"), &["body"]),
        (
            ("/b", "Content-Language: en\nX-My-Try: 1", "1"),
            ("/b", "Content-Language: de\nX-My-Try: 2", "1"),
            &["header content-language"],
        ),
        (("/counted", "X-My-Try: 1", "1"), ("/counted", "X-My-Try: 2", "1"), &["header x-my-try"]),
        (
            ("/ignored?t=1&n=1", "Content-Language: en", r#"{"at":1,"n":1}"#),
            ("/ignored?t=2&n=2", "Content-Language: de", r#"{"at":2,"n":2}"#),
            &["query n", "member /n"],
        ),
        (
            ("/s?X-Amz-Signature=1&X-Amz-Date=1&n=1", "X-My-Try: 1", "1"),
            ("/s?X-Amz-Signature=2&X-Amz-Date=2&n=2", "X-My-Try: 2", "1"),
            &["query n"],
        ),
    ];
    for (number, (first, second, differs)) in table.iter().enumerate() {
        let [one, other] = [first, second]
            .map(|sent| (upstream.url(sent.0), format!("{JSON}\n{}", sent.1), sent.2));
        let key = format!("k-{number}");
        engine.send(&post(&one.0, &one.1, one.2).key(&key)).assert_is(200, "executed");
        let refused = engine.send(&post(&other.0, &other.1, other.2).key(&key));
        refused.assert_problem(422, "key-reuse");
        assert_eq!(named(&refused.json()["differs"]), *differs, "{}", refused.text());
        assert!(!refused.text().contains("x-my-try") || differs.contains(&"header x-my-try"));
        // The same key, and another one.
        for (key, also) in [(key.as_str(), &[][..]), ("other", &["key"])] {
            let headers = format!("{}\nIdempotency-Key: {key}", other.1);
            let compared = &explained(&builder, &other.0, &headers, other.2)["compared"];
            let expected: Vec<&str> = differs.iter().chain(also).copied().collect();
            assert_eq!(named(&compared["differs"]), expected, "{compared}");
        }
    }
    // What is not named causes none.
    let url = upstream.url("/a");
    let same = post(&url, &format!("{JSON}\nX-My-Try: 3"), "1").key("k-0");
    engine.send(&same).assert_is(200, "replayed");
}

#[test]
fn a_422_stays_small() {
    let upstream = fine();
    let engine = configured(&upstream, "").start();
    let body = |n: u8| {
        let members: Vec<String> = (0..900).map(|i| format!("\"member-{i}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let request = |n| post(&upstream.url("/a"), JSON, &body(n)).key("k");
    engine.send(&request(1)).assert_is(200, "executed");
    let refused = engine.send(&request(2));
    refused.assert_problem(422, "key-reuse");
    assert_eq!(refused.json()["differs"].as_array().unwrap().len(), 20);
    assert!(refused.json()["detail"].as_str().unwrap().contains("and more"));
    assert!(refused.body.len() < 8_000, "{} bytes", refused.body.len());
}

fn compared(engine: &Engine, id: &str) -> Value {
    engine.rpc("compare_execution", &json!({ "id": id }))
}

#[test]
fn the_api_compares_a_call_with_the_one_before_it() {
    let upstream = fine();
    let engine = configured(&upstream, "").start();
    let send = |path: &str, session: &str, body: &str| {
        let request = post(&upstream.url(path), JSON, body).header("Agent-Session", session);
        let sent = engine.send(&request);
        sent.assert_is(200, "executed");
        sent.header("agent-execution-id").unwrap().to_owned()
    };
    let first = send("/a", "one", r#"{"n":1}"#);
    send("/a", "two", r#"{"n":2}"#);
    send("/ab", "one", r#"{"n":3}"#);
    let second = send("/a?x=1", "one", r#"{"n":4}"#);
    let third = send("/a", "one", r#"{"n":5}"#);
    assert_eq!(compared(&engine, &first), Value::Null, "there is none before it");
    let found = compared(&engine, &second);
    assert_eq!((&found["execution_id"], &found["more"]), (&json!(first), &json!(false)));
    assert_eq!(named(&found["differs"]), ["query x", "member /n"]);
    assert_eq!(found["rule"], json!(["ignore = [\"/n\"]", "ignore_query = [\"x\"]"]));
    assert_eq!(found["sentence"], "They differ in query parameter x, member /n.");
    assert_eq!(compared(&engine, &third)["execution_id"], json!(second));
    let unknown = engine.try_rpc("compare_execution", &json!({"id": json!(uuid())}));
    assert_eq!(unknown.unwrap_err().data["code"], "NOT_FOUND");
}

fn uuid() -> &'static str {
    "00000000-0000-7000-8000-000000000001"
}

#[test]
fn a_pointer_that_never_matched_is_a_warning() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(200, &[("Content-Type", "application/json")], br#"{"ok":true}"#);
    });
    let rules = |more: &str| {
        format!(
            "[[rule]]\nname = \"mail\"\npath = \"/send\"\nignore = [\"/sent_at\", \"/meta/nowhere\"]\n\
             failed_if = {{ \"/ok\" = false, \"/state\" = \"no\" }}\n{more}"
        )
    };
    let builder = configured(&upstream, &rules(""));
    let file = builder.home().join("engine.toml");
    let engine = builder.start();
    let unmatched = |engine: &Engine| {
        let explanation =
            explained(engine.builder(), &upstream.url("/send"), JSON, r#"{"sent_at":9}"#);
        explanation["unmatched"].clone()
    };
    reconfigure(&engine, &file, &rules("# nothing is known yet\n"));
    assert!(!engine.log().contains("a pointer matched nothing"), "{}", engine.log());
    for n in 0..3 {
        let body = format!(r#"{{"sent_at":1,"n":{n}}}"#);
        engine.send(&post(&upstream.url("/send"), JSON, &body)).assert_is(200, "executed");
    }
    engine.post(&upstream.url("/other"), "not of the rule").assert_is(200, "executed");
    reconfigure(&engine, &file, &rules("# again\n"));
    let log = engine.log();
    for (setting, pointer) in [("ignore", "/meta/nowhere"), ("failed_if", "/state")] {
        let line =
            log.lines().find(|line| line.contains(pointer)).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("a pointer matched nothing") && line.contains(setting), "{line}");
    }
    assert!(!log.contains("/sent_at"), "it matched: {log}");
    let found = unmatched(&engine);
    let pointers: Vec<_> = found.as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
    assert_eq!(pointers, ["/meta/nowhere", "/state"], "{found}");
    assert_eq!(found[0]["calls"], 3);
    // Without a server `explain` reads the same from the file.
    let engine = engine.kill_and_restart();
    assert_eq!(unmatched(&engine), found);
}

#[test]
fn a_pointer_of_unknown_if_is_looked_for_in_every_answer() {
    let upstream = Upstream::start(|request, exchange| {
        let (status, body) = match request.target() {
            "/busy" => (409, r#"{"state":"busy"}"#),
            _ => (200, r#"{"ok":true}"#),
        };
        exchange.answer(status, &[("Content-Type", "application/json")], body.as_bytes());
    });
    let rules = |more: &str| {
        format!(
            "[[rule]]\nname = \"jobs\"\npath = \"/*\"\nfailed_if = {{ \"/state\" = \"no\" }}\n\
             unknown_if = {{ status = 418, \"/state\" = \"busy\", \"/job/state\" = \"busy\" }}\n{more}"
        )
    };
    let builder = configured(&upstream, &rules(""));
    let engine = builder.start();
    engine.post(&upstream.url("/"), "1").assert_is(200, "executed");
    engine.post(&upstream.url("/busy"), "1").assert_is(409, "in-doubt");
    let found = explained(&builder, &upstream.url("/"), JSON, "1")["unmatched"].clone();
    let listed = |one: &Value| {
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("setting"), text("pointer"), one["calls"])
    };
    let listed: Vec<String> = found.as_array().unwrap().iter().map(listed).collect();
    assert_eq!(listed, ["failed_if /state 1", "unknown_if /job/state 2"]);
    reconfigure(&engine, &builder.home().join("engine.toml"), &rules("# again\n"));
    let log = engine.log();
    let line = log.lines().find(|line| line.contains("/job/state"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("a pointer matched nothing") && line.contains("unknown_if"), "{line}");
}
