//! What becomes of a group of jobs of which one refuses after it has written.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::call::{Answer, AnswerBody, Call, CallKey, Claim, Finish, Scope, ScopeRequest};
use crate::key::{Digest, HolderKey};
use crate::model::{EffectClass, ExecutionStatus, Json, NewUser, Timestamp, User};
use crate::sqlite::entities;
use crate::state::Knowledge::{self, Executed, NotExecuted};
use crate::{Error, Lease, Options, Store, lease};

fn user(name: &str) -> NewUser {
    NewUser { username: name.to_owned(), display_name: None, email: None }
}

fn options(folder: &Path) -> Options {
    Options::new(folder.join("state.db"))
}

/// Holds the writer until the sender is used or dropped: what comes before that is one group.
async fn hold(store: &Store) -> mpsc::Sender<()> {
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let writing = store.clone();
    let work = move |_: &mut super::Write<'_>| {
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
    let work = move |write: &mut super::Write<'_>| {
        entities::create_user(write, &new)?;
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
        fingerprint: Digest::of(key.as_bytes()),
        content: Digest::of(key.as_bytes()),
        principal: Digest::of(b"nobody"),
        run: None,
        repeat: None,
        upstream_key_lifetime: Duration::ZERO,
        retry_token: None,
        rule: "default".to_owned(),
    }
}

async fn granted(store: &Store, call: Call) -> Lease {
    match store.claim(call).await.unwrap() {
        Claim::Execute(lease) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

fn told(outcome: Knowledge, body: Vec<u8>) -> Finish {
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
    let go = hold(&store).await;
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
    store.finish(first, told(NotExecuted, Vec::new())).await.unwrap();

    let go = hold(&store).await;
    let group =
        async { tokio::join!(granted(&store, call(&scope, "k", "x")), refuse(&store, "u")) };
    let ((second, refused), ()) = tokio::join!(group, async { drop(go) });
    assert!(matches!(refused, Err(Error::Conflict(_))));
    assert_eq!(second.attempt(), 2);
    // The writer takes jobs in their order: what the group left behind is done.
    store.create_user(user("behind")).await.unwrap();
    let id = second.execution_id();
    assert_eq!(store.reader().execution(id).unwrap().status, ExecutionStatus::Running);
    let settled = store.finish(second, told(Executed, b"done".to_vec())).await.unwrap();
    assert_eq!(settled.outcome, Executed);
    store.close().await;
}
