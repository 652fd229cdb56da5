//! Lists for people: sessions with counts, searches, one execution in full, and its duplicates.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use rusqlite::Connection;
use store::Store;
use store::call::{ApiFinish, ExecuteOptions};
use store::decision::Decision;
use store::model::{
    EffectClass, ExecutionStatus, ExecutionSummary, NewSession, Page, SearchFilter, SessionFilter,
};
use store::state::Knowledge::{self, Executed, NotExecuted, Unknown};
use support::Fixture;

impl Fixture {
    async fn ran(&self, key: &str, outcome: Knowledge) {
        let lease = self.execute(self.call(key, key).await).await;
        self.finish(lease, outcome).await;
    }

    fn found(&self, filter: &SearchFilter) -> Vec<ExecutionSummary> {
        self.store.reader().search(filter, 100, None).unwrap().items
    }
}

#[tokio::test]
async fn counts_of_a_session_are_those_of_its_rows() {
    let f = Fixture::new();
    for (key, outcome) in [("a", Executed), ("b", Executed), ("c", NotExecuted), ("d", Unknown)] {
        f.ran(key, outcome).await;
    }
    let running = f.execute(f.call("e", "e").await).await;
    let mut put = f.call("f", "f").await;
    put.class = EffectClass::Idempotent;
    let put = f.execute(put).await;
    f.finish(put, Unknown).await;
    f.store.duplicate(f.found(&SearchFilter::default())[0].id, Decision::Replayed);

    let scope = f.scope().await;
    let counts = |f: &Fixture| f.store.reader().session_summary(scope.session_id).unwrap();
    let expected = [("completed", 2), ("failed", 2), ("in_doubt", 1), ("running", 1)];
    let expected = expected.map(|(word, n)| (word.to_owned(), n)).into();
    assert_eq!(counts(&f).executions, expected);
    assert_eq!(f.store.reader().stats().unwrap().executions, expected);
    drop(running);
    let f = f.reopen().await;
    let after = counts(&f);
    assert_eq!((after.executions["in_doubt"], after.executions.get("running")), (2, None));
    assert_eq!(after.duplicates, 1, "what was noted is written at the stop");
    assert_eq!(f.store.reader().stats().unwrap().duplicates, 1);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn sessions_come_page_by_page_the_last_active_first() {
    let f = Fixture::new();
    let user_id = f.tool_call("ada", "t", "{}").await.user_id;
    for n in 0..5 {
        let name = Some(format!("run 100%_{n}"));
        f.store.create_session(NewSession { user_id, channel_id: None, name }).await.unwrap();
    }
    let filter = SessionFilter { text: Some("100%_".to_owned()), ..SessionFilter::default() };
    let reader = f.store.reader();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = reader.session_summaries(&filter, 2, cursor.as_deref()).unwrap();
        seen.extend(page.items.into_iter().map(|session| session.name.unwrap()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["run 100%_4", "run 100%_3", "run 100%_2", "run 100%_1", "run 100%_0"]);
    let by_goal = SessionFilter { text: Some("GOAL".to_owned()), ..SessionFilter::default() };
    assert_eq!(reader.session_summaries(&by_goal, 9, None).unwrap().items.len(), 1);
    assert!(reader.session_summaries(&filter, 2, Some("x")).is_err());
}

#[tokio::test]
async fn a_search_finds_what_its_filter_says() {
    let f = Fixture::new();
    f.ran("plain", Executed).await;
    f.ran("lost", Unknown).await;
    let call = f.tool_call("ada", "send_email", r#"{"to":"kim_100%"}"#).await;
    let session_id = call.session_id;
    let lease = Some(std::time::Duration::from_secs(60));
    let options = ExecuteOptions { lease, ..ExecuteOptions::default() };
    f.store.execute(call, options).await.unwrap();
    let tools = |filter: SearchFilter| {
        f.found(&filter).into_iter().map(|one| one.tool_name).collect::<Vec<_>>()
    };
    let text = |text: &str| SearchFilter { text: Some(text.to_owned()), ..SearchFilter::default() };
    assert_eq!(tools(SearchFilter::default()), ["send_email", "POST tool.test", "POST tool.test"]);
    assert_eq!(tools(text("KIM_100%")), ["send_email"]);
    assert_eq!(tools(text("kim-100")), [""; 0]);
    assert_eq!(tools(text("lost")), ["POST tool.test"]);
    let in_session = SearchFilter { session_id: Some(session_id), ..SearchFilter::default() };
    assert_eq!(tools(in_session), ["send_email"]);
    let by_status = |status| SearchFilter { status: Some(status), ..SearchFilter::default() };
    assert_eq!(f.found(&by_status(ExecutionStatus::InDoubt)).len(), 1);
    assert_eq!(f.found(&by_status(ExecutionStatus::Running)).len(), 1);
    let id = f.found(&by_status(ExecutionStatus::InDoubt))[0].id;
    assert_eq!(f.found(&text(&id.to_string())).len(), 1);
    assert_eq!(f.found(&SearchFilter { duplicated: true, ..SearchFilter::default() }).len(), 0);

    let mut cursor = None;
    let mut seen = 0;
    loop {
        let Page { items, next } =
            f.store.reader().search(&SearchFilter::default(), 1, cursor.as_deref()).unwrap();
        seen += items.len();
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn a_detail_has_every_member_and_cuts_long_ones() {
    let f = Fixture::new();
    let call = f.tool_call("ada", "t", &format!(r#"{{"text":"{}"}}"#, "é".repeat(600))).await;
    let lease = Some(std::time::Duration::from_secs(60));
    let options = ExecuteOptions { lease, ..ExecuteOptions::default() };
    let done = f.store.execute(call, options).await.unwrap();
    let Some(store::call::ApiClaim::Execute { lease }) = done.claim else { panic!("{done:?}") };
    let finish = ApiFinish { lease, outcome: Executed, output: None, error: None };
    f.store.finish_by_token(finish).await.unwrap();
    let detail = f.store.reader().execution_detail(done.execution.id, 10).unwrap();
    let input = detail.input.unwrap();
    assert_eq!((input.text.unwrap().as_str(), input.cut), ("{\"text\":\"", true));
    assert_eq!(input.size, 1_211);
    let kinds: Vec<_> = detail.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["claimed", "finished"]);
    assert_eq!(detail.events[1].previous.as_ref(), Some(&detail.events[0].hash));
    assert!(detail.answer.is_none() && detail.request.is_none());
    assert!(f.store.reader().execution_detail(uuid::Uuid::nil(), 10).is_err());
}

/// A database of version 1 is migrated, with everything in it.
#[tokio::test]
async fn a_database_of_the_version_before_is_migrated() {
    let f = Fixture::new();
    f.ran("a", Executed).await;
    f.ran("b", Unknown).await;
    f.store.close().await;
    let conn = Connection::open(&f.options.path).unwrap();
    conn.execute_batch(
        "DROP INDEX executions_in_doubt;
         CREATE INDEX executions_in_doubt ON executions (content) WHERE status = 5;
         DROP INDEX sessions_unsettled; ALTER TABLE sessions DROP COLUMN unsettled;
         DROP INDEX executions_unusual; DROP INDEX executions_duplicated;
         DROP INDEX sessions_by_activity; DROP TABLE repeats;
         DROP INDEX executions_guarding; DROP INDEX executions_guarding_literal; DROP INDEX executions_guarding_ruled;
         ALTER TABLE executions DROP COLUMN guard; ALTER TABLE executions DROP COLUMN ruled;
         ALTER TABLE keys DROP COLUMN fingerprint;
         ALTER TABLE executions DROP COLUMN literal;
         ALTER TABLE executions DROP COLUMN upstream_key; ALTER TABLE executions DROP COLUMN duplicates;
         PRAGMA user_version = 1",
    )
    .unwrap();
    let schema = |conn: &Connection| {
        let mut found = conn.prepare("SELECT sql FROM sqlite_master ORDER BY name").unwrap();
        let rows = found.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let first = Connection::open_in_memory().unwrap();
    first.execute_batch(include_str!("../migrations/0001_init.sql")).unwrap();
    assert_eq!(schema(&conn), schema(&first), "it is what version 1 made");
    drop(conn);
    let Fixture { store, options, dir: _dir } = f;
    drop(store);
    let store = Store::open(&options).unwrap();
    let found = store.reader().search(&SearchFilter::default(), 10, None).unwrap().items;
    assert_eq!(found.len(), 2);
    assert!(store.reader().verify(None).unwrap().findings.is_empty());
    store.close().await;
}

/// An index that no query uses only slows writes down.
#[tokio::test]
async fn counts_read_only_indexes() {
    let f = Fixture::new();
    let conn = Connection::open(&f.options.path).unwrap();
    let plan = |sql: &str| {
        let mut found = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = found.query_map([], |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    let unusual = plan(
        "SELECT status, COUNT(*) FROM executions WHERE session = 1 AND status NOT IN (1, 2) GROUP BY status",
    );
    assert!(unusual.contains("COVERING INDEX executions_unusual"), "{unusual}");
    let duplicates =
        plan("SELECT SUM(duplicates) FROM executions WHERE session = 1 AND duplicates > 0");
    assert!(duplicates.contains("COVERING INDEX executions_duplicated"), "{duplicates}");
    let sessions = plan(
        "SELECT id FROM sessions WHERE (last_activity_at, id) < (5, 5)
         ORDER BY last_activity_at DESC, id DESC LIMIT 5",
    );
    assert!(
        sessions.contains("INDEX sessions_by_activity") && !sessions.contains("TEMP"),
        "{sessions}"
    );
}
