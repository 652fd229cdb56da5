//! What all methods share: ids, notifications, batches, and bodies that are not JSON.

use serde_json::{Value, json};
use testkit::engine;

use crate::transcript::Transcript;

#[test]
fn envelopes() {
    let mut t = Transcript::new(&engine!());
    let user = |member: &str, name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0",{member}"method":"create_user","params":{{"username":"{name}"}}}}"#
        )
    };
    t.raw("a notification", &user("", "n1"));
    t.raw("id -1", &user(r#""id":-1,"#, "n2"));
    t.raw("a fractional id", &user(r#""id":1.5,"#, "n3"));
    t.raw("id null", &user(r#""id":null,"#, "ok1"));
    t.raw("a text as id", &user(r#""id":"a\"b","#, "ok2"));
    t.raw("another version", r#"{"jsonrpc":"1.0","id":1,"method":"get_stats"}"#);
    t.raw("no method", r#"{"jsonrpc":"2.0","id":1}"#);
    t.raw("an unknown method", r#"{"jsonrpc":"2.0","id":1,"method":"drop_tables"}"#);
    t.raw("no JSON", "{");
    t.raw("nothing", "");
    t.raw("no object", "7");
    t.raw("an empty batch", "[]");
    let batch = format!("[{},{},7]", user("", "n4"), user(r#""id":2,"#, "ok3"));
    t.raw("a batch", &batch);
    let hundred = vec![r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#; 101].join(",");
    t.raw("a batch of 101", &format!("[{hundred}]"));

    let found = t.engine.rpc("get_stats", &json!({}));
    assert_eq!(found["users"], 3, "what is refused is not executed: {found}");
    t.golden("envelopes");
}

#[test]
fn a_batch_of_a_hundred_runs_in_order() {
    let engine = engine!().arg("--no-proxy").start();
    let entry = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"create_user","params":{{"username":"u{}"}}}}"#,
            n / 2
        )
    };
    let body = format!("[{}]", (0..100).map(entry).collect::<Vec<_>>().join(","));
    let answers = engine.try_rpc_text(&body).unwrap().json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 100);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], n);
        let expected = if n % 2 == 0 { Value::Null } else { json!(-32003) };
        assert_eq!(answer["error"]["code"], expected, "{n}: {answer}");
    }
}
