//! Calls and other messages of a session without failures, and what the wrapper does with them.

use std::fs;

use serde_json::{Value, json};
use testkit::{Request, Upstream};

use super::{Place, executions, text};

#[test]
fn a_retry_has_one_effect_across_restarts_of_wrapper_and_engine() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    let first = session.call(1, &json!({"n": 1}));
    assert_eq!((&first["id"], text(&first)), (&json!(1), "did it"));
    let second = session.call("b", &json!({"n": 1}));
    assert_eq!((&second["id"], text(&second)), (&json!("b"), "did it"));
    assert_eq!(session.end(), Some(0));
    let engine = engine.kill_and_restart();
    let mut session = place.start();
    assert_eq!(session.call(3, &json!({"n": 1}))["id"], 3);
    assert_eq!(place.effects(), 1);
    session.call(4, &json!({"n": 2}));
    assert_eq!(place.effects(), 2);
    let recorded = executions(&engine);
    assert_eq!(recorded.len(), 2, "{recorded:#?}");
    assert_eq!(recorded[0]["tool_name"], "tools/call act test.mcp-stdio.invalid");
    let engine = engine.kill_and_restart();
    assert_eq!(session.call(5, &json!({"n": 2}))["id"], 5, "the engine is found at its new ports");
    assert_eq!(place.effects(), 2);
    drop(engine);
}

#[test]
fn without_an_engine_the_wrapper_starts_one() {
    let place = Place::new();
    for id in 1..3 {
        let mut session = place.start();
        assert_eq!(session.call(id, &json!({"n": 1}))["id"], id);
        assert_eq!(session.end(), Some(0));
    }
    assert_eq!(place.effects(), 1);
}

#[test]
fn all_other_messages_pass_as_they_were_understood() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    for (line, sent) in [
        (
            "{ \"jsonrpc\" : \"2.0\", \"id\":1, \"method\":\"initialize\" }\n",
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications\\/initialized\"}\r\n",
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ),
        (
            "\n \r\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"b\":1.50,\"a\":12345678901234567890}}\n",
            r#"{"jsonrpc":"2.0","id":7,"result":{"b":1.50,"a":12345678901234567890}}"#,
        ),
        (
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"t\":\"\u{e4}\u{2028}\u{85}\"}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"t\":\"\u{e4}\\u2028\\u0085\"}}",
        ),
    ] {
        session.say(line);
        assert_eq!(session.line(), format!("echo  {sent}\n"));
    }
}

#[test]
fn progress_flows_while_the_response_is_awaited() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    assert_eq!(executions(&engine)[0]["status"], "running");
    session.ask(2, &json!({"do": "wait"}));
    fs::write(place.beside("go"), "").unwrap();
    let mut ids = [session.answer()["id"].clone(), session.answer()["id"].clone()];
    ids.sort_by_key(serde_json::Value::as_i64);
    assert_eq!(ids, [json!(1), json!(2)]);
    assert_eq!(place.effects(), 1, "the duplicate waited");
}

#[test]
fn a_tool_error_is_passed_on_and_the_call_can_run_again() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    for id in 1..3 {
        let answer = session.call(id, &json!({"do": "fail"}));
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(id), &json!(true)));
    }
    assert_eq!(place.effects(), 2);
    let recorded = executions(&engine);
    assert_eq!(
        (&recorded[0]["status"], &recorded[0]["outcome"]),
        (&json!("failed"), &json!("executed"))
    );
}

#[test]
fn rules_hold_for_a_server_on_stdio() {
    const RULES: &str = r#"
        [[rule]]
        name = "of the tool"
        mcp_tool = "act"
        tool = "acting"
        repeat = "delivered"
    "#;
    for brought in [false, true] {
        let place = Place::configured(RULES);
        let engine = (!brought).then(|| place.builder.start());
        let mut session = place.start();
        for id in 1..=3 {
            assert_eq!(text(&session.call(id, &json!({"n": 1}))), "did it");
        }
        assert_eq!(place.effects(), 3, "each answer arrived before the next call");
        assert_eq!(session.end(), Some(0));
        let engine = engine.unwrap_or_else(|| place.builder.start());
        let recorded = engine.proxied();
        assert_eq!(recorded.len(), 3, "{recorded:#?}");
        for one in recorded {
            assert_eq!(one["tool_name"], "acting", "{one}");
            assert_eq!(one["rule"], "rule of the tool, mcp tools/call", "{one}");
        }
    }
}

/// The wrapper's port is on the loopback, and the engine chose to go there.
#[test]
fn refuse_loopback_is_about_other_ports_than_the_wrappers() {
    for started in [true, false] {
        let place = Place::configured("[proxy]\nrefuse_loopback = true\n");
        let engine = started.then(|| place.builder.start());
        let mut session = place.start();
        for id in 1..=2 {
            assert_eq!(text(&session.call(id, &json!({"n": 1}))), "did it");
        }
        session.say("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/list\"}\n");
        assert_eq!(session.answer()["result"]["tools"][0]["name"], "act");
        assert_eq!(place.effects(), 1);
        let Some(engine) = engine else { continue };
        // A client that is not a wrapper does not get there by calling itself one.
        let tool = Upstream::echo();
        for (proof, acting) in [("", true), ("guess", true), ("", false), ("guess", false)] {
            let url = "http://test.mcp-stdio.invalid/x";
            let request = if acting { Request::post(url, "x") } else { Request::get(url) };
            let port = tool.addr.port().to_string();
            let request =
                request.header("Agent-Stdio-Port", &port).header("Agent-Stdio-Proof", proof);
            engine.send(&request).assert_problem(403, "refused");
        }
        engine.send(&Request::post(&tool.url("/"), "x")).assert_problem(403, "refused");
        assert_eq!(tool.hits(), 0);
    }
}

#[test]
fn a_read_only_hint_counts_only_from_a_trusted_server() {
    for (trusted, effects) in [("test", 2), ("other", 1)] {
        let place = Place::configured(&format!("[mcp]\ntrust = [\"{trusted}\"]\n"));
        let engine = place.builder.start();
        let mut session = place.start();
        session.say("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\"}\n");
        assert_eq!(session.answer()["result"]["tools"][0]["name"], "act");
        for id in 1..=2 {
            assert_eq!(text(&session.call(id, &json!({"n": 1}))), "did it");
        }
        assert_eq!(place.effects(), effects, "{trusted}");
        assert_eq!(executions(&engine).len(), 2 - effects, "{trusted}");
    }
}

/// Checks that `problem` has the members of the proxy's problems.
#[track_caller]
fn assert_problem(problem: &Value, code: &str, status: u16) {
    assert_eq!(problem["type"], format!("urn:openclaw-state-engine:{code}"), "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    for member in ["title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
}

#[test]
fn every_refusal_has_the_form_of_a_problem() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    let of_result = |answer: &Value| {
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["_meta"]["openclaw-state-engine/problem"].clone()
    };
    // By the proxy: a blank key.
    session.say(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"act\",\
         \"_meta\":{\"openclaw-state-engine/idempotency-key\":\"  \"}}}\n",
    );
    assert_problem(&of_result(&session.answer()), "malformed", 400);
    // By the wrapper: what could be read in two ways.
    for line in [
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"act"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"id":3,"method":"tools/call","params":{"name":"act"}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":["act"]}"#,
    ] {
        session.say(&format!("{line}\n"));
        assert_problem(&session.answer()["error"]["data"], "malformed", 400);
    }
    // By the wrapper, on the way to the server: the id is still in use.
    session.ask(5, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    session.ask(5, &json!({"do": "other"}));
    let problem = of_result(&session.answer());
    assert_problem(&problem, "malformed", 400);
    assert!(problem["detail"].as_str().unwrap().contains("same id is still running"), "{problem}");
    // The engine has gone: the call may have run.
    let builder = engine.kill();
    let problem = of_result(&session.answer());
    assert_problem(&problem, "upstream-failed", 502);
    assert_eq!(problem["sent"], "maybe");
    drop(builder);
    assert_eq!(place.effects(), 1);
}
