//! Who may run, and what duplicates of a call get.

use futures_util::future::join_all;
use store::Error;
use store::call::{Claim, ScopeRequest};
use store::key::HolderKey;
use store::model::ExecutionStatus;
use store::state::Knowledge::{Executed, NotExecuted};

use crate::replayed;
use crate::support::{Fixture, answer, call};

#[tokio::test]
async fn one_of_many_racing_calls_runs_and_all_get_its_answer() {
    let f = Fixture::new();
    let scope = f.scope().await;
    let claims = join_all((0..100).map(|_| f.store.claim(call(scope.clone(), "k", "a")))).await;
    let (mut leases, mut waiters) = (Vec::new(), Vec::new());
    for claim in claims {
        match claim.unwrap() {
            Claim::Execute(lease) => leases.push(lease),
            Claim::Busy(waiter) => waiters.push(waiter.settled()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((leases.len(), waiters.len()), (1, 99));
    f.finish(leases.pop().unwrap(), Executed).await;
    for settled in join_all(waiters).await {
        assert_eq!(*settled.unwrap().answer.clone().unwrap(), answer("done"));
    }
}

#[tokio::test]
async fn an_answer_is_replayed_byte_for_byte_also_after_a_restart() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    f.finish(lease, Executed).await;
    for _ in 0..2 {
        let settled = replayed(&f.store, f.call("k", "a").await).await;
        assert_eq!(**settled.answer.as_ref().unwrap(), answer("done"));
    }
    let f = f.reopen().await;
    let settled = replayed(&f.store, f.call("k", "a").await).await;
    assert_eq!(**settled.answer.as_ref().unwrap(), answer("done"));
}

/// After many new calls in a row, the store skips the look-up before the claim. A known call still does
/// not run again.
#[tokio::test]
async fn a_long_run_of_new_calls_changes_no_duplicates_answer() {
    let f = Fixture::new();
    let look = async |key: &str| {
        let call = f.call(key, "a").await;
        f.store.replay(call.key.as_ref().unwrap(), &call.digests).unwrap()
    };
    for number in 0..40 {
        let key = format!("k{number}");
        assert!(look(&key).await.is_none());
        let lease = f.execute(f.call(&key, "a").await).await;
        f.finish(lease, Executed).await;
    }
    assert!(look("k0").await.is_none(), "only the writer looks it up");
    let settled = replayed(&f.store, f.call("k0", "a").await).await;
    assert_eq!(**settled.answer.as_ref().unwrap(), answer("done"));
    let settled = look("k1").await.unwrap();
    assert_eq!(**settled.answer.as_ref().unwrap(), answer("done"));
}

#[tokio::test]
async fn another_input_under_a_key_is_a_mismatch_unless_nothing_ran() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    assert!(matches!(f.claim(f.call("k", "b").await).await, Claim::Mismatch { .. }));
    f.finish(lease, Executed).await;
    assert!(matches!(f.claim(f.call("k", "b").await).await, Claim::Mismatch { .. }));

    let lease = f.execute(f.call("l", "c").await).await;
    let first = lease.execution_id();
    f.finish(lease, NotExecuted).await;
    let lease = f.execute(f.call("l", "d").await).await;
    assert_ne!(lease.execution_id(), first);
    assert_eq!(lease.attempt(), 1);
}

#[tokio::test]
async fn a_call_that_did_not_run_gets_one_more_attempt() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    f.finish(lease, NotExecuted).await;
    let lease = f.execute(f.call("k", "a").await).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    f.finish(lease, Executed).await;
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a_key_is_free_after_its_window() {
    let f = Fixture::new();
    let mut short = f.call("k", "a").await;
    let key = short.key.as_mut().unwrap();
    key.window = Some(std::time::Duration::ZERO);
    let first = f.execute(short.clone()).await;
    let id = first.execution_id();
    assert!(matches!(f.claim(short.clone()).await, Claim::Busy(_)), "a running call holds its key");
    f.finish(first, Executed).await;
    let second = f.execute(short).await;
    assert_ne!(second.execution_id(), id);
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a_key_is_found_in_every_namespace() {
    let f = Fixture::new();
    f.finish(f.execute(f.call("k", "a").await).await, Executed).await;
    let found = f.store.reader().execution_by_key("k", None).unwrap();
    assert_eq!(found.unwrap().idempotency_key.as_deref(), Some("k"));
    let mut other = f.call("k", "b").await;
    other.key.as_mut().unwrap().holder = HolderKey::new(other.scope.user_id, b"elsewhere", "k");
    f.finish(f.execute(other).await, Executed).await;
    assert!(matches!(f.store.reader().execution_by_key("k", None), Err(Error::Conflict(_))));
    assert!(f.store.reader().execution_by_key("absent", None).unwrap().is_none());
}

#[tokio::test]
async fn an_unknown_goal_creates_no_session() {
    let f = Fixture::new();
    f.scope().await;
    let sessions = || f.store.reader().stats().unwrap().sessions;
    let before = sessions();
    let unknown = ScopeRequest {
        session: Some("unseen".to_owned()),
        goal: Some(uuid::Uuid::from_u128(7)),
        user: None,
    };
    let refused = f.store.scope(&unknown).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "goal", .. })), "{refused:?}");
    assert_eq!(sessions(), before);
}
