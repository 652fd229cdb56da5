//! Rules about streams: answers, requests, and clients that leave them.

use std::time::Duration;

use testkit::{Client, Gate, Request, Upstream, wait_until};

use super::configured;

#[test]
fn a_rule_says_that_an_answer_streams() {
    let gate = Gate::new();
    let shut = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/plain")]);
        exchange.chunk("first ");
        shut.wait();
        exchange.chunk("second");
        exchange.end_chunked(&[]);
    });
    let engine = configured(&upstream, "[[rule]]\nstream = true\n").start();
    let request = Request::post(&upstream.url("/"), "x");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    let head = client.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    // The event arrives although the answer has not ended.
    let first = client.wire.read_piece(&mut framing).unwrap().unwrap();
    assert_eq!(first, b"first ");
    gate.open();
    let (rest, whole) = client.wire.read_rest(framing);
    assert!(whole);
    assert_eq!(rest, b"second");
    let again = engine.send(&request);
    again.assert_is(200, "replayed");
    assert_eq!(again.text(), "first second");
}

#[test]
fn a_rule_says_that_an_answer_does_not_stream() {
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
        exchange.chunk("data: one\n\n");
        if request.target().ends_with("/cut") {
            exchange.close();
        } else {
            exchange.chunk("data: two\n\n");
            exchange.end_chunked(&[]);
        }
    });
    let rules = "[[rule]]\npath = \"/held/**\"\nstream = false\n";
    let engine = configured(&upstream, rules).start();
    // No part of a held answer is sent before all of it has arrived: a cut answer becomes a problem.
    engine.post(&upstream.url("/held/cut"), "a").assert_problem(502, "upstream-failed");
    let whole = engine.post(&upstream.url("/held/whole"), "a");
    whole.assert_is(200, "executed");
    assert_eq!(whole.text(), "data: one\n\ndata: two\n\n");
    engine.post(&upstream.url("/held/whole"), "a").assert_is(200, "replayed");

    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::post(&upstream.url("/usual/cut"), "a").to_proxy()).unwrap();
    let head = client.head().unwrap();
    assert!(head.line.contains(" 200 "), "{head:?}");
    let framing = Client::framing(&head, "POST");
    assert_eq!(client.wire.read_rest(framing), (b"data: one\n\n".to_vec(), false));
}

#[test]
fn a_request_that_streams_passes_unguarded_and_its_answer_says_so() {
    let upstream = Upstream::start(|request, exchange| exchange.answer(200, &[], &request.body));
    let rules = "[[rule]]\nname = \"upload\"\npath = \"/upload\"\nstream_request = true\n";
    let engine = configured(&upstream, rules).start();
    for _ in 0..2 {
        let answer = engine.post(&upstream.url("/upload"), "a");
        answer.assert_is(200, "bypassed");
        assert_eq!(answer.parameter("reason"), Some("stream_request"));
    }
    assert_eq!(upstream.hits(), 2);
    assert!(engine.proxied().is_empty());
}

#[test]
fn a_client_that_leaves_cancels_only_if_a_rule_says_so() {
    let (cancelled, gate) = (Gate::new(), Gate::new());
    let (seen, shut) = (cancelled.clone(), gate.clone());
    let upstream = Upstream::start(move |request, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
        exchange.chunk("data: one\n\n");
        if request.target() == "/cancelled" {
            while matches!(exchange.peer_is_there(), Ok(true)) {
                exchange.chunk("data: more\n\n");
                std::thread::sleep(Duration::from_millis(5));
            }
            seen.open();
        } else {
            shut.wait();
            exchange.end_chunked(&[]);
        }
    });
    let rules = "[[rule]]\npath = \"/cancelled\"\npropagate_cancel = true\n";
    let engine = configured(&upstream, rules).start();
    for path in ["/cancelled", "/usual"] {
        let request = Request::post(&upstream.url(path), "x");
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(request.to_proxy()).unwrap();
        let head = client.head().unwrap();
        let mut framing = Client::framing(&head, "POST");
        client.wire.read_piece(&mut framing).unwrap().unwrap();
    }
    cancelled.wait();
    let status = |n: usize| engine.proxied()[n]["status"].as_str().unwrap().to_owned();
    wait_until("the cancelled call is in doubt", || (status(0) == "in_doubt").then_some(()));
    assert_eq!(status(1), "running");
    gate.open();
    wait_until("the other one ends", || (status(1) == "completed").then_some(()));
}

#[test]
fn a_client_that_leaves_an_mcp_tool_call_cancels_it_if_a_rule_says_so() {
    let cancelled = Gate::new();
    let seen = cancelled.clone();
    let upstream = Upstream::start(move |_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
        while matches!(exchange.peer_is_there(), Ok(true)) {
            exchange.chunk("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n");
            std::thread::sleep(Duration::from_millis(5));
        }
        seen.open();
    });
    let rules = "[[rule]]\nmcp_tool = \"send\"\npropagate_cancel = true\n";
    let engine = configured(&upstream, rules).start();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send"}}"#;
    let request = Request::post_json(&upstream.url("/mcp"), call)
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    let head = client.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    client.wire.read_piece(&mut framing).unwrap().unwrap();
    drop(client);
    cancelled.wait();
    wait_until("the call is in doubt", || {
        (engine.proxied()[0]["status"] == "in_doubt").then_some(())
    });
}
