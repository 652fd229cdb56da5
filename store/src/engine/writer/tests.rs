//! Groups of jobs in which one refuses, finds no space, or is the last one.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::join_all;
use store_core::Error;
use store_core::call::{
    Answer, AnswerBody, Call, CallDigests, CallKey, Finish, Scope, ScopeRequest, Undelivered,
};
use store_core::key::{Digest, HolderKey};
use store_core::model::{EffectClass, EventKind, ExecutionStatus, Json, NewUser, Timestamp, User};
use store_core::state::Knowledge::{self, Executed, NotExecuted};

use crate::call::Claim;
use crate::clock::{Clock, SystemClock};
use crate::lease::{self, Lease};
use crate::options::Options;
use crate::sqlite::entities;
use crate::sqlite::transaction::Transaction;
use crate::store::Store;

fn user(name: &str) -> NewUser {
    NewUser { username: name.to_owned(), display_name: None, email: None }
}

fn options(folder: &Path) -> Options {
    Options::new(folder.join("state.db"))
}

/// Holds the writer until the sender is used or dropped: what comes before that is one group.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let writing = store.clone();
    let work = move |_: &mut Transaction<'_>| {
        let _ = (begun.send(()), gate.recv());
        Ok(())
    };
    tokio::spawn(async move { writing.write(work).await });
    begins.recv().unwrap();
    go
}

/// A job that refuses after it has written: the group is rolled back, and each job is run again.
async fn refuse(store: &Store, name: &str) -> Result<(), Error> {
    let new = user(name);
    let work = move |tx: &mut Transaction<'_>| {
        entities::create_user(tx, &new)?;
        Err(Error::Conflict("after a write".to_owned()).into())
    };
    store.write(work).await
}

fn call(scope: &Scope, key: &str, input: &str) -> Call {
    Call {
        key: Some(CallKey {
            holder: HolderKey::new(scope.user_id, b"test", key),
            text: key.to_owned(),
            explicit: true,
            window: None,
        }),
        scope: scope.clone(),
        tool_name: "POST tool.test".to_owned(),
        input: Json::of(input),
        class: EffectClass::Once,
        digests: CallDigests {
            fingerprint: Digest::of(key.as_bytes()),
            legacy: Digest::of(key.as_bytes()),
            content: Digest::of(key.as_bytes()),
            ruled: Digest::of(key.as_bytes()),
            literal: Digest::of(key.as_bytes()),
            requests: [Digest::of(b"request"); 3],
            principal: Digest::of(b"nobody"),
            repeat: None,
        },
        run: None,
        upstream_key: None,
        retry_token: None,
        undelivered: Undelivered::Replay,
        rule: "default".to_owned(),
    }
}

async fn granted(store: &Store, call: Call) -> Lease {
    match store.claim(call).await.unwrap() {
        Claim::Execute(lease) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

fn report(outcome: Knowledge, body: Vec<u8>) -> Finish {
    let answer = Answer {
        status: 200,
        headers: Vec::new(),
        omitted_cookies: false,
        body: AnswerBody::Kept(body.into()),
        trailers: Vec::new(),
        received_at: Timestamp::from_micros(1),
    };
    Finish { outcome, answer: Some(answer), ..lease::unknown("", "answered") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_a_write_undoes_that_job_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&options(folder.path())).unwrap();
    let go = hold(&store);
    let group = async {
        tokio::join!(
            store.create_user(user("before")),
            refuse(&store, "undone"),
            store.create_user(user("after")),
        )
    };
    let ((before, refused, after), ()) = tokio::join!(group, async { drop(go) });

    let name = |user: Result<User, Error>| user.unwrap().username;
    assert_eq!((name(before), name(after)), ("before".to_owned(), "after".to_owned()));
    assert!(matches!(refused, Err(Error::Conflict(why)) if why == "after a write"));
    assert!(matches!(store.reader().user_by_name("undone"), Err(Error::NotFound { .. })));
    assert!(store.reader().verify(None).unwrap().findings.is_empty());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_rolled_back_says_nothing_about_the_one_that_was_granted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&options(folder.path())).unwrap();
    let scope = store.scope(&ScopeRequest::default()).await.unwrap();
    let first = granted(&store, call(&scope, "k", "x")).await;
    store.finish(first, report(NotExecuted, Vec::new())).await.unwrap();

    let go = hold(&store);
    let group =
        async { tokio::join!(granted(&store, call(&scope, "k", "x")), refuse(&store, "u")) };
    let ((second, refused), ()) = tokio::join!(group, async { drop(go) });
    assert!(matches!(refused, Err(Error::Conflict(_))));
    assert_eq!(second.attempt(), 2);
    // The writer takes jobs in their order: what the group left behind is done.
    store.create_user(user("behind")).await.unwrap();
    let id = second.execution_id();
    assert_eq!(store.reader().execution(id).unwrap().status, ExecutionStatus::Running);
    let settled = store.finish(second, report(Executed, b"done".to_vec())).await.unwrap();
    assert_eq!(settled.outcome, Executed);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_of_an_attempt_does_not_get_the_outcome_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&options(folder.path())).unwrap();
    let scope = store.scope(&ScopeRequest::default()).await.unwrap();
    let first = granted(&store, call(&scope, "k", "x")).await;

    let go = hold(&store);
    let group = async {
        tokio::join!(
            store.finish(first, report(NotExecuted, Vec::new())),
            granted(&store, call(&scope, "k", "x")),
            store.claim(call(&scope, "k", "x")),
        )
    };
    let ((ended, second, waits), ()) = tokio::join!(group, async { drop(go) });
    assert_eq!((ended.unwrap().outcome, second.attempt()), (NotExecuted, 2));
    let Ok(Claim::Busy(waiter)) = waits else { panic!("{waits:?}") };
    let finish = store.finish(second, report(Executed, b"done".to_vec()));
    let (received, ended) = tokio::join!(waiter.settled(), finish);
    let received = received.map(|settled| (settled.attempt, settled.outcome));
    assert_eq!(received, Some((2, ended.unwrap().outcome)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_queued_when_the_disk_became_full_take_nothing_of_the_reserve() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        max_page_count: Some(200),
        reserve_bytes: 8 * 1024 * 1024,
        ..options(folder.path())
    };
    let store = Store::open(&options).unwrap();
    let scope = store.scope(&ScopeRequest::default()).await.unwrap();
    let big = "x".repeat(20_000);
    let go = hold(&store);
    let claims = join_all((0..100).map(|n| store.claim(call(&scope, &n.to_string(), &big))));
    let (claims, ()) = tokio::join!(claims, async { drop(go) });
    let refused: Vec<bool> = claims.iter().map(|claim| matches!(claim, Err(Error::Full))).collect();
    let first = refused.iter().position(|refused| *refused).unwrap();
    assert!(first > 0 && refused[first..].iter().all(|refused| *refused), "{refused:?}");
    assert!(claims[..first].iter().all(Result::is_ok), "{claims:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_outcomes_are_written_before_the_writer_stops() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        max_page_count: Some(120),
        reserve_bytes: 4 * 1024 * 1024,
        ..options(folder.path())
    };
    let store = Store::open(&options).unwrap();
    let scope = store.scope(&ScopeRequest::default()).await.unwrap();
    let lease = granted(&store, call(&scope, "k", "x")).await;
    let go = hold(&store);
    let finish = store.finish(lease, report(Executed, vec![b'x'; 1024 * 1024]));
    let (settled, (), ()) = tokio::join!(finish, store.close(), async { drop(go) });
    assert_eq!(settled.unwrap().outcome, Executed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_what_can_be_repeated_and_no_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { max_queue: 1, ..options(folder.path()) };
    let store = Store::open(&options).unwrap();
    let scope = store.scope(&ScopeRequest::default()).await.unwrap();
    let lease = granted(&store, call(&scope, "k", "x")).await;
    let go = hold(&store);
    let group = async {
        tokio::join!(
            store.create_user(user("queued")),
            store.claim(call(&scope, "l", "x")),
            store.create_user(user("refused")),
            store.finish(lease, report(Executed, Vec::new())),
        )
    };
    let ((queued, claim, refused, settled), ()) = tokio::join!(group, async { drop(go) });
    assert!(queued.is_ok());
    assert!(matches!(claim, Err(Error::Busy)), "{claim:?}");
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    assert_eq!(settled.unwrap().outcome, Executed);
    store.create_user(user("refused")).await.unwrap();
    store.close().await;
}

/// The machine's clocks, the wall clock ahead by so many seconds.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }

    fn since_boot(&self) -> Duration {
        SystemClock.since_boot()
    }

    fn boot_id(&self) -> Option<String> {
        SystemClock.boot_id()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_of_the_clock_is_logged_even_if_the_first_job_to_see_it_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Ahead::default());
    let store = Store::open_at(&options(folder.path()), clock.clone()).unwrap();
    store.create_user(user("before")).await.unwrap();
    clock.0.store(2 * 3_600, Ordering::Relaxed);
    assert!(matches!(refuse(&store, "undone").await, Err(Error::Conflict(_))));
    store.create_user(user("after")).await.unwrap();
    store.create_user(user("later")).await.unwrap();
    let events = store.reader().events(None, None, None, 100).unwrap();
    let jumps: Vec<_> = events.iter().filter(|event| event.kind == EventKind::ClockJump).collect();
    assert_eq!(jumps.len(), 1, "{events:?}");
    assert!(store.health().clock_jumped);
    assert!(store.reader().verify(None).unwrap().findings.is_empty());
    store.close().await;
}
