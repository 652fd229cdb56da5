//! Proxied calls: which may run, what duplicates get, what a restart leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::sync::Arc;

use futures_util::future::join_all;
use store::call::{Claim, Foreseen, ScopeRequest, Settled};
use store::key::{Digest, HolderKey};
use store::model::{EffectClass, ExecutionStatus, Json};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use store::{Error, Store};
use support::{Fixture, answer, call, finish, upstream_key};

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

async fn replayed(store: &Store, call: store::call::Call) -> Arc<Settled> {
    match store.claim(call).await.unwrap() {
        Claim::Replay(settled) => settled,
        other => panic!("not replayed: {other:?}"),
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

/// After many new calls in a row the lookup before the claim is skipped; known calls still do not run again.
#[tokio::test]
async fn a_long_run_of_new_calls_changes_no_duplicates_answer() {
    let f = Fixture::new();
    let look = async |key: &str| {
        let call = f.call(key, "a").await;
        f.store.replay(call.key.as_ref().unwrap(), &call.digests.fingerprint).unwrap()
    };
    for number in 0..40 {
        let key = format!("k{number}");
        assert!(look(&key).await.is_none());
        let lease = f.execute(f.call(&key, "a").await).await;
        f.finish(lease, Executed).await;
    }
    assert!(look("k0").await.is_none(), "the writer is the first to look");
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
async fn what_did_not_run_is_one_more_attempt() {
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
async fn a_doubt_holds_until_its_token_is_redeemed() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let settled = f.finish(lease, Unknown).await;
    assert!(settled.doubt.is_some());
    let Claim::InDoubt(doubt) = f.claim(f.call("k", "a").await).await else { panic!() };
    assert_eq!((doubt.execution_id, doubt.attempt), (id, 1));
    let token = doubt.retry_token.unwrap();

    // Redeeming twice counts once, and the next call uses the release up.
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
    // A token settles what it names: nothing ran now, so nothing is in doubt.
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

    // A declared repeat may run, and so may other content.
    let mut repeat = f.call("k4", "a").await;
    repeat.digests.repeat = Some(Digest::of(b"second time"));
    f.finish(f.execute(repeat).await, Executed).await;
    f.finish(f.execute(f.call("k5", "b").await).await, Executed).await;

    // The token under another key runs that execution again, which then holds both keys.
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
async fn the_doubt_guard_looks_also_where_the_calls_own_key_was_refused() {
    let f = Fixture::new();
    // Three keys whose first calls did not run, and one whose tool returned an error.
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
    // A declared repeat and the class `idempotent` may run.
    let mut repeat = f.call("same", "a").await;
    repeat.digests.repeat = Some(Digest::of(b"second time"));
    f.finish(f.execute(repeat).await, NotExecuted).await;
    let mut put = f.call("same", "a").await;
    put.class = EffectClass::Idempotent;
    f.finish(f.execute(put).await, NotExecuted).await;
    // The token runs the doubtful one, under the key of whoever redeems it.
    let Claim::InDoubt(doubt) = f.claim(f.call("same", "a").await).await else { panic!() };
    f.store.redeem(&doubt.retry_token.unwrap()).await.unwrap();
    let lease = f.execute(f.call("same", "a").await).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (id, 2));
    f.finish(lease, Executed).await;
    assert_eq!(replayed(&f.store, f.call("same", "a").await).await.execution_id, id);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn what_ran_by_a_token_under_other_rules_is_found_by_these_rules() {
    let f = Fixture::new();
    let settled = f.finish(f.execute(f.call("k1", "a").await).await, Unknown).await;
    // The content is the same, but the part that counts, and so the key, is not.
    let mut ruled = f.call("k2", "a").await;
    ruled.digests.fingerprint = Digest::of(b"what counts by the new rule");
    let mut redeeming = ruled.clone();
    redeeming.retry_token = settled.doubt.as_ref().unwrap().retry_token.clone();
    let lease = f.execute(redeeming).await;
    assert_eq!((lease.execution_id(), lease.attempt()), (settled.execution_id, 2));
    assert!(matches!(f.claim(ruled.clone()).await, Claim::Busy(_)));
    f.finish(lease, Executed).await;
    assert_eq!(replayed(&f.store, ruled).await.execution_id, settled.execution_id);
}

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
async fn what_may_have_run_is_in_doubt_once_its_rule_is_stricter() {
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
    // Nor does it run again under the rule that it started with.
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
async fn an_attempt_ends_by_the_rule_that_it_went_out_by() {
    let f = Fixture::new();
    for (key, first, second) in [
        ("strict", EffectClass::Idempotent, EffectClass::Once),
        ("lax", EffectClass::Once, EffectClass::Idempotent),
    ] {
        let mut call = f.call(key, key).await;
        call.class = first;
        f.finish(f.execute(call.clone()).await, NotExecuted).await;
        call.class = second;
        // The resumed run has another session: its content differs, its key does not.
        call.digests.content = Digest::of(format!("resumed {key}").as_bytes());
        call.digests.literal = call.digests.content;
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
async fn the_doubt_guard_holds_a_call_whose_rule_names_another_place_of_its_key() {
    let f = Fixture::new();
    let plain = |key: &'static str, input: &'static str| f.call(key, input);
    // As under a rule whose content leaves something out.
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
    // A call with different content is another call, even if it is the same without its key.
    f.execute(plain("k5", "c").await).await;
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_doubt_is_none_the_less_one_where_by_todays_rules_other_fields_count() {
    let f = Fixture::new();
    let mut call = f.call("k", "a").await;
    let settled = f.finish(f.execute(call.clone()).await, Unknown).await;
    call.digests.fingerprint = Digest::of(b"what counts by the new rule");
    let Claim::InDoubt(doubt) = f.claim(call.clone()).await else { panic!() };
    assert_eq!(doubt.execution_id, settled.execution_id);
    call.retry_token = doubt.retry_token;
    assert_eq!(f.execute(call.clone()).await.attempt(), 2);
    call.digests.content = Digest::of(b"other");
    call.digests.fingerprint = Digest::of(b"other");
    assert!(matches!(f.claim(call).await, Claim::Mismatch { .. }));
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
    // Knowledge is the join of the attempts: "not executed" settles nothing about the first.
    assert!(f.finish(lease, NotExecuted).await.doubt.is_some());
    // A different key, a different place and an expired key do not count.
    for (source, hours) in [("client x-key", 12), ("engine x-other", 12), ("engine x-key", 0)] {
        keyed.upstream_key = Some(upstream_key(source, hours));
        assert!(matches!(f.claim(keyed.clone()).await, Claim::InDoubt(_)), "{source} {hours}");
    }
    keyed.upstream_key = None;
    assert!(matches!(f.claim(keyed).await, Claim::InDoubt(_)));
}

#[tokio::test]
async fn a_dropped_lease_leaves_the_outcome_unknown() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let Claim::Busy(waiter) = f.claim(f.call("k", "a").await).await else { panic!() };
    drop(lease);
    assert_eq!(waiter.settled().await.unwrap().outcome, Unknown);
    assert!(matches!(f.claim(f.call("k", "a").await).await, Claim::InDoubt(_)));
}

#[tokio::test]
async fn a_key_is_free_after_its_window() {
    let f = Fixture::new();
    let mut short = f.call("k", "a").await;
    let key = short.key.as_mut().unwrap();
    key.window = Some(std::time::Duration::ZERO);
    let first = f.execute(short.clone()).await;
    let id = first.execution_id();
    assert!(matches!(f.claim(short.clone()).await, Claim::Busy(_)), "a running one holds its key");
    f.finish(first, Executed).await;
    let second = f.execute(short).await;
    assert_ne!(second.execution_id(), id);
    assert_eq!(f.store.reader().execution(id).unwrap().status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn what_runs_when_the_engine_stops_is_in_doubt_at_the_next_start() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let mut put = f.call("p", "b").await;
    put.class = EffectClass::Idempotent;
    let idempotent = f.execute(put).await;
    let put_id = idempotent.execution_id();
    f.store.close().await;
    // As after a kill: nothing records the end of these leases.
    drop((lease, idempotent));
    let f = f.reopen().await;
    let reader = f.store.reader();
    assert_eq!(reader.execution(id).unwrap().status, ExecutionStatus::InDoubt);
    let failed = reader.execution(put_id).unwrap();
    assert_eq!((failed.status, failed.outcome), (ExecutionStatus::Failed, Some(Unknown)));
    assert!(matches!(f.claim(f.call("k", "a").await).await, Claim::InDoubt(_)));
    assert_eq!(f.store.health().in_doubt, 1);
    assert!(reader.verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_start_on_a_full_disk_spends_the_reserve_on_what_ran() {
    let f = Fixture::new();
    let scope = f.scope().await;
    let mut running = Vec::new();
    for n in 0..300 {
        running.push(f.execute(call(scope.clone(), &n.to_string(), &n.to_string())).await);
    }
    f.store.close().await;
    drop(running);
    let Fixture { store, mut options, dir } = f;
    drop(store);
    // No more pages than there are.
    options.max_page_count = Some(1);
    options.reserve_bytes = 4 * 1024 * 1024;
    let f = Fixture { store: Store::open(&options).unwrap(), options, dir };
    assert_eq!(f.store.health().in_doubt, 300);
    assert!(f.store.health().full);
    assert!(matches!(f.store.claim(call(scope, "new", "new")).await, Err(Error::Full)));
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_unknown_and_ends_the_wait_of_its_duplicates() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let Claim::Busy(waiter) = f.claim(f.call("k", "a").await).await else { panic!() };
    let foreign = rusqlite::Connection::open(&f.options.path).unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no'); END";
    foreign.execute_batch(refuse).unwrap();
    let refused = f.store.finish(lease, finish(Executed)).await;
    assert!(matches!(refused, Err(Error::Internal)), "{refused:?}");
    assert_eq!(waiter.settled().await.unwrap().outcome, Unknown);
    assert!(matches!(f.claim(f.call("k", "a").await).await, Claim::InDoubt(_)));
    assert_eq!(f.store.health().in_flight, 0);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_unknown_goal_makes_no_session() {
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

#[tokio::test]
async fn a_key_is_found_over_all_namespaces() {
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
async fn a_full_store_refuses_claims_and_takes_outcomes() {
    let f = Fixture::with(|options| {
        options.max_page_count = Some(120);
        options.reserve_bytes = 256 * 1024;
    });
    let scope = f.scope().await;
    let kept = f.execute(call(scope.clone(), "kept", "kept")).await;
    let big = "x".repeat(16 * 1024);
    let mut refused = None;
    for n in 0..200 {
        match f.store.claim(call(scope.clone(), &format!("k{n}"), &format!("i{n}"))).await {
            Ok(Claim::Execute(lease)) => {
                let mut finish = finish(Executed);
                finish.answer = Some(answer(&big));
                f.store.finish(lease, finish).await.unwrap();
            }
            Err(error) => {
                refused = Some(error);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(refused, Some(Error::Full)), "{refused:?}");
    assert!(!f.store.health().ready);
    f.finish(kept, Executed).await;
    let f = f.reopen().await;
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
    replayed(&f.store, call(scope, "kept", "kept")).await;
}

#[tokio::test]
async fn what_left_a_call_in_doubt_is_never_replayed_after_a_verdict() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let mut broken = finish(Unknown);
    broken.answer = Some(answer("a half"));
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

#[tokio::test]
async fn a_group_that_meets_a_full_store_loses_no_job_and_runs_none_twice() {
    let f = Fixture::with(|options| {
        options.max_page_count = Some(120);
        options.reserve_bytes = 4 * 1024 * 1024;
    });
    let scope = f.scope().await;
    let mut granted = 0;
    let mut refused = 0;
    for round in 0..20 {
        let claims = (0..50).map(|n| {
            let mut call = call(scope.clone(), &format!("{round}/{n}"), &format!("{round}/{n}"));
            call.input = store::model::Json::of(&"x".repeat(2_000));
            f.store.claim(call)
        });
        for claim in join_all(claims).await {
            match claim {
                Ok(Claim::Execute(lease)) => {
                    granted += 1;
                    f.finish(lease, Executed).await;
                }
                Err(Error::Full) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(granted > 0 && refused > 0, "{granted} granted, {refused} refused");
    let report = f.store.reader().verify(None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.executions, granted, "each granted claim is one row, each refused one none");
}

#[tokio::test]
async fn while_a_foreign_program_writes_claims_are_refused_and_outcomes_wait() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let refused = f.call("l", "b").await;
    let foreign = rusqlite::Connection::open(&f.options.path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = f.store.clone();
    let finishing = tokio::spawn(async move { store.finish(lease, finish(Executed)).await });
    let claim = f.store.claim(refused).await;
    assert!(matches!(claim, Err(Error::Busy)), "{claim:?}");
    assert!(!finishing.is_finished(), "an outcome is reported only once it is on disk");
    foreign.execute_batch("ROLLBACK").unwrap();
    assert_eq!(finishing.await.unwrap().unwrap().outcome, Executed);
    replayed(&f.store, f.call("k", "a").await).await;
}
