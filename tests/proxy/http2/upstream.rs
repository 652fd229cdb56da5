//! HTTP/2 to the upstream: what the end of a stream proves.

use testkit::{TestCa, all_at_once, engine_with_failpoints};

use super::frames::{
    Act, CANCEL, HTTP_1_1_REQUIRED, Http2, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM,
};
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
fn a_refused_stream_is_sent_again_and_not_forever() {
    let ca = TestCa::new();
    for acts in [
        &[Act::Reset(REFUSED_STREAM)] as &'static [Act],
        &[Act::GoAwayBefore],
        &[Act::Reset(REFUSED_STREAM), Act::GoAwayBefore],
        &[Act::GoAwayFor(INTERNAL_ERROR)],
    ] {
        let upstream = Http2::start(&ca, acts);
        let engine = intercepting(&ca);
        let answer = post(&engine, &upstream, "x");
        answer.assert_is(200, "executed");
        assert_eq!(answer.parameter("attempt"), Some("1"), "{acts:?}: {answer:?}");
        assert_eq!(upstream.executed(), ["x"], "{acts:?}");
    }
    let upstream = Http2::start(&ca, &[Act::Reset(REFUSED_STREAM); 3]);
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
fn a_refused_read_is_sent_again_too() {
    let ca = TestCa::new();
    for acts in [&[Act::Reset(REFUSED_STREAM)] as &'static [Act], &[Act::GoAwayBefore]] {
        let upstream = Http2::start(&ca, acts);
        let engine = intercepting(&ca);
        let got = tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&upstream.url("/")));
        assert_eq!(got.status, 200, "{acts:?}");
    }
}

#[test]
fn a_tool_that_requires_http1_gets_it() {
    let ca = TestCa::new();
    for acts in [
        &[Act::Reset(HTTP_1_1_REQUIRED)] as &'static [Act],
        &[Act::GoAwayFor(HTTP_1_1_REQUIRED)],
        &[Act::Answer, Act::Reset(HTTP_1_1_REQUIRED)],
    ] {
        let by_http1 = testkit::Upstream::echo();
        let upstream = Http2::beside(Some(by_http1.addr), &ca, acts);
        let engine = intercepting(&ca);
        for body in ["a", "b", "c"] {
            post(&engine, &upstream, body).assert_is(200, "executed");
        }
        assert_eq!(by_http1.hits() + upstream.executed().len(), 3, "{acts:?}");
        assert_eq!(upstream.begun(), acts.len(), "it is remembered: {acts:?}");
    }
}

#[test]
fn a_stream_after_the_last_one_was_not_executed_and_is_sent_elsewhere() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[Act::Answer, Act::GoAwayBefore]);
    let engine = intercepting(&ca);
    let got = tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&upstream.url("/")));
    assert_eq!(got.status, 200);
    post(&engine, &upstream, "x").assert_is(200, "executed");
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
