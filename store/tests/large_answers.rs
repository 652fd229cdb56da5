//! Answers that are too large to be held in memory: they are read in pieces.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use bytes::Bytes;
use rusqlite::Connection;
use store::call::{Answer, AnswerBody, Claim, Finish, Settled, StoredBody};
use store::state::Knowledge::{Executed, NotExecuted};
use store::{MAX_HELD_BODY, MAX_KEPT_BODY, Store};
use support::{Fixture, answer, finish};

fn large(seed: usize, size: usize) -> Bytes {
    (0..size).map(|at| (((at + seed) * 31) >> 7) as u8).collect()
}

fn answered(body: Bytes) -> Finish {
    let answer = Answer { body: AnswerBody::Kept(body), ..answer("") };
    Finish { answer: Some(answer), ..finish(Executed) }
}

fn stored(settled: &Settled) -> StoredBody {
    match settled.answer.as_ref().unwrap().body {
        AnswerBody::Stored(stored) => stored,
        ref other => panic!("{other:?}"),
    }
}

fn read(store: &Store, body: &StoredBody, piece: usize) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let bytes = store.reader().answer_body(body, whole.len() as u64, piece).unwrap()?;
        whole.extend_from_slice(&bytes);
        if bytes.len() < piece {
            return Some(whole);
        }
    }
}

#[tokio::test]
async fn every_duplicate_of_a_large_answer_reads_it_in_pieces() {
    for size in [MAX_HELD_BODY + 1, 3 << 20, MAX_KEPT_BODY] {
        let f = Fixture::new();
        let body = large(size, size);
        let lease = f.execute(f.call("k", "a").await).await;
        let Claim::Busy(waiter) = f.claim(f.call("k", "a").await).await else { panic!() };
        let settled = f.store.finish(lease, answered(body.clone())).await.unwrap();
        let first = stored(&settled);
        assert_eq!(stored(&waiter.settled().await.unwrap()), first);
        let Claim::Replay(replayed) = f.claim(f.call("k", "a").await).await else { panic!() };
        assert_eq!(stored(&replayed), first);
        for piece in [1000, MAX_HELD_BODY, size, size + 1] {
            if size / piece < 100 {
                assert!(read(&f.store, &first, piece).unwrap() == body, "{size} by {piece}");
            }
        }
        let f = f.reopen().await;
        let call = f.call("k", "a").await;
        let again = f.store.replay(call.key.as_ref().unwrap(), &call.digests).unwrap().unwrap();
        assert!(read(&f.store, &stored(&again), size).unwrap() == body);
        assert!(f.store.reader().verify(None).unwrap().findings.is_empty());
    }
}

#[tokio::test]
async fn a_body_of_the_limit_is_held() {
    let f = Fixture::new();
    let body = large(1, MAX_HELD_BODY);
    let lease = f.execute(f.call("k", "a").await).await;
    let settled = f.store.finish(lease, answered(body.clone())).await.unwrap();
    assert_eq!(settled.answer.as_ref().unwrap().body, AnswerBody::Kept(body.clone()));
    let Claim::Replay(replayed) = f.claim(f.call("k", "a").await).await else { panic!() };
    assert_eq!(replayed.answer.as_ref().unwrap().body, AnswerBody::Kept(body));
}

#[tokio::test]
async fn a_body_that_another_attempt_or_retention_takes_away_is_never_mixed() {
    const SIZE: usize = 1 << 20;
    const HALF: usize = SIZE / 2;
    let f = Fixture::new();
    let lease = f.execute(f.call("k", "a").await).await;
    let refused = Finish { outcome: NotExecuted, ..answered(large(1, SIZE)) };
    let before = stored(&f.store.finish(lease, refused).await.unwrap());
    let half = f.store.reader().answer_body(&before, 0, HALF).unwrap().unwrap();
    assert!(half == large(1, SIZE)[..HALF]);
    let lease = f.execute(f.call("k", "a").await).await;
    let after = stored(&f.store.finish(lease, answered(large(2, SIZE))).await.unwrap());
    assert_eq!(f.store.reader().answer_body(&before, HALF as u64, HALF).unwrap(), None);
    assert!(read(&f.store, &after, SIZE).unwrap() == large(2, SIZE));

    let conn = Connection::open(&f.options.path).unwrap();
    conn.execute_batch("UPDATE answers SET body = NULL").unwrap();
    assert_eq!(f.store.reader().answer_body(&after, 0, HALF).unwrap(), None);
    conn.execute_batch("DELETE FROM answers").unwrap();
    assert_eq!(f.store.reader().answer_body(&after, 0, HALF).unwrap(), None);
}
