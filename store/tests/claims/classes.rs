//! What a call's effect class allows after an attempt with an unknown outcome.

use store::call::{Claim, Foreseen};
use store::key::Digest;
use store::model::{EffectClass, ExecutionStatus};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};

use crate::replayed;
use crate::support::{Fixture, upstream_key};

#[tokio::test]
async fn a_refusal_says_nothing_about_an_idempotent_call_that_may_have_run() {
    let f = Fixture::new();
    let mut put = f.call("k", "a").await;
    put.class = EffectClass::Idempotent;
    f.finish(f.execute(put.clone()).await, Unknown).await;
    let lease = f.execute(put.clone()).await;
    let id = lease.execution_id();
    assert_eq!(f.finish(lease, NotExecuted).await.outcome, Unknown);
    let stored = f.store.reader().execution(id).unwrap();
    assert_eq!((stored.status, stored.outcome), (ExecutionStatus::Failed, Some(Unknown)));
    let mut other = f.call("k", "b").await;
    other.class = EffectClass::Idempotent;
    assert!(matches!(f.claim(other).await, Claim::Mismatch { .. }));
    assert_eq!(f.execute(put).await.attempt(), 3);
}

#[tokio::test]
async fn a_call_that_may_have_run_is_in_doubt_once_its_rule_is_stricter() {
    let f = Fixture::new();
    let once = f.call("k", "a").await;
    let mut put = once.clone();
    put.class = EffectClass::Idempotent;
    f.finish(f.execute(put.clone()).await, NotExecuted).await;
    // A call that did not run may run under any rule.
    let lease = f.execute(once.clone()).await;
    let id = lease.execution_id();
    f.finish(lease, Unknown).await;
    let foreseen = f.store.reader().foresee(&once).unwrap();
    assert!(matches!(foreseen, Foreseen::InDoubt { execution_id, .. } if execution_id == id));
    let Claim::InDoubt(doubt) = f.claim(once.clone()).await else { panic!() };
    assert_eq!((doubt.execution_id, doubt.attempt, doubt.same_content), (id, 2, false));
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::InDoubt);
    // It does not run under its first rule again either.
    assert!(matches!(f.claim(put).await, Claim::InDoubt(_)));
    let mut redeeming = once.clone();
    redeeming.retry_token = doubt.retry_token;
    let lease = f.execute(redeeming).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 3));
    f.finish(lease, Executed).await;
    assert_eq!(replayed(&f.store, once).await.execution_id, id);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_attempt_ends_under_the_rule_that_sent_it() {
    let f = Fixture::new();
    for (key, first, second) in [
        ("strict", EffectClass::Idempotent, EffectClass::Once),
        ("lax", EffectClass::Once, EffectClass::Idempotent),
    ] {
        let mut call = f.call(key, key).await;
        call.class = first;
        f.finish(f.execute(call.clone()).await, NotExecuted).await;
        call.class = second;
        // The resumed run is in another session: the content differs, the key is the same.
        call.digests.content = Digest::of(format!("resumed {key}").as_bytes());
        call.digests.literal = call.digests.content;
        call.digests.ruled = call.digests.content;
        let lease = f.execute(call.clone()).await;
        assert_eq!(lease.attempt(), 2);
        let in_doubt = second == EffectClass::Once;
        assert_eq!(f.finish(lease, Unknown).await.doubt.is_some(), in_doubt, "{key}");
        let mut fresh = call.clone();
        fresh.key = f.call("fresh", key).await.key;
        fresh.class = EffectClass::Once;
        match f.claim(fresh).await {
            Claim::InDoubt(doubt) => assert!(in_doubt && doubt.same_content),
            Claim::Execute(lease) => assert!(!in_doubt, "{:?}", f.finish(lease, Executed).await),
            other => panic!("{other:?}"),
        }
    }
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_idempotent_call_is_never_in_doubt() {
    let f = Fixture::new();
    let mut put = f.call("k", "a").await;
    put.class = EffectClass::Idempotent;
    f.finish(f.execute(put.clone()).await, Unknown).await;
    let lease = f.execute(put.clone()).await;
    assert_eq!(lease.attempt(), 2);
    f.finish(lease, Executed).await;
    put.key = None;
    let first = f.execute(put.clone()).await;
    let second = f.execute(put).await;
    assert_ne!(first.execution_id(), second.execution_id());
    f.finish(first, Executed).await;
    f.finish(second, Executed).await;
}

#[tokio::test]
async fn a_keyed_call_is_sent_again_but_its_first_attempt_stays_in_doubt() {
    let f = Fixture::new();
    let mut keyed = f.call("k", "a").await;
    keyed.class = EffectClass::Keyed;
    keyed.upstream_key = Some(upstream_key("engine x-key", 12));
    f.finish(f.execute(keyed.clone()).await, Unknown).await;
    let lease = f.execute(keyed.clone()).await;
    assert_eq!(lease.attempt(), 2);
    // The outcome joins all attempts: `not_executed` says nothing about the first one.
    assert!(f.finish(lease, NotExecuted).await.doubt.is_some());
    // A key from another source, in another header or past its window does not permit a repeat.
    for (source, hours) in [("client x-key", 12), ("engine x-other", 12), ("engine x-key", 0)] {
        keyed.upstream_key = Some(upstream_key(source, hours));
        assert!(matches!(f.claim(keyed.clone()).await, Claim::InDoubt(_)), "{source} {hours}");
    }
    keyed.upstream_key = None;
    assert!(matches!(f.claim(keyed).await, Claim::InDoubt(_)));
}
