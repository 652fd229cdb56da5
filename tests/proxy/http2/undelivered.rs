//! Answers that did not arrive over HTTP/2: a stream that the client resets, a connection that breaks.

use testkit::{Ending, Gate, TestCa, Upstream, block_on, wait_until};

use super::client::{call, http2, send, word};
use super::frames::CANCEL;
use super::{echo, intercepting};

#[test]
fn a_stream_that_the_client_resets_has_not_delivered() {
    let ca = TestCa::new();
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        held.wait();
        exchange.answer(200, &[], b"done");
    });
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/pay", secured.port());
    block_on(async {
        let sender = http2(&engine, secured).await;
        let request = |key: &str| call(&url).header("idempotency-key", key).body(()).unwrap();
        let mut first = sender.clone().ready().await.unwrap();
        let (answer, mut stream) = first.send_request(request("k1"), false).unwrap();
        stream.send_data("5 EUR".into(), true).unwrap();
        upstream.wait_for_hits(1);
        stream.send_reset(CANCEL.into());
        assert!(answer.await.is_err());
        // Frames stay in order. The call still runs: its retry, on the same connection, waits for it.
        let retry = {
            let (sender, request) = (sender.clone(), request("k2"));
            tokio::spawn(async move { send(&sender, request, "5 EUR").await })
        };
        tokio::task::block_in_place(|| {
            wait_until("the retry waits", || {
                (engine.metric("state_engine_duplicates_waiting", &[]) >= 1.0).then_some(())
            });
        });
        gate.open();
        let (status, headers, text) = retry.await.unwrap();
        assert_eq!((status.as_u16(), word(&headers), &*text), (200, "coalesced", "done"));
        // That answer arrived.
        let (_, headers, _) = send(&sender, request("k3"), "5 EUR").await;
        assert_eq!(word(&headers), "executed");
    });
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn answers_that_the_client_took_have_arrived() {
    let ca = TestCa::new();
    let (upstream, secured) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/pay", secured.port());
    block_on(async {
        let request = |key: String| call(&url).header("idempotency-key", key).body(()).unwrap();
        // On one connection, on the next one while the first is idle, and after it was closed.
        let first = http2(&engine, secured).await;
        for n in 0..5 {
            let (_, headers, _) = send(&first, request(format!("one-{n}")), "5 EUR").await;
            assert_eq!(word(&headers), "executed", "{n}");
        }
        let mut kept = Vec::new();
        for n in 0..5 {
            let another = http2(&engine, secured).await;
            let (_, headers, _) = send(&another, request(format!("each-{n}")), "5 EUR").await;
            assert_eq!(word(&headers), "executed", "{n}");
            if n % 2 == 0 {
                kept.push(another);
            }
        }
    });
    assert_eq!(upstream.hits(), 10);
}
