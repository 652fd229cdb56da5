//! Answers that did not arrive: the next equal call is a retry, under whatever key.

use std::time::Duration;

use store::call::{Call, Claim, Undelivered};
use store::key::Digest;
use store::model::EffectClass;
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use uuid::Uuid;

use crate::replayed;
use crate::support::{Fixture, finish};

impl Fixture {
    /// A call that ran, and of whose answer nothing is known.
    async fn answered(&self, call: Call) -> Uuid {
        let lease = self.execute(call).await;
        let id = lease.execution_id();
        self.finish(lease, Executed).await;
        id
    }

    /// A call that ran, and whose answer did not arrive.
    async fn lost(&self, call: Call) -> Uuid {
        let id = self.answered(call).await;
        self.store.undelivered(id);
        id
    }

    /// Whether a call would run. It then ends without having run.
    async fn is_new(&self, call: Call) -> bool {
        let Claim::Execute(lease) = self.claim(call).await else { return false };
        self.finish(lease, NotExecuted).await;
        true
    }

    /// The execution whose answer a retry gets.
    async fn redelivered(&self, call: Call) -> Uuid {
        match self.claim(call).await {
            Claim::Undelivered(settled) => {
                assert_eq!(settled.outcome, Executed);
                assert!(settled.answer.is_some());
                settled.execution_id
            }
            other => panic!("not a retry: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_fresh_key_after_a_lost_answer_gets_that_answer() {
    let f = Fixture::new();
    let id = f.lost(f.call("k1", "a").await).await;
    assert_eq!(f.redelivered(f.call("k2", "a").await).await, id);
    // The answer is on its way: until its fate is known, an equal call is another one.
    assert!(f.is_new(f.call("k3", "a").await).await);
    // The second key names the execution from now on, as the first one does.
    for key in ["k1", "k2"] {
        assert_eq!(replayed(&f.store, f.call(key, "a").await).await.execution_id, id);
    }
    assert!(matches!(f.claim(f.call("k2", "b").await).await, Claim::Mismatch { .. }));

    // Lost again, then it arrived.
    f.store.undelivered(id);
    assert_eq!(f.redelivered(f.call("k4", "a").await).await, id);
    f.store.arrived(id);
    f.store.undelivered(id);
    assert!(f.is_new(f.call("k5", "a").await).await);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_answer_that_arrived_holds_nothing() {
    let f = Fixture::new();
    let id = f.answered(f.call("k1", "a").await).await;
    assert!(f.is_new(f.call("k2", "a").await).await);
    f.store.arrived(id);
    assert!(f.is_new(f.call("k3", "a").await).await);
}

#[tokio::test]
async fn each_lost_answer_is_given_once() {
    let f = Fixture::new();
    let (first, second) =
        (f.answered(f.call("k1", "a").await), f.answered(f.call("k2", "a").await));
    let (first, second) = (first.await, second.await);
    f.store.undelivered(first);
    f.store.undelivered(second);
    let mut given = vec![
        f.redelivered(f.call("k3", "a").await).await,
        f.redelivered(f.call("k4", "a").await).await,
    ];
    given.sort_unstable();
    let mut lost = vec![first, second];
    lost.sort_unstable();
    assert_eq!(given, lost);
    assert!(f.is_new(f.call("k5", "a").await).await);
}

#[tokio::test]
async fn other_content_credentials_or_intents_make_another_call() {
    let f = Fixture::new();
    f.lost(f.call("k1", "a").await).await;
    assert!(f.is_new(f.call("k2", "b").await).await);
    let mut again = f.call("k3", "a").await;
    again.digests.repeat = Some(Digest::of(b"a second time"));
    assert!(f.is_new(again).await);
    let mut stranger = f.call("k4", "a").await;
    stranger.digests.principal = Digest::of(b"somebody else");
    let Claim::InDoubt(held) = f.claim(stranger).await else { panic!() };
    assert!(held.same_content && held.retry_token.is_none());
    // Idempotent calls are always sent.
    let mut idempotent = f.call("k5", "a").await;
    idempotent.class = EffectClass::Idempotent;
    assert!(f.is_new(idempotent).await);
}

#[tokio::test]
async fn a_rule_decides_what_a_retry_gets() {
    let f = Fixture::new();
    f.lost(f.call("k1", "a").await).await;
    let with = async |key: &str, undelivered| Call { undelivered, ..f.call(key, "a").await };
    assert!(matches!(f.claim(with("k2", Undelivered::Hold).await).await, Claim::InDoubt(_)));
    assert!(f.is_new(with("k3", Undelivered::Run).await).await);
    f.redelivered(with("k4", Undelivered::Replay).await).await;
}

#[tokio::test]
async fn any_of_the_contents_is_enough() {
    for change in [
        (|call: &mut Call| call.digests.content = Digest::of(b"under another rule"))
            as fn(&mut Call),
        |call| call.digests.ruled = Digest::of(b"under another rule"),
        |call| call.digests.literal = Digest::of(b"under another rule"),
    ] {
        let f = Fixture::new();
        let mut first = f.call("k1", "a").await;
        for (digest, text) in [
            (&mut first.digests.content, "content"),
            (&mut first.digests.ruled, "ruled"),
            (&mut first.digests.literal, "literal"),
        ] {
            *digest = Digest::of(text.as_bytes());
        }
        let mut retry = Call { ..first.clone() };
        retry.key = f.call("k2", "a").await.key;
        change(&mut retry);
        let id = f.lost(first).await;
        assert_eq!(f.redelivered(retry).await, id);
    }
}

#[tokio::test]
async fn a_retry_of_a_running_call_waits_for_it() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k1", "a").await).await;
    let id = lease.execution_id();
    // Its client is there: an equal call is its twin.
    f.finish(f.execute(f.call("k2", "a").await).await, Executed).await;
    f.store.undelivered(id);
    let Claim::Busy(waiter) = f.claim(f.call("k3", "a").await).await else { panic!() };
    assert_eq!(waiter.execution_id, id);
    f.finish(lease, Executed).await;
    assert_eq!(waiter.settled().await.unwrap().execution_id, id);
    // It is given to the one that waited: what comes now is another call, unless it is lost again.
    f.store.given(id);
    assert!(f.is_new(f.call("k4", "a").await).await);
    f.store.undelivered(id);
    assert_eq!(f.redelivered(f.call("k5", "a").await).await, id);
    assert_eq!(replayed(&f.store, f.call("k3", "a").await).await.execution_id, id);
}

#[tokio::test]
async fn nothing_is_remembered_of_a_call_that_did_not_run() {
    let f = Fixture::new();
    for outcome in [NotExecuted, Unknown] {
        let lease = f.execute(f.call("k1", "a").await).await;
        f.store.undelivered(lease.execution_id());
        f.finish(lease, outcome).await;
        let claim = f.claim(f.call("k2", "a").await).await;
        match outcome {
            NotExecuted => {
                let Claim::Execute(lease) = claim else { panic!("{claim:?}") };
                f.finish(lease, NotExecuted).await;
            }
            _ => assert!(matches!(claim, Claim::InDoubt(_))),
        }
    }
}

#[tokio::test]
async fn a_tool_error_that_did_not_arrive_is_given_once_more() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k1", "a").await).await;
    let id = lease.execution_id();
    let error = store::call::Finish { tool_error: true, ..finish(Executed) };
    f.store.finish(lease, error).await.unwrap();
    f.store.undelivered(id);
    // Also under its own key, which a call after a tool error would take.
    assert_eq!(f.redelivered(f.call("k1", "a").await).await, id);
    f.store.arrived(id);
    assert!(f.is_new(f.call("k1", "a").await).await);
}

#[tokio::test]
async fn it_is_remembered_over_a_restart_and_forgotten_in_time() {
    let f = Fixture::new();
    let lost = f.lost(f.call("k1", "a").await).await;
    let unknown = f.answered(f.call("k2", "b").await).await;
    let arrived = f.answered(f.call("k3", "c").await).await;
    f.store.arrived(arrived);
    let f = f.reopen().await;
    assert_eq!(f.redelivered(f.call("k4", "a").await).await, lost);
    assert_eq!(f.redelivered(f.call("k5", "b").await).await, unknown);
    assert!(f.is_new(f.call("k6", "c").await).await);

    let f = Fixture::with(|options| options.undelivered_for = Duration::ZERO);
    f.lost(f.call("k1", "a").await).await;
    assert!(f.is_new(f.call("k2", "a").await).await);
}

/// The guard goes by what is known about the attempts, not by the state of the execution.
#[tokio::test]
async fn an_attempt_of_unknown_outcome_holds_while_the_next_one_runs() {
    let f = Fixture::new();
    f.finish(f.execute(f.call("k1", "a").await).await, Unknown).await;
    let Claim::InDoubt(doubt) = f.claim(f.call("k1", "a").await).await else { panic!() };
    f.store.redeem(&doubt.retry_token.unwrap()).await.unwrap();
    let lease = f.execute(f.call("k1", "a").await).await;
    let Claim::InDoubt(held) = f.claim(f.call("k2", "a").await).await else { panic!() };
    assert!(held.same_content && held.retry_token.is_none());
    f.finish(lease, Executed).await;
    assert!(f.is_new(f.call("k2", "a").await).await);

    // The same where the upstream recognizes the repeat by its key.
    let keyed = async |key: &str| {
        let upstream_key = Some(crate::support::upstream_key("client", 24));
        Call { class: EffectClass::Keyed, upstream_key, ..f.call(key, "b").await }
    };
    f.finish(f.execute(keyed("k3").await).await, Unknown).await;
    let lease = f.execute(keyed("k3").await).await;
    assert!(matches!(f.claim(keyed("k4").await).await, Claim::InDoubt(_)));
    // It did not run, which says nothing about the first attempt.
    f.finish(lease, NotExecuted).await;
    assert!(matches!(f.claim(keyed("k4").await).await, Claim::InDoubt(_)));
    // A call that is known not to have run holds nothing while it runs again.
    f.finish(f.execute(f.call("k5", "c").await).await, NotExecuted).await;
    let _running = f.execute(f.call("k5", "c").await).await;
    assert!(f.is_new(f.call("k6", "c").await).await);
}
