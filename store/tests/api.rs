//! Calls through the API: with leases, and without them as in v0.1.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use store::Error;
use store::call::{ApiClaim, ApiFinish, ExecuteOptions, Verdict};
use store::model::{EventKind, ExecutionStatus, ExecutionUpdate, Json, ToolCall};
use store::state::Knowledge::{self, Executed, NotExecuted, Unknown};
use support::Fixture;
use uuid::Uuid;

fn leased(key: &str) -> ExecuteOptions {
    ExecuteOptions {
        idempotency_key: Some(key.to_owned()),
        lease: Some(Duration::from_secs(60)),
        ..ExecuteOptions::default()
    }
}

fn api_finish(lease: &str, outcome: Knowledge) -> ApiFinish {
    ApiFinish {
        lease: lease.to_owned(),
        outcome,
        output: (outcome == Executed).then(|| Json::parse(r#"{"n":1.00}"#).unwrap()),
        error: None,
    }
}

async fn lease_of(f: &Fixture, call: &ToolCall, options: ExecuteOptions) -> (Uuid, String) {
    let executed = f.store.execute(call.clone(), options).await.unwrap();
    match executed.claim {
        Some(ApiClaim::Execute { lease }) => (executed.execution.id, lease),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_execution_for_a_hundred_callers() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", r#"{"to":"a"}"#).await;
    let all =
        join_all((0..100).map(|_| f.store.execute(call.clone(), ExecuteOptions::default()))).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    let id = all[0].execution.id;
    assert!(all.iter().all(|executed| executed.execution.id == id));
    assert_eq!(all.iter().filter(|executed| !executed.duplicate).count(), 1);
    let key = all[0].execution.idempotency_key.clone().unwrap();
    assert!(key.starts_with("auto:send:"), "{key}");
    assert_eq!(all[0].execution.status, ExecutionStatus::Pending);
    let f = f.reopen().await;
    let again = f.store.execute(call, ExecuteOptions::default()).await.unwrap();
    assert_eq!((again.execution.id, again.duplicate), (id, true));
}

#[tokio::test]
async fn exactly_one_of_many_gets_the_lease_and_waiters_get_the_result() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let (id, lease) = lease_of(&f, &call, leased("k")).await;
    let waiting = join_all((0..20).map(|_| {
        let options = ExecuteOptions { wait: Duration::from_secs(60), ..leased("k") };
        f.store.execute(call.clone(), options)
    }));
    let finishing = async {
        f.store.finish_by_token(api_finish(&lease, Executed)).await.unwrap();
    };
    let (all, ()) = tokio::join!(waiting, finishing);
    for executed in all {
        let executed = executed.unwrap();
        assert_eq!((executed.execution.id, executed.claim), (id, Some(ApiClaim::Replay)));
        assert_eq!(executed.execution.output.unwrap().as_str(), r#"{"n":1.00}"#);
    }
}

#[tokio::test]
async fn a_finish_is_fenced_and_may_be_repeated() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let (id, first) = lease_of(&f, &call, leased("k")).await;
    f.store.finish_by_token(api_finish(&first, NotExecuted)).await.unwrap();
    f.store.finish_by_token(api_finish(&first, NotExecuted)).await.unwrap();
    assert!(matches!(
        f.store.finish_by_token(api_finish(&first, Executed)).await,
        Err(Error::Stale(_))
    ));
    let (again, second) = lease_of(&f, &call, leased("k")).await;
    assert_eq!(again, id);
    assert!(matches!(
        f.store.finish_by_token(api_finish(&first, Executed)).await,
        Err(Error::Stale(_))
    ));
    let done = f.store.finish_by_token(api_finish(&second, Executed)).await.unwrap();
    assert_eq!((done.status, done.attempt), (ExecutionStatus::Completed, 2));
    let kinds: Vec<_> = f.store.reader().events(Some(id), None, None, 100).unwrap();
    assert!(kinds.iter().any(|event| event.kind == EventKind::PossibleDuplicate));
    assert!(matches!(
        f.store.finish_by_token(api_finish("nonsense", Executed)).await,
        Err(Error::Invalid { field: "lease", .. })
    ));
}

#[tokio::test]
async fn a_claim_id_gives_the_holder_its_lease_again() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let options = ExecuteOptions { claim_id: Some("me".to_owned()), ..leased("k") };
    let (_, lease) = lease_of(&f, &call, options.clone()).await;
    let (_, again) = lease_of(&f, &call, options).await;
    assert_eq!(lease, again);
    let other = ExecuteOptions { claim_id: Some("you".to_owned()), ..leased("k") };
    let busy = f.store.execute(call, other).await.unwrap();
    assert_eq!(busy.claim, Some(ApiClaim::Busy { leased: true }));
}

#[tokio::test]
async fn an_expired_lease_is_in_doubt_until_evidence_or_a_decision() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let options = ExecuteOptions { lease: Some(Duration::from_secs(1)), ..leased("k") };
    let (id, lease) = lease_of(&f, &call, options).await;
    let expired = f.store.await_execution(id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(expired.status, ExecutionStatus::InDoubt);
    let held = f.store.execute(call.clone(), leased("k")).await.unwrap();
    assert_eq!(held.claim, Some(ApiClaim::InDoubt));
    // Its holder is still alive.
    f.store.extend_lease(&lease, Duration::from_secs(1)).await.unwrap();
    f.store.await_execution(id, Duration::from_secs(60)).await.unwrap();
    let verdict = |attempt| Verdict {
        id,
        attempt,
        executed: false,
        output: None,
        evidence: "looked it up".to_owned(),
        actor: "operator".to_owned(),
    };
    assert!(matches!(f.store.resolve(verdict(2)).await, Err(Error::Stale(_))));
    let settled = f.store.resolve(verdict(1)).await.unwrap();
    assert_eq!((settled.status, settled.outcome), (ExecutionStatus::Failed, Some(NotExecuted)));
    assert!(matches!(
        f.store.extend_lease(&lease, Duration::from_secs(1)).await,
        Err(Error::LeaseLost(_))
    ));
    // Evidence overrides the verdict.
    let done = f.store.finish_by_token(api_finish(&lease, Executed)).await.unwrap();
    assert_eq!(done.status, ExecutionStatus::Completed);
    let events = f.store.reader().events(Some(id), None, None, 100).unwrap();
    assert!(events.iter().any(|event| event.kind == EventKind::VerdictOverturned));
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_lease_whose_end_could_not_be_written_ends_later() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let lease = async |key: &str, seconds| {
        let options = ExecuteOptions { lease: Some(Duration::from_secs(seconds)), ..leased(key) };
        lease_of(&f, &call, options).await.0
    };
    let (held, next) = (lease("held", 1).await, lease("next", 2).await);
    let foreign = rusqlite::Connection::open(&f.options.path).unwrap();
    foreign
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE UPDATE ON executions
             WHEN NEW.status = 5 AND NEW.idempotency_key = 'held'
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    // It ends after the first one has been tried.
    let ended = f.store.await_execution(next, Duration::from_secs(60)).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::InDoubt);
    assert_eq!(f.store.reader().execution(held).unwrap().status, ExecutionStatus::Running);
    foreign.execute_batch("DROP TRIGGER refuse").unwrap();
    let ended = f.store.await_execution(held, Duration::from_secs(20)).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::InDoubt);
}

/// An execution whose lease has expired, and that lease.
async fn lost(f: &Fixture, call: &ToolCall, key: &str) -> (Uuid, String) {
    let options = ExecuteOptions { lease: Some(Duration::from_secs(1)), ..leased(key) };
    let (id, lease) = lease_of(f, call, options).await;
    f.store.await_execution(id, Duration::from_secs(60)).await.unwrap();
    (id, lease)
}

fn kinds(f: &Fixture, id: Uuid) -> Vec<String> {
    let events = f.store.reader().events(Some(id), None, None, 100).unwrap();
    events.into_iter().map(|event| event.kind.to_string()).collect()
}

#[tokio::test]
async fn a_late_finish_erases_no_result() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    for (key, outcome) in [("u", Unknown), ("n", NotExecuted), ("e", Executed)] {
        let (id, lease) = lost(&f, &call, key).await;
        let verdict = Verdict {
            id,
            attempt: 1,
            executed: true,
            output: Some(Json::parse(r#"{"seen":"in the outbox"}"#).unwrap()),
            evidence: "looked it up".to_owned(),
            actor: "operator".to_owned(),
        };
        let resolved = f.store.resolve(verdict).await.unwrap();
        let late = ApiFinish { output: None, ..api_finish(&lease, outcome) };
        let after = f.store.finish_by_token(late.clone()).await.unwrap();
        assert_eq!(after.status, ExecutionStatus::Completed, "{key}");
        assert_eq!(after.output.unwrap().as_str(), resolved.output.unwrap().as_str(), "{key}");
        f.store.finish_by_token(late).await.unwrap();
        assert_eq!(kinds(&f, id), ["claimed", "lost", "verdict", "finished-late"], "{key}");
    }
    let findings = f.store.reader().verify(None).unwrap().findings;
    assert!(findings.is_empty(), "{findings:?}");
}

#[tokio::test]
async fn a_late_finish_of_an_older_attempt_is_kept_once() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let (id, first) = lease_of(&f, &call, leased("k")).await;
    f.store.finish_by_token(api_finish(&first, NotExecuted)).await.unwrap();
    let (_, second) = lease_of(&f, &call, leased("k")).await;
    for outcome in [Unknown, Unknown, Executed, Executed] {
        let late = f.store.finish_by_token(api_finish(&first, outcome)).await;
        assert!(matches!(late, Err(Error::Stale(_))), "{late:?}");
    }
    f.store.finish_by_token(api_finish(&second, Executed)).await.unwrap();
    for _ in 0..2 {
        let other = f.store.finish_by_token(api_finish(&second, NotExecuted)).await;
        assert!(matches!(other, Err(Error::Stale(_))), "{other:?}");
    }
    let expected = [
        "claimed",
        "finished",
        "claimed",
        "finished-late",
        "possible-duplicate",
        "finished",
        "contradiction",
    ];
    assert_eq!(kinds(&f, id), expected);
}

#[tokio::test]
async fn a_lease_survives_a_restart() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let (id, lease) = lease_of(&f, &call, leased("k")).await;
    let f = f.reopen().await;
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::Running);
    f.store.finish_by_token(api_finish(&lease, Unknown)).await.unwrap();
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::InDoubt);
}

#[tokio::test]
async fn a_mismatch_never_gets_a_lease() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", r#"{"n":1}"#).await;
    let (id, lease) = lease_of(&f, &call, leased("k")).await;
    f.store.finish_by_token(api_finish(&lease, NotExecuted)).await.unwrap();
    let other = ToolCall { tool_input: Json::parse(r#"{"n":1.0}"#).unwrap(), ..call };
    let executed = f.store.execute(other.clone(), leased("k")).await.unwrap();
    assert_eq!(executed.execution.id, id);
    assert!(executed.input_mismatch);
    assert_eq!(executed.claim, Some(ApiClaim::Replay));
    let refuse = ExecuteOptions { refuse_mismatch: true, ..leased("k") };
    assert!(matches!(f.store.execute(other, refuse).await, Err(Error::KeyReuse { .. })));
}

fn set(id: Uuid, status: ExecutionStatus) -> ExecutionUpdate {
    ExecutionUpdate {
        id,
        status: Some(status),
        output: None,
        error: None,
        started_at: None,
        completed_at: None,
    }
}

#[tokio::test]
async fn unleased_executions_only_take_the_steps_of_v0_1() {
    let f = Fixture::new();
    let call = f.tool_call("u", "send", "{}").await;
    let unleased = f.store.create_tool_execution(call.clone()).await.unwrap();
    let update = |status| f.store.update_tool_execution(set(unleased.id, status), None);
    update(ExecutionStatus::Running).await.unwrap();
    update(ExecutionStatus::Completed).await.unwrap();
    update(ExecutionStatus::Completed).await.unwrap();
    let error = update(ExecutionStatus::Pending).await.unwrap_err();
    assert!(matches!(error, Error::IllegalTransition(_)));
    let stored = f.store.reader().execution(unleased.id).unwrap();
    assert!(stored.started_at.is_some() && stored.completed_at.is_some());

    let busy = f
        .store
        .execute(call.clone(), ExecuteOptions { lease: None, ..leased("v0.1") })
        .await
        .unwrap();
    assert_eq!(busy.execution.status, ExecutionStatus::Pending);
    let leased_claim = f.store.execute(call.clone(), leased("v0.1")).await.unwrap();
    assert_eq!(leased_claim.claim, Some(ApiClaim::Busy { leased: false }));

    let (id, _) = lease_of(&f, &call, leased("k")).await;
    let error = f.store.update_tool_execution(set(id, ExecutionStatus::Completed), None).await;
    assert!(matches!(error, Err(Error::LeaseLost(_))));
}

#[tokio::test]
async fn users_share_nothing_and_scopes_must_belong_together() {
    let f = Fixture::new();
    let a = f.tool_call("a", "send", "{}").await;
    let b = f.tool_call("b", "send", "{}").await;
    let (first, _) = lease_of(&f, &a, leased("k")).await;
    let (second, _) = lease_of(&f, &b, leased("k")).await;
    assert_ne!(first, second);
    let mixed = ToolCall { goal_id: b.goal_id, ..a.clone() };
    assert!(matches!(f.store.create_tool_execution(mixed).await, Err(Error::Foreign(_))));
    let mixed = ToolCall { session_id: b.session_id, goal_id: b.goal_id, ..a };
    assert!(matches!(f.store.create_tool_execution(mixed).await, Err(Error::Foreign(_))));
}

#[tokio::test]
async fn one_process_owns_a_database() {
    let f = Fixture::new();
    f.store.announce("http://127.0.0.1:1").unwrap();
    let Err(Error::Locked { holder }) = store::Store::open(&f.options) else { panic!() };
    assert_eq!((holder.pid, holder.api.as_str()), (std::process::id(), "http://127.0.0.1:1"));
}
