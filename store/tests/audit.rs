//! `verify` finds what was changed in the database by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use rusqlite::Connection;
use store::Reader;
use store::call::{ExecuteOptions, Finish};
use store::decision::Decision;
use store::model::{ChannelType, EventKind, Json, NewChannel, NewMemory, ToolCall};
use store::state::Knowledge::Executed;
use support::{Fixture, answer, finish};
use uuid::Uuid;

/// What `verify` finds in a closed database with completed calls, after `sql` tampered with it.
async fn tampered(sql: &str, head: bool) -> Vec<(String, i64, String)> {
    let f = Fixture::new();
    for key in ["a", "b", "c"] {
        let mut call = f.call(key, key).await;
        call.input = Json::of(key);
        let finish = Finish { answer: Some(answer(key)), ..finish(Executed) };
        f.store.finish(f.execute(call).await, finish).await.unwrap();
    }
    // The same key through the API: it must not replace the key of a proxied call.
    let options = ExecuteOptions { idempotency_key: Some("b".to_owned()), ..Default::default() };
    let place = f.tool_call("ada", "tool", "{}").await;
    f.store.execute(place.clone(), options).await.unwrap();
    entities(&f, &place).await;
    let report = f.store.reader().verify(None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.executions, 4);
    f.store.close().await;
    let conn = Connection::open(&f.options.path).unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    let reader = Reader::open(&f.options.path).unwrap();
    let report = reader.verify(head.then_some(report.head.as_str())).unwrap();
    report.findings.into_iter().map(|f| (f.table.to_owned(), f.row, f.message)).collect()
}

/// Creates a channel and a memory. Updates each of them, and the call's session and goal, once.
async fn entities(f: &Fixture, place: &ToolCall) {
    let (user_id, goal, session) = (place.user_id, place.goal_id, place.session_id);
    let new = NewChannel {
        user_id,
        channel_type: ChannelType::Email,
        channel_name: "mail".to_owned(),
        channel_identifier: "ada".to_owned(),
    };
    let channel = f.store.create_channel(new).await.unwrap().id;
    let new =
        NewMemory { user_id, content: "likes tea".to_owned(), importance: None, tags: Vec::new() };
    let memory = f.store.create_memory(new).await.unwrap().id;
    let change = |id: Uuid, member: &str| format!(r#"{{"id":"{id}",{member}}}"#);
    let update = serde_json::from_str(&change(channel, r#""channel_name":"post""#)).unwrap();
    f.store.update_channel(update, None).await.unwrap();
    let update = serde_json::from_str(&change(memory, r#""content":"likes coffee""#)).unwrap();
    f.store.update_memory(update, None).await.unwrap();
    let update = serde_json::from_str(&change(session, r#""context":{"a":1}"#)).unwrap();
    f.store.update_session(update, None).await.unwrap();
    let update = serde_json::from_str(&change(goal, r#""status":"in_progress""#)).unwrap();
    f.store.update_goal(update, None).await.unwrap();
}

async fn names(sql: &str, table: &str, row: i64) {
    let found = tampered(sql, false).await;
    assert!(found.iter().any(|(t, r, _)| t == table && *r == row), "{sql}: {found:?}");
}

#[tokio::test]
async fn a_changed_event_is_named() {
    names("UPDATE events SET actor = 'somebody' WHERE seq = 5", "events", 5).await;
    names("UPDATE events SET at = at + 1 WHERE seq = 1", "events", 1).await;
    names("UPDATE events SET hash = x'00' WHERE seq = 4", "events", 4).await;
    names("UPDATE events SET detail = 'x' WHERE seq = 5", "events", 5).await;
    names("UPDATE events SET attempt = -1 WHERE seq = 4", "events", 4).await;
}

#[tokio::test]
async fn a_dropped_event_is_named() {
    names("DELETE FROM events WHERE seq = 6", "events", 6).await;
    names("DELETE FROM events WHERE seq <= 2", "events", 2).await;
}

#[tokio::test]
async fn swapped_events_are_named() {
    names(
        "UPDATE events SET seq = -1 WHERE seq = 5; UPDATE events SET seq = 5 WHERE seq = 6;
         UPDATE events SET seq = 6 WHERE seq = -1",
        "events",
        5,
    )
    .await;
}

#[tokio::test]
async fn a_cut_tail_shows_against_an_earlier_head() {
    let sql = "DELETE FROM events WHERE seq = (SELECT MAX(seq) FROM events)";
    assert!(
        tampered(sql, true).await.iter().any(|(_, _, message)| message.contains("tail was cut"))
    );
}

#[tokio::test]
async fn changed_executions_are_named() {
    names("UPDATE executions SET status = 3, known = 0 WHERE id = 2", "executions", 2).await;
    for change in [
        "input = '{}'",
        "uuid = zeroblob(16)",
        "tool = 'other'",
        "idempotency_key = NULL",
        "idempotency_key = 'b'",
        "content = zeroblob(16)",
        "principal = NULL",
        "repeat = zeroblob(16)",
        "origin = 0",
        "class = 1",
        "created_at = created_at + 1",
        "goal = (SELECT MAX(id) FROM goals)",
    ] {
        let sql = format!(
            "INSERT INTO goals (uuid, user, session, of_proxy, title, status, priority, context, created_at, updated_at)
               SELECT zeroblob(16), user, id, 0, 'g', 0, 1, '{{}}', 0, 0 FROM sessions LIMIT 1;
             UPDATE executions SET {change} WHERE id = 1"
        );
        names(&sql, "executions", 1).await;
    }
    for change in [
        "output = '{}'",
        "error = 'no'",
        "created_at = 0, status = 5",
        "status = 99",
        "attempt = 2",
        "decided = 1",
        "ended_at = ended_at - 1",
        "ended_at = NULL",
        "fingerprint = zeroblob(16)",
        "fingerprint = x'00'",
        "rule = 'another'",
        "upstream_key = 'engine header idempotency-key'",
    ] {
        names(&format!("UPDATE executions SET {change} WHERE id = 3"), "executions", 3).await;
    }
}

#[tokio::test]
async fn dropped_and_swapped_executions_are_named() {
    let swap = |a: i64, b: i64| {
        format!(
            "PRAGMA foreign_keys = OFF; UPDATE executions SET id = -1 WHERE id = {a};
             UPDATE executions SET id = {a} WHERE id = {b}; UPDATE executions SET id = {b} WHERE id = -1"
        )
    };
    names(&swap(1, 3), "executions", 1).await;
    names(&swap(1, 3), "executions", 3).await;
    let drop = "PRAGMA foreign_keys = OFF; DELETE FROM executions WHERE id = 2;";
    names(drop, "executions", 2).await;
    let all = format!(
        "{drop} DELETE FROM keys WHERE execution = 2; DELETE FROM answers WHERE execution = 2"
    );
    names(&all, "executions", 2).await;
}

#[tokio::test]
async fn changed_dropped_and_swapped_answers_are_named() {
    names("UPDATE answers SET body = x'00' WHERE execution = 3", "answers", 3).await;
    names("UPDATE answers SET body = NULL WHERE execution = 3", "answers", 3).await;
    names("UPDATE answers SET sha256 = zeroblob(32) WHERE execution = 3", "answers", 3).await;
    for change in [
        "status = 299",
        "headers = '[]'",
        "trailers = '[[\"a\",\"b\"]]'",
        "cookies = 1 - cookies",
        "size = size + 1",
        "received_at = received_at + 1",
        "sha256 = x'00'",
    ] {
        names(&format!("UPDATE answers SET {change} WHERE execution = 1"), "answers", 1).await;
    }
    names("DELETE FROM answers WHERE execution = 2", "answers", 2).await;
    let swap = "UPDATE answers SET execution = -1 WHERE execution = 1;
        UPDATE answers SET execution = 1 WHERE execution = 2;
        UPDATE answers SET execution = 2 WHERE execution = -1";
    let swap = format!("PRAGMA foreign_keys = OFF; {swap}");
    names(&swap, "answers", 1).await;
    names(&swap, "answers", 2).await;
}

#[tokio::test]
async fn changed_dropped_and_swapped_keys_are_named() {
    names("UPDATE keys SET execution = 3 WHERE execution = 1", "keys", 3).await;
    names("UPDATE keys SET key = zeroblob(24) WHERE execution = 2", "keys", 2).await;
    names("DELETE FROM keys WHERE execution = 2", "keys", 2).await;
    names("UPDATE keys SET window = 1 WHERE execution = 2", "keys", 2).await;
    names("UPDATE keys SET window = NULL WHERE execution = 2", "keys", 2).await;
    let swap = "UPDATE keys SET execution = 4 - execution WHERE execution IN (1, 3)";
    names(swap, "keys", 1).await;
    names(swap, "keys", 3).await;
}

#[tokio::test]
async fn changed_dropped_and_swapped_entities_are_named() {
    for (table, row, change) in [
        ("users", 2, "username = 'eve'"),
        ("users", 2, "active = 0"),
        ("channels", 1, "config = '{\"to\":\"eve\"}'"),
        ("sessions", 2, "user = 1"),
        ("sessions", 2, "context = '{}'"),
        ("goals", 2, "status = 2"),
        ("goals", 2, "result = '{}'"),
        ("memories", 1, "content = 'likes tea'"),
    ] {
        names(&format!("UPDATE {table} SET {change} WHERE id = {row}"), table, row).await;
        let drop = format!("PRAGMA foreign_keys = OFF; DELETE FROM {table} WHERE id = {row}");
        names(&drop, table, row).await;
    }
    let swap = "PRAGMA foreign_keys = OFF; UPDATE goals SET id = -1 WHERE id = 1;
        UPDATE goals SET id = 1 WHERE id = 2; UPDATE goals SET id = 2 WHERE id = -1";
    names(swap, "goals", 1).await;
    names(swap, "goals", 2).await;
    let add = "INSERT INTO memories (uuid, user, memory_type, importance, content, tags, created_at, updated_at)
        SELECT zeroblob(16), user, 0, 0, 'owes eve', '[]', created_at, updated_at FROM memories";
    names(add, "memories", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_while_calls_go_on() {
    let f = Fixture::new();
    let scope = f.scope().await;
    let over = std::sync::atomic::AtomicBool::new(false);
    let calls = async {
        for n in 0..1_500 {
            let key = n.to_string();
            let lease = f.execute(support::call(scope.clone(), &key, &key)).await;
            f.finish(lease, Executed).await;
            if n % 10 == 0 {
                let place = f.tool_call(&key, "tool", "{}").await;
                let change = format!(r#"{{"id":"{}","status":"in_progress"}}"#, place.goal_id);
                let update = serde_json::from_str(&change).unwrap();
                f.store.update_goal(update, None).await.unwrap();
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let reader = f.store.reader().clone();
    let checks = async {
        let mut checked = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let reader = reader.clone();
            let verify = move || reader.verify(None).unwrap();
            let report = tokio::task::spawn_blocking(verify).await.unwrap();
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            checked += 1;
        }
        checked
    };
    let ((), checked) = tokio::join!(calls, checks);
    assert!(checked > 3, "{checked}");
}

#[tokio::test]
async fn what_passed_is_one_row_for_each_kind_and_host() {
    let f = Fixture::new();
    for _ in 0..3 {
        f.store.count(Decision::Passed, "tool.test");
    }
    f.store.count(Decision::Passed, "other.test");
    f.store.count(Decision::Tunnel, "tool.test");
    f.store.close().await;
    let reader = Reader::open(&f.options.path).unwrap();
    let rows: Vec<String> = reader
        .events(None, None, None, 100)
        .unwrap()
        .into_iter()
        .filter(|event| event.kind == EventKind::Minute)
        .map(|event| event.detail.as_str().to_owned())
        .collect();
    assert_eq!(
        rows,
        [
            r#"{"kind":"passed","what":"other.test","count":1}"#,
            r#"{"kind":"passed","what":"tool.test","count":3}"#,
            r#"{"kind":"tunnel","what":"tool.test","count":1}"#,
        ]
    );
    assert!(reader.verify(None).unwrap().findings.is_empty());
}
