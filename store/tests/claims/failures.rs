//! What a lost lease, a restart, a full disk and a foreign writer leave.

use futures_util::future::join_all;
use store::call::Claim;
use store::model::{EffectClass, ExecutionStatus};
use store::state::Knowledge::{Executed, Unknown};
use store::{Error, Store};

use crate::replayed;
use crate::support::{Fixture, answer, call, finish};

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
async fn a_call_that_runs_when_the_engine_stops_is_in_doubt_after_the_restart() {
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let id = lease.execution_id();
    let mut put = f.call("p", "b").await;
    put.class = EffectClass::Idempotent;
    let idempotent = f.execute(put).await;
    let put_id = idempotent.execution_id();
    f.store.close().await;
    // As after a kill: nothing records that these leases ended.
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
async fn a_start_on_a_full_disk_spends_the_reserve_on_the_calls_that_ran() {
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
    // The database must not grow by a page.
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
    let finished = f.store.finish(lease, finish(Executed)).await;
    assert!(matches!(finished, Err(Error::Internal)), "{finished:?}");
    assert_eq!(waiter.settled().await.unwrap().outcome, Unknown);
    assert!(matches!(f.claim(f.call("k", "a").await).await, Claim::InDoubt(_)));
    assert_eq!(f.store.health().in_flight, 0);
    assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_full_store_refuses_claims_and_records_outcomes() {
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
