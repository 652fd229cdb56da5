//! The body of an answer is dropped once that answer is old enough.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use store::state::Knowledge::Executed;
use support::{Fixture, call};

/// More than one step examines.
const CALLS: usize = 1_200;

fn kept(conn: &Connection) -> Vec<i64> {
    let mut statement =
        conn.prepare("SELECT execution FROM answers WHERE body IS NOT NULL").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_new_answer_of_an_old_call_does_not_keep_later_ones() {
    let f = Fixture::new();
    let scope = f.scope().await;
    join_all((0..CALLS).map(async |n| {
        let key = n.to_string();
        f.finish(f.execute(call(scope.clone(), &key, &key)).await, Executed).await;
    }))
    .await;
    f.store.close().await;
    let conn = Connection::open(&f.options.path).unwrap();
    assert_eq!(kept(&conn).len(), CALLS);
    let age = "UPDATE executions SET created_at = -created_at;
        UPDATE answers SET received_at = -received_at WHERE execution <> 5";
    conn.execute_batch(age).unwrap();
    let f = f.reopen().await;
    let dropped = async {
        while kept(&conn) != [5] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), dropped).await.unwrap();
    conn.execute_batch(age).unwrap();
    // With their real times the answers are too young to be dropped: `verify` misses their bodies, and finds
    // nothing else.
    let findings = f.store.reader().verify(None).unwrap().findings;
    assert_eq!(findings.len(), CALLS - 1);
    assert!(findings.iter().all(|found| found.message == "its body is missing"), "{findings:?}");
}
