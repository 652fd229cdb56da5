//! Calls and other messages of a session without failures, and what the wrapper does with them.

use std::fs;

use serde_json::json;

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
fn all_other_messages_pass_byte_for_byte() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    for line in [
        "{ \"jsonrpc\" : \"2.0\", \"id\":1, \"method\":\"initialize\" }\n",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\r\n",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"b\":1,\"a\":2}}\n",
        "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n",
    ] {
        session.say(line);
        assert_eq!(session.line(), format!("echo  {line}"));
    }
    session.say("no json\n");
    assert_eq!(session.line(), "{\"not\": \"json\"}\n");
    // A message that could be a disguised call is not passed on.
    session.say("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"act\"}}]\n");
    assert_eq!(session.answer()["error"]["code"], -32_600);
    assert_eq!(place.effects(), 0);
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
