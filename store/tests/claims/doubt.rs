//! What holds a call that may have run, and what settles it.

use store::Error;
use store::call::Claim;
use store::key::Digest;
use store::model::{EffectClass, Json};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};

use crate::replayed;
use crate::support::{Fixture, answer, finish};

#[tokio::test]
async fn a_doubt_holds_until_its_token_is_redeemed() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let settled = f.finish(lease, Unknown).await;
    assert!(settled.doubt.is_some());
    let Claim::InDoubt(doubt) = f.claim(f.call("k", "a").await).await else { panic!() };
    assert_eq!((doubt.execution_id, doubt.attempt), (id, 1));
    let token = doubt.retry_token.unwrap();

    // Redeeming twice counts once, and permits the next call.
    assert_eq!(f.store.redeem(&token).await.unwrap(), id);
    assert_eq!(f.store.redeem(&token).await.unwrap(), id);
    let lease = f.execute(f.call("k", "a").await).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    assert!(matches!(f.store.redeem(&token).await, Err(Error::Stale(_))));

    // A spent token is ignored: the request is a plain duplicate.
    f.finish(lease, Unknown).await;
    let mut spent = f.call("k", "a").await;
    spent.retry_token = Some(token);
    let Claim::InDoubt(doubt) = f.claim(spent).await else { panic!() };
    let mut with_token = f.call("k", "a").await;
    with_token.retry_token = doubt.retry_token;
    let lease = f.execute(with_token).await;
    assert_eq!(lease.attempt(), 3);
    // The token settled the doubt about the earlier attempts. This one did not run: nothing is in doubt.
    f.finish(lease, NotExecuted).await;
    assert_eq!(f.execute(f.call("k", "a").await).await.attempt(), 4);
}

#[tokio::test]
async fn the_doubt_guard_holds_the_same_content_under_a_fresh_key() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k1", "a").await).await;
    let id = lease.execution_id();
    f.finish(lease, Unknown).await;

    let Claim::InDoubt(doubt) = f.claim(f.call("k2", "a").await).await else { panic!() };
    assert!(doubt.same_content && doubt.retry_token.is_some());
    let mut stranger = f.call("k3", "a").await;
    stranger.digests.principal = Digest::of(b"somebody else");
    let Claim::InDoubt(held) = f.claim(stranger.clone()).await else { panic!() };
    assert!(held.same_content && held.retry_token.is_none());
    stranger.retry_token.clone_from(&doubt.retry_token);
    assert!(matches!(f.claim(stranger).await, Claim::InDoubt(_)));

    // A request with its own `Agent-Repeat` runs, and so does other content.
    let mut intended = f.call("k4", "a").await;
    intended.digests.repeat = Some(Digest::of(b"a second time"));
    f.finish(f.execute(intended).await, Executed).await;
    f.finish(f.execute(f.call("k5", "b").await).await, Executed).await;

    // The token with another key runs the same execution again, which then holds both keys.
    let mut token = f.call("k2", "a").await;
    token.retry_token = doubt.retry_token;
    let lease = f.execute(token).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    f.finish(lease, Executed).await;
    for key in ["k1", "k2"] {
        assert_eq!(replayed(&f.store, f.call(key, "a").await).await.execution_id, id);
    }
}

#[tokio::test]
async fn the_doubt_guard_holds_a_call_whose_own_key_was_refused() {
    let f = Fixture::new();
    // Two keys whose first calls did not run, and one whose tool returned an error.
    for key in ["same", "other input"] {
        let input = if key == "same" { "a" } else { "b" };
        f.finish(f.execute(f.call(key, input).await).await, NotExecuted).await;
    }
    let mut tool_error = finish(Executed);
    tool_error.tool_error = true;
    let lease = f.execute(f.call("tool error", "a").await).await;
    f.store.finish(lease, tool_error).await.unwrap();
    let doubtful = f.execute(f.call("doubt", "a").await).await;
    let id = doubtful.execution_id();
    f.finish(doubtful, Unknown).await;
    for key in ["same", "other input", "tool error"] {
        match f.claim(f.call(key, "a").await).await {
            Claim::InDoubt(doubt) => assert!(doubt.same_content && doubt.execution_id == id),
            other => panic!("{key}: {other:?}"),
        }
    }
    // A request with its own `Agent-Repeat` runs, and so does the class `idempotent`.
    let mut intended = f.call("same", "a").await;
    intended.digests.repeat = Some(Digest::of(b"a second time"));
    f.finish(f.execute(intended).await, NotExecuted).await;
    let mut put = f.call("same", "a").await;
    put.class = EffectClass::Idempotent;
    f.finish(f.execute(put).await, NotExecuted).await;
    // The token runs the execution in doubt, under the key of the caller that redeems it.
    let Claim::InDoubt(doubt) = f.claim(f.call("same", "a").await).await else { panic!() };
    f.store.redeem(&doubt.retry_token.unwrap()).await.unwrap();
    let lease = f.execute(f.call("same", "a").await).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    f.finish(lease, Executed).await;
    assert_eq!(replayed(&f.store, f.call("same", "a").await).await.execution_id, id);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_call_that_a_token_ran_under_other_rules_is_found_under_these() {
    let f = Fixture::new();
    let settled = f.finish(f.execute(f.call("k1", "a").await).await, Unknown).await;
    // The content is the same. The rule counts other fields of it, so the fingerprint and the key differ.
    let mut ruled = f.call("k2", "a").await;
    ruled.digests.fingerprint = Digest::of(b"the fields of the new rule");
    let mut redeeming = ruled.clone();
    redeeming.retry_token = settled.doubt.as_ref().unwrap().retry_token.clone();
    let lease = f.execute(redeeming).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (settled.execution_id, 2));
    assert!(matches!(f.claim(ruled.clone()).await, Claim::Busy(_)));
    f.finish(lease, Executed).await;
    assert_eq!(replayed(&f.store, ruled).await.execution_id, settled.execution_id);
}

#[tokio::test]
async fn the_doubt_guard_holds_a_call_whose_rule_finds_its_key_elsewhere() {
    let f = Fixture::new();
    let plain = |key: &'static str, input: &'static str| f.call(key, input);
    // As under a rule: the content leaves the key out.
    let ruled = async |key: &'static str, input: &'static str| {
        let mut call = f.call(key, input).await;
        call.digests.content = Digest::of(format!("without the key {input}").as_bytes());
        call
    };
    f.finish(f.execute(plain("k1", "a").await).await, Unknown).await;
    f.finish(f.execute(ruled("k2", "b").await).await, Unknown).await;
    for call in [ruled("k3", "a").await, plain("k4", "b").await] {
        assert!(matches!(f.claim(call).await, Claim::InDoubt(doubt) if doubt.same_content));
    }
    // A call with other input is a different call.
    f.execute(plain("k5", "c").await).await;
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_doubt_holds_although_the_rules_now_count_other_fields() {
    let f = Fixture::new();
    let mut call = f.call("k", "a").await;
    let settled = f.finish(f.execute(call.clone()).await, Unknown).await;
    call.digests.fingerprint = Digest::of(b"the fields of the new rule");
    let Claim::InDoubt(doubt) = f.claim(call.clone()).await else { panic!() };
    assert_eq!(doubt.execution_id, settled.execution_id);
    call.retry_token = doubt.retry_token;
    assert_eq!(f.execute(call.clone()).await.attempt(), 2);
    call.digests.content = Digest::of(b"other");
    call.digests.fingerprint = Digest::of(b"other");
    assert!(matches!(f.claim(call).await, Claim::Mismatch { .. }));
}

#[tokio::test]
async fn a_partial_answer_is_never_replayed_after_a_verdict() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let mut broken = finish(Unknown);
    broken.answer = Some(answer("half of it"));
    f.store.finish(lease, broken).await.unwrap();
    let verdict = store::call::Verdict {
        id,
        attempt: 1,
        executed: true,
        output: Some(Json::of("seen")),
        evidence: "it is in the tool's log".to_owned(),
        actor: "operator".to_owned(),
    };
    let resolved = f.store.resolve(verdict).await.unwrap();
    assert_eq!(resolved.output, Some(Json::of("seen")));
    assert_eq!(f.store.reader().execution(id).unwrap().output, resolved.output);
    assert!(replayed(&f.store, f.call("k", "a").await).await.answer.is_none());
    let f = f.reopen().await;
    assert!(replayed(&f.store, f.call("k", "a").await).await.answer.is_none());
}
