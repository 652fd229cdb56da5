//! A group of jobs of which one refuses after it has written.

use std::sync::mpsc;

use crate::model::NewUser;
use crate::sqlite::entities;
use crate::{Error, Options, Store};

fn user(name: &str) -> NewUser {
    NewUser { username: name.to_owned(), display_name: None, email: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_a_write_undoes_that_job_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Options::new(folder.path().join("state.db"))).unwrap();
    let (begun, begins) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let writing = store.clone();
    // Holds the writer, so that the next three jobs are one group.
    let first = tokio::spawn(async move {
        writing
            .write(move |_| {
                let _ = (begun.send(()), gate.recv());
                Ok(())
            })
            .await
    });
    begins.recv().unwrap();
    let refused = store.write(|write| {
        entities::create_user(write, &user("undone"))?;
        Err::<(), _>(Error::Conflict("after a write".to_owned()).into())
    });
    let group = async {
        tokio::join!(store.create_user(user("before")), refused, store.create_user(user("after")),)
    };
    let open = async { go.send(()).unwrap() };
    let ((before, refused, after), ()) = tokio::join!(group, open);
    first.await.unwrap().unwrap();

    assert_eq!(before.unwrap().username, "before");
    assert!(matches!(refused, Err(Error::Conflict(why)) if why == "after a write"));
    assert_eq!(after.unwrap().username, "after");
    assert!(matches!(store.reader().user_by_name("undone"), Err(Error::NotFound { .. })));
    assert!(store.reader().verify(None).unwrap().findings.is_empty());
    store.close().await;
}
