//! Errors of tools which say that nobody knows how the call ended.

use std::fs;

use serde_json::{Value, json};
use testkit::{Engine, Upstream, engine};

use super::{EVENTS, answer_json, assert_tool_error, call, event, message_in, only_execution};

/// A server that answers each call with the error in the call's tool name: `json TEXT` or `events TEXT`.
fn failing() -> Upstream {
    Upstream::start(|request, exchange| {
        let sent = message_in(request);
        let name = sent["params"]["name"].as_str().unwrap().to_owned();
        let (how, text) = name.split_once(' ').unwrap();
        let answer = match text.split_once('#') {
            Some((code, text)) => json!({"jsonrpc": "2.0", "id": sent["id"],
                "error": {"code": code.parse::<i64>().unwrap(), "message": text}}),
            None => json!({"jsonrpc": "2.0", "id": sent["id"],
                "result": {"isError": true, "content": [{"type": "text", "text": text}]}}),
        };
        if how == "json" {
            answer_json(exchange, 200, &answer);
        } else {
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk(event(&answer));
            exchange.end_chunked(&[]);
        }
    })
}

#[track_caller]
fn assert_open(engine: &Engine, upstream: &Upstream, tool: &str, hits: &mut usize) {
    let first = engine.send(&call(upstream, 1, tool));
    assert_eq!(first.status, 200, "{tool}");
    *hits += 1;
    let second = engine.send(&call(upstream, 2, tool));
    assert_tool_error(&second, &json!(2), "in-doubt");
    assert_eq!(upstream.hits(), *hits, "{tool}");
}

#[test]
fn an_error_that_says_timed_out_leaves_the_call_in_doubt() {
    let upstream = failing();
    let engine = engine!().start();
    let mut hits = 0;
    for text in [
        "timed out",
        "Error executing tool send_mail: The read operation timed out",
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='a')",
        "context deadline exceeded",
        "AbortError: This operation was aborted",
        "connection lost",
        "read ECONNRESET",
        "the server closed the connection",
        "smtp: unexpected EOF",
        "upstream answered 502 Bad Gateway",
        "the service did not respond",
        "-32001#Request failed",
        "-32000#Connection closed",
        "7#socket hang up",
    ] {
        for how in ["json", "events"] {
            assert_open(&engine, &upstream, &format!("{how} {text}"), &mut hits);
        }
    }
    for text in [
        "no such user",
        "timeout must be a positive number",
        "the order was cancelled",
        "-32000#no such user",
        "-32602#invalid timeout",
    ] {
        for how in ["json", "events"] {
            let tool = format!("{how} {text}");
            for id in [1, 2] {
                let answer = engine.send(&call(&upstream, id, &tool));
                assert_eq!(answer.status, 200, "{tool}");
                hits += 1;
                assert_eq!(upstream.hits(), hits, "{tool}");
            }
        }
    }
}

fn configured(toml: &str) -> Engine {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    fs::write(&file, toml).unwrap();
    builder.arg("--config").arg(file).start()
}

/// A tool that sends a mail and then raises has sent the mail.
#[test]
fn a_rule_makes_every_error_of_a_tool_unknown() {
    let upstream = failing();
    let engine = configured(
        "[[rule]]\nmcp_tool = [\"json KeyError*\", \"events KeyError*\"]\n\
         unknown_if = { \"/result/isError\" = true }\n\
         [[rule]]\nmcp_tool = \"json quota*\"\nfailed_if = { \"/result/isError\" = true }\n\
         [[rule]]\nmcp_tool = \"json Zeit*\"\nunknown_if = { text = \"zeit\\u00fcberschreitung\" }\n",
    );
    let mut hits = 0;
    for tool in ["json KeyError: 'id'", "events KeyError: 'id'", "json Zeit\u{dc}berschreitung"] {
        assert_open(&engine, &upstream, tool, &mut hits);
    }
    for _ in 0..2 {
        engine.send(&call(&upstream, 1, "json quota")).assert_is(200, "not-executed");
        engine.send(&call(&upstream, 1, "json ValueError")).assert_is(200, "executed");
    }
}

#[test]
fn an_open_error_is_kept_and_reaches_its_caller() {
    let upstream = failing();
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "json timed out"));
    first.assert_is(200, "in-doubt");
    assert_eq!(first.json()["result"]["content"][0]["text"], "timed out");
    let execution = only_execution(&engine);
    let known: [&Value; 2] = [&execution["status"], &execution["outcome"]];
    assert_eq!(known, [&json!("in_doubt"), &json!("unknown")]);
}
