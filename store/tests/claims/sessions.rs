//! Sessions of one name: what runs or is in doubt in one that ended holds back equal calls of the next one.

use store::call::{Call, CallDigests, Claim, ScopeRequest};
use store::key::{Digest, HolderKey};
use store::model::{SessionStatus, SessionUpdate};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};

use crate::support::{Fixture, call};

impl Fixture {
    /// A call of the session that `name` means now, under a key of this session.
    async fn call_in(&self, name: &str, input: &str) -> Call {
        let request = ScopeRequest { session: Some(name.to_owned()), ..ScopeRequest::default() };
        let scope = self.store.scope(&request).await.unwrap();
        let (user, session) = (scope.user_id, scope.session_id);
        let mut call = call(scope, &format!("{session} {input}"), input);
        let requests = call.digests.requests;
        let [content, ruled, literal] =
            requests.map(|request| store::key::in_session(user, session, &request));
        call.digests = CallDigests { content, ruled, literal, ..call.digests };
        call
    }

    async fn end_session_of(&self, call: &Call, status: SessionStatus) {
        let update = SessionUpdate {
            id: call.scope.session_id,
            channel_id: None,
            status: Some(status),
            metadata: None,
            context: None,
            last_activity_at: None,
        };
        self.store.update_session(update, None).await.unwrap();
    }

    async fn runs(&self, call: Call) -> bool {
        let Claim::Execute(lease) = self.claim(call).await else { return false };
        self.finish(lease, NotExecuted).await;
        true
    }
}

#[tokio::test]
async fn a_running_call_of_an_ended_session_is_waited_for() {
    for status in [SessionStatus::Completed, SessionStatus::Failed, SessionStatus::Abandoned] {
        let f = Fixture::new();
        let first = f.call_in("s", "x").await;
        let lease = f.execute(first.clone()).await;
        f.end_session_of(&first, status).await;
        let next = f.call_in("s", "x").await;
        assert_ne!(next.scope.session_id, first.scope.session_id);
        let Claim::Busy(waiter) = f.claim(next.clone()).await else { panic!("it is not held") };
        assert_eq!(waiter.execution_id, lease.execution_id());

        // What is another call runs.
        assert!(f.runs(f.call_in("s", "y").await).await);
        assert!(f.runs(f.call_in("other", "x").await).await);
        let mut repeat = f.call_in("s", "x").await;
        repeat.key.as_mut().unwrap().holder = HolderKey::new(repeat.scope.user_id, b"t", "repeat");
        repeat.digests.repeat = Some(Digest::of(b"again"));
        assert!(f.runs(repeat).await);
        // With other credentials it is held, without the answer.
        let mut foreign = f.call_in("s", "x").await;
        foreign.key.as_mut().unwrap().holder = HolderKey::new(foreign.scope.user_id, b"t", "bob");
        foreign.digests.principal = Digest::of(b"bob");
        let Claim::InDoubt(doubt) = f.claim(foreign).await else { panic!("it is not held") };
        assert!(doubt.same_content && doubt.retry_token.is_none());

        f.finish(lease, Executed).await;
        assert!(waiter.settled().await.is_some());
        // Its key names that execution from now on; under another key it is a new call.
        assert!(matches!(f.claim(next).await, Claim::Replay(_)));
        let mut fresh = f.call_in("s", "x").await;
        fresh.key.as_mut().unwrap().holder = HolderKey::new(fresh.scope.user_id, b"t", "fresh");
        assert!(f.runs(fresh).await);
    }
}

#[tokio::test]
async fn a_doubt_outlasts_its_session_and_a_restart() {
    let f = Fixture::new();
    let first = f.call_in("s", "x").await;
    let lease = f.execute(first.clone()).await;
    let id = lease.execution_id();
    f.finish(lease, Unknown).await;
    f.end_session_of(&first, SessionStatus::Completed).await;
    let mut f = f;
    for _ in 0..2 {
        let next = f.call_in("s", "x").await;
        let Claim::InDoubt(doubt) = f.claim(next.clone()).await else { panic!("it is not held") };
        assert!(doubt.same_content && doubt.execution_id == id);
        f.end_session_of(&next, SessionStatus::Completed).await;
        f = f.reopen().await;
    }
    // Its caller looked it up: the same execution runs again.
    let mut next = f.call_in("s", "x").await;
    let Claim::InDoubt(doubt) = f.claim(next.clone()).await else { panic!("it is not held") };
    next.retry_token = doubt.retry_token;
    let lease = f.execute(next).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    f.finish(lease, Executed).await;
    let mut fresh = f.call_in("s", "x").await;
    fresh.key.as_mut().unwrap().holder = HolderKey::new(fresh.scope.user_id, b"t", "fresh");
    assert!(f.runs(fresh).await, "it is settled");
}

#[tokio::test]
async fn a_call_is_not_claimed_in_a_session_that_has_ended() {
    let f = Fixture::new();
    let late = f.call_in("s", "x").await;
    f.end_session_of(&late, SessionStatus::Completed).await;
    let refused = f.store.claim(late.clone()).await;
    assert!(matches!(refused, Err(store::Error::SessionEnded(id)) if id == late.scope.session_id));
    assert!(f.runs(f.call_in("s", "x").await).await);
}

/// Version 6 did not remember which ended sessions have calls that are not settled.
#[tokio::test]
async fn a_database_of_the_version_before_holds_its_doubts() {
    let f = Fixture::new();
    let first = f.call_in("s", "x").await;
    let lease = f.execute(first.clone()).await;
    f.finish(lease, Unknown).await;
    f.end_session_of(&first, SessionStatus::Completed).await;
    f.store.close().await;
    let old = rusqlite::Connection::open(&f.options.path).unwrap();
    old.execute_batch(
        "DROP INDEX sessions_unsettled; ALTER TABLE sessions DROP COLUMN unsettled; PRAGMA user_version = 6",
    )
    .unwrap();
    drop(old);
    let f = f.reopen().await;
    assert!(matches!(f.claim(f.call_in("s", "x").await).await, Claim::InDoubt(_)));
}
