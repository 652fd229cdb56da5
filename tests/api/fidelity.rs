//! What goes in comes out byte for byte: no number and no member is ever rewritten.

use testkit::engine;

const INPUT: &str = "{ \"n\":123456789012345678901234567890, \"f\":1.00000000000000000001,\t\"n\":-0.0, \"s\":\"\\u0061\\ud83d\\ude00é\", \"e\":1E400 }";

#[test]
fn json_goes_in_and_out_byte_for_byte() {
    let engine = engine!().arg("--no-proxy").start();
    let (user, session, goal) = engine.goal("ada");
    let ask = |method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let answer = engine.try_rpc_text(&body).unwrap().text();
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "{method}");
    };
    let call = format!(
        r#"{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"t","tool_input":{INPUT},"idempotency_key":"k"}}"#
    );
    let id = |answer: &str| {
        let answer: serde_json::Value =
            serde_json::from_str(&answer.replace("1E400", "0")).unwrap();
        answer["result"]["id"].as_str().unwrap().to_owned()
    };
    let stored = format!(r#""tool_input":{INPUT},"#);
    let answer = rpc_raw(&engine, "create_tool_execution", &call);
    assert!(answer.contains(&stored), "{answer}");
    let answer = rpc_raw(&engine, "execute_tool_idempotent", &call);
    assert!(answer.contains(&stored), "{answer}");
    let execution = id(&answer);
    let reads = [
        ("get_tool_execution", format!(r#"{{"id":"{execution}"}}"#)),
        ("find_by_idempotency_key", r#"{"key":"k"}"#.to_owned()),
        ("list_tool_executions", format!(r#"{{"goal_id":"{goal}"}}"#)),
        ("list_session_executions", format!(r#"{{"session_id":"{session}"}}"#)),
        ("list_executions", "{}".to_owned()),
        ("execute_tool_idempotent", call),
    ];
    for (method, params) in &reads {
        let answer = rpc_raw(&engine, method, params);
        assert!(answer.contains(&stored), "{method}: {answer}");
    }

    let output =
        format!(r#"{{"execution":{{"id":"{execution}","status":"completed","output":{INPUT}}}}}"#);
    ask("update_tool_execution", &output);
    let context = format!(r#"{{"goal":{{"id":"{goal}","context":{INPUT},"result":{INPUT}}}}}"#);
    ask("update_goal", &context);
    let metadata =
        format!(r#"{{"session":{{"id":"{session}","metadata":{INPUT},"context":{INPUT}}}}}"#);
    ask("update_session", &metadata);

    let engine = engine.kill_and_restart();
    let answer = rpc_raw(&engine, "get_tool_execution", &format!(r#"{{"id":"{execution}"}}"#));
    assert!(answer.contains(&stored), "{answer}");
    assert!(answer.contains(&format!(r#""output":{INPUT},"#)), "{answer}");
    let answer = rpc_raw(&engine, "get_goal", &format!(r#"{{"id":"{goal}"}}"#));
    assert!(answer.contains(&format!(r#""context":{INPUT},"result":{INPUT},"#)), "{answer}");
    let answer = rpc_raw(&engine, "get_session", &format!(r#"{{"id":"{session}"}}"#));
    assert!(answer.contains(&format!(r#""metadata":{INPUT},"context":{INPUT},"#)), "{answer}");
}

/// The text of an answer: its numbers do not fit serde's own types.
fn rpc_raw(engine: &testkit::Engine, method: &str, params: &str) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let answer = engine.try_rpc_text(&body).unwrap().text();
    assert!(answer.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":"#), "{method}: {answer}");
    answer
}

#[test]
fn numbers_that_differ_as_written_are_different_inputs() {
    let engine = engine!().arg("--no-proxy").start();
    let (user, session, goal) = engine.goal("ada");
    let mut ids = std::collections::BTreeSet::new();
    let inputs = ["12345678901234567890", "12345678901234567891", "1", "1.0", "1.00", "-0", "0"];
    for input in inputs {
        let params = format!(
            r#"{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"t","tool_input":{{"n":{input}}}}}"#
        );
        let answer = rpc_raw(&engine, "execute_tool_idempotent", &params);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["result"]["duplicate"], false, "{input}");
        ids.insert(answer["result"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), inputs.len());
}
