//! Executions and their leases.

use serde_json::Value;

use super::{NOBODY, Scene, id};

#[test]
fn executions() {
    let mut s = Scene::new();
    let create = s.call(r#"{"to":"a"}"#, "");
    let plain = s.t.good("without a key", "create_tool_execution", &create);
    let plain_id = s.t.name(&plain["id"], "plain");
    let foreign = create.replace(&s.goal, NOBODY);
    s.t.bad("of an unknown goal", -32002, "create_tool_execution", &foreign);
    s.t.bad("without input", -32602, "create_tool_execution", r#"{"tool_name":"t"}"#);

    let keyed = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"welcome-1""#);
    let first = s.t.good("new", "execute_tool_idempotent", &keyed);
    s.t.name(&first["id"], "keyed");
    let spaced = s.call(r#"{ "to" : "\u0061" }"#, r#","idempotency_key":"welcome-1""#);
    s.t.good("again, written otherwise", "execute_tool_idempotent", &spaced);
    let other = s.call(r#"{"to":"b"}"#, r#","idempotency_key":"welcome-1""#);
    s.t.good("another input", "execute_tool_idempotent", &other);
    let strict = other.replace(r#""welcome-1""#, r#""welcome-1","on_mismatch":"error""#);
    s.t.bad("another input, refused", -32004, "execute_tool_idempotent", &strict);
    let derived = s.t.good("a derived key", "execute_tool_idempotent", &create);
    s.t.name(&derived["id"], "derived");
    s.t.good("the same derived key", "execute_tool_idempotent", &create);
    let empty = s.call("1", r#","idempotency_key":"""#);
    s.t.bad("an empty key", -32602, "execute_tool_idempotent", &empty);
    let long = s.call("1", &format!(r#","idempotency_key":"{}""#, "k".repeat(256)));
    s.t.bad("a key of 256 characters", -32018, "execute_tool_idempotent", &long);

    s.t.good("by id", "get_tool_execution", &id(&plain_id));
    s.t.bad("unknown", -32002, "get_tool_execution", &id(NOBODY));
    s.t.good("by key", "find_by_idempotency_key", r#"{"key":"welcome-1"}"#);
    s.t.good("an unknown key", "find_by_idempotency_key", r#"{"key":"welcome-2"}"#);
    let of_user = format!(r#"{{"key":"welcome-1","user_id":"{}"}}"#, s.user);
    s.t.good("by key and user", "find_by_idempotency_key", &of_user);
    s.t.bad("without a key", -32602, "find_by_idempotency_key", "{}");
    let (user, session, goal) = s.t.engine.goal("bob");
    let bobs = keyed.replace(&s.user, &user).replace(&s.session, &session).replace(&s.goal, &goal);
    let holder = s.t.good("another user, another execution", "execute_tool_idempotent", &bobs);
    s.t.name(&holder["id"], "keyed of bob");
    let two = r#"{"key":"welcome-1"}"#;
    s.t.bad("two users hold it", -32003, "find_by_idempotency_key", two);
    let foreign = keyed.replace(&s.goal, &goal);
    s.t.bad("a goal of another session", -32003, "execute_tool_idempotent", &foreign);

    let mut changed = first.clone();
    changed["status"] = "running".into();
    changed["tool_name"] = "rm".into();
    changed["tool_input"] = 7.into();
    let update = |changed: &Value| format!(r#"{{"execution":{changed}}}"#);
    s.t.good("begun; its call stays", "update_tool_execution", &update(&changed));
    changed["status"] = "completed".into();
    changed["output"] = serde_json::json!({"id": 9});
    changed["completed_at"] = "2026-02-23T12:48:34.5Z".into();
    s.t.good("done", "update_tool_execution", &update(&changed));
    s.t.good("replayed", "execute_tool_idempotent", &keyed);
    changed["status"] = "pending".into();
    s.t.bad("back to pending", -32014, "update_tool_execution", &update(&changed));
    changed["status"] = "lost".into();
    s.t.bad("an unknown status", -32602, "update_tool_execution", &update(&changed));
    let unknown = format!(r#"{{"execution":{{"id":"{NOBODY}","status":"running"}}}}"#);
    s.t.bad("unknown", -32002, "update_tool_execution", &unknown);

    let of_goal = format!(r#"{{"goal_id":"{}"}}"#, s.goal);
    s.t.good("oldest first", "list_tool_executions", &of_goal);
    s.t.bad("of nothing", -32602, "list_tool_executions", "{}");
    let page = format!(r#"{{"session_id":"{}","limit":1}}"#, s.session);
    s.t.good("the first of the session", "list_session_executions", &page);
    let rest = format!(r#"{{"session_id":"{}","after":"{plain_id}"}}"#, s.session);
    s.t.good("those behind it", "list_session_executions", &rest);
    s.t.bad("no page", -32602, "list_session_executions", &page.replace(":1}", ":0}"));
    let first_page = s.t.good("two a page", "list_executions", r#"{"limit":2}"#);
    let cursor = first_page["next"].as_str().unwrap();
    let next = format!(r#"{{"limit":2,"cursor":"{cursor}"}}"#);
    s.t.good("the last page", "list_executions", &next);
    s.t.good("by state", "list_executions", r#"{"status":"completed","origin":"api"}"#);
    s.t.bad("no cursor of ours", -32602, "list_executions", r#"{"cursor":"x"}"#);
    s.t.bad("an unknown state", -32602, "list_executions", r#"{"status":"lost"}"#);
    s.t.golden("executions");
}

#[test]
fn leases() {
    let mut s = Scene::new();
    let (ran, lease) = s.leased("ran");
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"ran","lease":true"#);
    s.t.good("somebody runs it", "execute_tool_idempotent", &params);
    let mine = params.replace("\"ran\"", "\"retried\",\"claim_id\":\"c-1\"");
    let once = s.t.good("with a claim_id", "execute_tool_idempotent", &mine);
    s.t.name(&once["id"], "retried");
    s.t.name(&once["lease"], "lease of retried");
    let again = s.t.good("its holder asks again", "execute_tool_idempotent", &mine);
    assert_eq!(again["lease"], once["lease"]);
    let update = format!(r#"{{"execution":{{"id":"{ran}","status":"completed"}}}}"#);
    s.t.bad("not by update", -32017, "update_tool_execution", &update);
    let extend = format!(r#"{{"lease":"{lease}","lease_ms":30000}}"#);
    s.t.good("longer", "extend_lease", &extend);
    s.t.bad("too long", -32602, "extend_lease", &extend.replace("30000", "3600001"));
    s.t.bad("no lease of ours", -32602, "extend_lease", r#"{"lease":"x"}"#);
    let wait = format!(r#"{{"id":"{ran}","timeout_ms":1}}"#);
    s.t.good("still running", "await_tool_execution", &wait);
    s.t.bad("too long a wait", -32602, "await_tool_execution", &wait.replace(":1}", ":300001}"));
    s.t.bad("of nothing", -32002, "await_tool_execution", &wait.replace(&ran, NOBODY));

    let finish =
        |outcome: &str, more: &str| format!(r#"{{"lease":"{lease}","outcome":"{outcome}"{more}}}"#);
    let executed = finish("executed", r#","output":{"n":1.50}"#);
    s.t.good("it ran", "finish_tool_execution", &executed);
    s.t.good("finished again", "finish_tool_execution", &executed);
    s.t.bad("finished otherwise", -32013, "finish_tool_execution", &finish("not_executed", ""));
    s.t.bad("an unknown word", -32602, "finish_tool_execution", &finish("perhaps", ""));
    s.t.good("its result for others", "execute_tool_idempotent", &params);
    s.t.bad("the lease is spent", -32017, "extend_lease", &extend);

    let (failed, lease) = s.leased("failed");
    let error = format!(r#"{{"lease":"{lease}","outcome":"executed","error":"bounced"}}"#);
    s.t.good("it ran and failed", "finish_tool_execution", &error);
    let (free, lease) = s.leased("free");
    let not = format!(r#"{{"lease":"{lease}","outcome":"not_executed","error":"no route"}}"#);
    s.t.good("it did not run", "finish_tool_execution", &not);
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"free","lease":true"#);
    let again = s.t.good("so it may run again", "execute_tool_idempotent", &params);
    s.t.name(&again["lease"], "second lease of free");

    let (doubt, lease) = s.leased("doubt");
    let unknown = format!(r#"{{"lease":"{lease}","outcome":"unknown"}}"#);
    s.t.good("nobody knows", "finish_tool_execution", &unknown);
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"doubt","lease":true"#);
    s.t.good("nobody may run it", "execute_tool_idempotent", &params);
    let verdict = |attempt: u32| {
        format!(
            r#"{{"id":"{doubt}","attempt":{attempt},"verdict":"executed","output":"sent","evidence":"seen in the outbox"}}"#
        )
    };
    s.t.bad("another attempt", -32013, "resolve_tool_execution", &verdict(2));
    s.t.bad(
        "no reason",
        -32602,
        "resolve_tool_execution",
        &verdict(1).replace("seen in the outbox", ""),
    );
    s.t.good("a verdict", "resolve_tool_execution", &verdict(1));
    s.t.bad("what is settled", -32013, "resolve_tool_execution", &id_of_settled(&failed));
    s.t.bad("unknown", -32002, "resolve_tool_execution", &id_of_settled(NOBODY));

    let of = format!(r#"{{"execution_id":"{doubt}"}}"#);
    s.t.good("the log of the doubt", "list_events", &of);
    s.t.bad("no page", -32602, "list_events", r#"{"limit":1001}"#);
    s.t.good("counts", "get_stats", "{}");
    assert_ne!(free, ran);
    s.t.golden("leases");
}

fn id_of_settled(id: &str) -> String {
    format!(r#"{{"id":"{id}","attempt":1,"verdict":"not_executed","evidence":"x"}}"#)
}
