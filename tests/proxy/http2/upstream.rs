//! HTTP/2 to the upstream: what the end of a stream proves.

use testkit::{TestCa, all_at_once, engine_with_failpoints};

use super::frames::{Act, CANCEL, Http2, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM};
use super::{echo, intercepting, post, tunnel};

#[test]
fn one_connection_carries_many_calls() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[]);
    let engine = intercepting(&ca);
    assert_eq!(post(&engine, &upstream, "first").text(), "first");
    let answers = all_at_once(16, |n| {
        let url = upstream.url(&format!("/{n}"));
        tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&url)).status
    });
    assert_eq!(answers, [200; 16]);
    assert_eq!(upstream.begun(), 17);
    assert_eq!(upstream.connections(), 1);
    post(&engine, &upstream, "first").assert_is(200, "replayed");
    assert_eq!(upstream.begun(), 17);
}

#[test]
fn a_refused_stream_was_not_executed() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[Act::Reset(REFUSED_STREAM)]);
    let engine = intercepting(&ca);
    let refused = post(&engine, &upstream, "x");
    refused.assert_problem(502, "upstream-failed");
    assert_eq!(refused.json()["sent"], "never");
    let answer = post(&engine, &upstream, "x");
    answer.assert_is(200, "executed");
    assert_eq!(answer.parameter("attempt"), Some("2"));
    assert_eq!(upstream.executed(), ["x"]);
}

#[test]
fn a_stream_after_the_last_one_was_not_executed_and_is_sent_elsewhere() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[Act::Answer, Act::GoAwayBefore]);
    let engine = intercepting(&ca);
    let got = tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&upstream.url("/")));
    assert_eq!(got.status, 200);
    // The engine uses the kept connection, or a new one if the kept one is too old. Either way there is
    // one effect and a proper answer.
    let answer = post(&engine, &upstream, "x");
    if upstream.begun() == 3 {
        answer.assert_is(200, "executed");
    } else {
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "never");
        post(&engine, &upstream, "x").assert_is(200, "executed");
    }
    assert_eq!(upstream.executed(), ["", "x"]);
}

#[test]
fn anything_else_that_happens_to_a_stream_leaves_it_in_doubt() {
    let ca = TestCa::new();
    for act in [
        &[Act::Reset(CANCEL)] as &'static [Act],
        &[Act::Reset(INTERNAL_ERROR)],
        &[Act::Half(INTERNAL_ERROR)],
        // hyper treats this as a clean end.
        &[Act::Half(NO_ERROR)],
        &[Act::GoAwayBehind],
        &[Act::Drop],
    ] {
        let upstream = Http2::start(&ca, act);
        let engine = intercepting(&ca);
        let answer = post(&engine, &upstream, "x");
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "maybe", "{act:?}");
        post(&engine, &upstream, "x").assert_problem(424, "in-doubt");
        assert_eq!(upstream.begun(), 1, "{act:?}");
    }
}

#[test]
fn a_read_that_breaks_off_does_not_end_cleanly() {
    let ca = TestCa::new();
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let acts: &'static [Act] =
            if code == NO_ERROR { &[Act::Half(NO_ERROR)] } else { &[Act::Half(INTERNAL_ERROR)] };
        let upstream = Http2::start(&ca, acts);
        let engine = intercepting(&ca);
        let mut client = tunnel(&engine, upstream.addr);
        client.write(testkit::Request::get(&upstream.url("/")).to_origin()).unwrap();
        let whole = client.answer("GET").is_ok_and(|answer| answer.whole);
        assert!(!whole, "{code}");
    }
}

#[test]
fn a_call_is_in_doubt_after_a_kill_over_either_version() {
    let ca = TestCa::new();
    let (by_http1, behind_tls) = echo(&ca);
    let by_http2 = Http2::start(&ca, &[]);
    for to in [behind_tls, by_http2.addr] {
        let builder = engine_with_failpoints!().arg("--intercept").arg("localhost");
        let builder = builder.arg("--upstream-ca").arg(ca.file());
        let engine = builder.clone().env("STATE_ENGINE_FAILPOINT", "after-send:1").start();
        let call = testkit::Request::post(&format!("https://localhost:{}/", to.port()), "x");
        let mut client = tunnel(&engine, to);
        client.write(call.to_origin()).unwrap();
        assert!(client.answer("POST").is_err(), "no answer arrives");
        let (status, _) = engine.wait();
        assert!(!status.success(), "it was to be killed: {status}");
        let engine = builder.start();
        tunnel(&engine, to).ask(&call).assert_problem(424, "in-doubt");
    }
    assert!(by_http1.hits() <= 1 && by_http2.begun() <= 1, "one effect at most");
}
