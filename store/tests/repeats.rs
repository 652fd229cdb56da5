//! Rules with `repeat = "delivered"`: which of several identical calls a request means; and a database
//! of a version without them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::call::Claim;
use store::key::HolderKey;
use store::state::Knowledge;
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use store::{Delivery, Repeat};
use support::{Fixture, call};
use uuid::Uuid;

fn holder(ordinal: u32) -> HolderKey {
    HolderKey::new(Uuid::nil(), b"test", &format!("k.{ordinal}"))
}

fn repeat(run: &str) -> Repeat {
    Repeat { first: holder(1), run: Some(run.to_owned()) }
}

/// Makes the call as `run`, and returns the ordinal it got. A call that executes has this outcome.
async fn claim_ordinal(f: &Fixture, run: &str, outcome: Knowledge) -> u32 {
    let ordinal = f.store.ordinal(&repeat(run)).await.unwrap();
    let mut call = call(f.scope().await, "k", "x");
    call.key.as_mut().unwrap().holder = holder(ordinal);
    if let Claim::Execute(lease) = f.claim(call).await {
        f.finish(lease, outcome).await;
    }
    ordinal
}

fn deliver(f: &Fixture, run: &str, ordinal: u32) {
    f.store.delivered(Delivery { repeat: repeat(run), ordinal, holder: holder(ordinal) });
}

#[tokio::test]
async fn a_delivered_call_is_followed_by_a_new_one_and_any_other_is_repeated() {
    let f = Fixture::new();
    assert_eq!(claim_ordinal(&f, "a", Executed).await, 1);
    assert_eq!(claim_ordinal(&f, "a", Executed).await, 1, "its answer was not delivered");
    deliver(&f, "a", 1);
    assert_eq!(claim_ordinal(&f, "a", Executed).await, 2);
    deliver(&f, "a", 1);
    assert_eq!(
        claim_ordinal(&f, "a", Executed).await,
        2,
        "the late delivery of an older answer does not count"
    );
    let f = f.reopen().await;
    assert_eq!(claim_ordinal(&f, "a", Executed).await, 2);
}

#[tokio::test]
async fn what_is_not_known_to_have_run_is_never_delivered() {
    let f = Fixture::new();
    for outcome in [NotExecuted, Unknown] {
        assert_eq!(claim_ordinal(&f, "a", outcome).await, 1);
        deliver(&f, "a", 1);
        assert_eq!(claim_ordinal(&f, "a", Unknown).await, 1, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_new_run_is_answered_from_the_record_and_goes_on_from_there() {
    let f = Fixture::new();
    for n in 1..=3 {
        assert_eq!(claim_ordinal(&f, "a", Executed).await, n);
        deliver(&f, "a", n);
    }
    let f = f.reopen().await;
    for n in 1..=2 {
        assert_eq!(claim_ordinal(&f, "b", Executed).await, n);
        deliver(&f, "b", n);
    }
    // The earlier run goes on. When the new one began, its next call did not exist yet.
    assert_eq!(claim_ordinal(&f, "a", Executed).await, 4);
    assert_eq!(claim_ordinal(&f, "b", Executed).await, 3);
    deliver(&f, "b", 3);
    assert_eq!(claim_ordinal(&f, "b", Executed).await, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

/// For any runs: a call whose answer was not delivered is repeated. A run sees the earlier calls
    /// once each, in order, then only its own new calls. No ordinal is skipped.
    #[test]
    fn runs_never_share_a_new_call(steps in prop::collection::vec((0..3_usize, any::<bool>()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let f = Fixture::new();
            let mut seen: BTreeMap<usize, (u32, Vec<u32>, bool)> = BTreeMap::new();
            let (mut created, mut last) = (Vec::new(), 0);
            for (run, arrives) in steps {
                let name = run.to_string();
                let ordinal = claim_ordinal(&f, &name, Executed).await;
                let (known, own, delivered) =
                    seen.entry(run).or_insert_with(|| (last, Vec::new(), true));
                if *delivered {
                    let nth = own.len() as u32 + 1;
                    if nth <= *known {
                        assert_eq!(ordinal, nth);
                    } else if *known == 0 && own.is_empty() {
                        assert_eq!(ordinal, 1);
                        created.push(ordinal);
                    } else {
                        assert!(!created.contains(&ordinal), "another run has {ordinal}");
                        created.push(ordinal);
                    }
                    own.push(ordinal);
                } else {
                    assert_eq!(Some(&ordinal), own.last());
                }
                assert!(ordinal <= last + 1);
                last = last.max(ordinal);
                *delivered = arrives;
                if arrives {
                    deliver(&f, &name, ordinal);
                }
            }
            f.store.close().await;
        });
    }
}

/// Version 2 had no repeats: each of its calls has ordinal 1.
#[tokio::test]
async fn a_database_of_the_version_before_is_migrated() {
    let f = Fixture::new();
    let lease = f.execute(f.call("old", "x").await).await;
    f.finish(lease, Executed).await;
    f.store.close().await;
    let old = rusqlite::Connection::open(&f.options.path).unwrap();
    old.execute_batch(
        "DROP INDEX sessions_unsettled; ALTER TABLE sessions DROP COLUMN unsettled;
         DROP TABLE repeats; DROP INDEX executions_guarding; DROP INDEX executions_guarding_literal; DROP INDEX executions_guarding_ruled;
         ALTER TABLE executions DROP COLUMN guard; ALTER TABLE executions DROP COLUMN ruled;
         ALTER TABLE keys DROP COLUMN fingerprint;
         ALTER TABLE executions DROP COLUMN literal; ALTER TABLE executions DROP COLUMN upstream_key;
         PRAGMA user_version = 2",
    )
    .unwrap();
    drop(old);
    let f = f.reopen().await;
    let first =
        Repeat { first: HolderKey::new(f.scope().await.user_id, b"test", "old"), run: None };
    assert_eq!(f.store.ordinal(&first).await.unwrap(), 1);
    assert!(matches!(f.claim(f.call("old", "x").await).await, Claim::Replay(_)));
}
