//! Secrets that a client of the state API stores.

use serde_json::{Value, json};
use testkit::Engine;

use super::Sent;
use super::places::Kept::{Masked, Whole};
use super::shapes::{SHAPES, canary};

const OWN: super::Kept = Whole("what a client of the state API stores, it gets back");

/// Stores each shape in each place.
pub(super) fn send(engine: &Engine, sent: &mut Vec<Sent>) {
    let (user, session, goal) = engine.goal("ada");
    let places = [
        ("tool_input", OWN),
        ("output", OWN),
        ("error", OWN),
        ("tool_name", OWN),
        ("idempotency_key", OWN),
        ("claim evidence", Masked),
        ("title of a goal", OWN),
    ];
    for (at, (place, kept)) in places.into_iter().enumerate() {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            let canary = canary(shape, (10_000 + at * SHAPES.len() + number) as u64);
            let text = canary.text.replace('\n', " ");
            let mut call = json!({"user_id": user, "session_id": session, "goal_id": goal,
                "tool_name": "act", "tool_input": {"n": at * 100 + number}, "lease": true,
                "idempotency_key": format!("k-{at}-{number}")});
            match place {
                "tool_input" => call["tool_input"] = json!({"text": canary.text}),
                "tool_name" | "idempotency_key" => call[place] = json!(text),
                "title of a goal" => {
                    let title = json!({"user_id": user, "session_id": session, "title": text});
                    engine.rpc("create_goal", &title);
                }
                _ => {}
            }
            let claimed = engine.rpc("execute_tool_idempotent", &call);
            let mut finish = json!({"lease": claimed["lease"], "outcome": "executed"});
            match place {
                "output" => finish["output"] = json!({"text": canary.text}),
                "error" => {
                    finish["outcome"] = json!("not_executed");
                    finish["error"] = json!(text);
                }
                "claim evidence" => finish["outcome"] = json!("unknown"),
                _ => {}
            }
            engine.rpc("finish_tool_execution", &finish);
            let id = &claimed["id"];
            if place == "claim evidence" {
                let verdict =
                    json!({"id": id, "attempt": 1, "verdict": "executed", "evidence": text});
                engine.rpc("resolve_tool_execution", &verdict);
            }
            as_given(&engine.rpc("get_tool_execution", &json!({"id": id})), place, &canary.text);
            sent.push(Sent { place, shape, kept, canary });
        }
    }
}

/// A client reads what it wrote.
fn as_given(execution: &Value, place: &str, text: &str) {
    if let "tool_input" | "output" = place {
        assert_eq!(execution[place]["text"], text);
    }
}
