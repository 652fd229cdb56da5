//! What rules add to a comparison and take from it: under a key, without one, and in doubt.

use testkit::{Request, Upstream};

use super::{configured, fine};

fn lost() -> Upstream {
    Upstream::start(|_, exchange| exchange.answer(504, &[], b""))
}

#[test]
fn an_ignored_parameter_makes_no_other_call() {
    let rules = r#"
        [[rule]]
        path = "/orders"
        ignore_query = ["token_of_try", "at"]
        ignore = "/sent_at"

        [[rule]]
        path = "/single"
        ignore_query = "at"
        "#;
    for (upstream, words) in [
        (fine(), [(200, "executed"), (200, "replayed")]),
        (lost(), [(504, "in-doubt"), (424, "in-doubt")]),
    ] {
        let engine = configured(&upstream, rules).start();
        let order = |path: &str, query: &str, sent_at: u32| {
            let body = format!(r#"{{"to":"ada","sent_at":{sent_at}}}"#);
            let url = upstream.url(&format!("{path}?{query}"));
            let answer = engine.send(&Request::post_json(&url, body));
            (answer.status, answer.word().to_owned())
        };
        let [first, second] = words.map(|(status, word)| (status, word.to_owned()));
        assert_eq!(order("/orders", "a=1&at=1&token_of_try=x", 1), first);
        assert_eq!(order("/orders", "a=1&at=2&token%5Fof_try=y", 1), second);
        assert_eq!(order("/orders", "a=1&token_of_try=z", 1), second);
        assert_eq!(order("/orders", "a=1", 1), second);
        assert_eq!(order("/orders", "a=2&at=1&token_of_try=x", 1), first);
        assert_eq!(order("/single", "at=1", 1), first);
        assert_eq!(order("/single", "at=2", 1), second);
        assert_eq!(order("/other", "at=1", 1), first);
        assert_eq!(order("/other", "at=2", 1), first);
        // The tool gets the parameters as they came.
        assert!(upstream.received()[0].target().ends_with("?a=1&at=1&token_of_try=x"));
    }
}

#[test]
fn a_header_that_a_rule_counts_counts_under_a_key_and_in_doubt() {
    let rules = r#"
        [[rule]]
        count_headers = ["X-Batch", "X-Retry-Count"]
        ignore_headers = "X-Tenant-Id"
        "#;
    let upstream = fine();
    let engine = configured(&upstream, rules).start();
    let keyed = |name: &str, value: &str| {
        engine.send(&Request::post(&upstream.url("/a"), "x").key(name).header(name, value))
    };
    for name in ["X-Batch", "X-Retry-Count"] {
        keyed(name, "1").assert_is(200, "executed");
        keyed(name, "2").assert_problem(422, "key-reuse");
    }
    for (name, value) in [("X-Tenant-Id", "1"), ("X-Mode", "1")] {
        keyed(name, value).assert_is(200, "executed");
        keyed(name, "2").assert_is(200, "replayed");
    }
    let upstream = lost();
    let engine = configured(&upstream, rules).start();
    let call = |name: &str, value: &str| {
        engine.send(&Request::post(&upstream.url("/b"), name).header(name, value))
    };
    for name in ["X-Batch", "X-Retry-Count"] {
        call(name, "1").assert_is(504, "in-doubt");
        call(name, "2").assert_is(504, "in-doubt");
        call(name, "1").assert_problem(424, "in-doubt");
    }
}

#[test]
fn a_member_that_a_rule_selects_counts_even_if_it_is_named_like_a_key() {
    let upstream = lost();
    let rules = "[[rule]]\npath = \"/approvals\"\nselect = [\"/request_id\"]\n";
    let engine = configured(&upstream, rules).start();
    let call = |path: &str, id: u32, note: &str| {
        let body = format!(r#"{{"request_id":{id},"note":"{note}"}}"#);
        engine.send(&Request::post_json(&upstream.url(path), body))
    };
    call("/approvals", 17, "a").assert_is(504, "in-doubt");
    call("/approvals", 17, "b").assert_problem(424, "in-doubt");
    call("/approvals", 18, "a").assert_is(504, "in-doubt");
    call("/usual", 17, "a").assert_is(504, "in-doubt");
    call("/usual", 18, "a").assert_problem(424, "in-doubt");
}

#[test]
fn bad_names_of_parameters_and_proofs_are_refused() {
    let upstream = fine();
    for (rule, why) in [
        ("ignore_query = \"a=1\"", "is not a parameter's name"),
        ("ignore_query = \"a%5Fb\"", "write it without escapes"),
        ("ignore_query = []", "the list is empty"),
        ("count_headers = \"DPoP\"", "never counts"),
        ("count_headers = \"X-PAYMENT\"", "never counts"),
    ] {
        let toml = format!("[[rule]]\n{rule}\n");
        let Err((_, log)) = configured(&upstream, &toml).try_start() else {
            panic!("{rule} is not refused")
        };
        assert!(log.contains(why), "{rule}: {log}");
    }
}
