//! Event streams: of a call, and of a session.

use serde_json::json;
use testkit::{Client, Gate, Request, Upstream, engine};

use super::{EVENTS, call, event, only_execution, result, text_of};

#[test]
fn the_event_with_the_response_is_held_back_until_it_is_on_disk_and_no_longer() {
    let gate = Gate::new();
    let gate_of_tool = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        exchange.chunk(event(&json!({"jsonrpc": "2.0", "method": "notifications/message"})));
        exchange.chunk(event(&result(request, "done")));
        // The stream goes on. The call does not wait for its end.
        gate_of_tool.wait();
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(call(&upstream, 1, "send").to_proxy()).unwrap();
    let head = client.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("done") {
        seen.extend(client.wire.read_piece(&mut framing).unwrap().expect("the stream goes on"));
    }
    assert_eq!(only_execution(&engine)["status"], "completed", "committed before it was passed");
    let engine = engine.kill_and_restart();
    engine.send(&call(&upstream, 2, "send")).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
    gate.open();
}

/// 2025-11-25: the server ends the call's stream, and sends the response when the client resumes it.
#[test]
fn a_response_on_the_sessions_other_stream_completes_the_call() {
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        if request.method() == "POST" {
            exchange.chunk("id: 1\nretry: 10\ndata: \n\n");
            exchange.end_chunked(&[]);
            return;
        }
        let response = json!({"jsonrpc": "2.0", "id": 1,
                              "result": {"content": [{"type": "text", "text": "late"}]}});
        exchange.chunk(format!("id: 2\n{}", event(&response)));
        exchange.stall();
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    assert!(first.whole && first.text() == "id: 1\nretry: 10\ndata: \n\n", "{first:?}");
    assert_eq!(only_execution(&engine)["status"], "running");
    let get = |session: &str| {
        let mut client = Client::connect(engine.proxy).unwrap();
        let request = Request::get(&upstream.url("/mcp"))
            .header("Accept", "text/event-stream")
            .header("Last-Event-ID", "1")
            .header("Mcp-Session-Id", session);
        client.write(request.to_proxy()).unwrap();
        let head = client.head().unwrap();
        let mut framing = Client::framing(&head, "GET");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\n\n") {
            seen.extend(client.wire.read_piece(&mut framing).unwrap().expect("it goes on"));
        }
        String::from_utf8(seen).unwrap()
    };
    assert!(get("another-session").contains("late"), "it passes");
    assert_eq!(only_execution(&engine)["status"], "running", "and is somebody else's");
    assert!(get("session-of-1").starts_with("id: 2\nevent: message\n"));
    assert_eq!(only_execution(&engine)["status"], "completed", "on disk before it was passed");
    let again = engine.send(&call(&upstream, 7, "send"));
    again.assert_is(200, "replayed");
    assert_eq!((&again.json()["id"], text_of(&again).as_str()), (&json!(7), "late"));
}

/// An open stream does not delay the shutdown.
#[test]
fn an_open_session_stream_ends_with_the_engine() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        exchange.chunk(": open\n\n");
        exchange.stall();
    });
    let engine = engine!().env("STATE_ENGINE_DRAIN", "600s").start();
    let mut client = Client::connect(engine.proxy).unwrap();
    let request = Request::get(&upstream.url("/mcp"))
        .header("Accept", "text/event-stream")
        .header("Mcp-Session-Id", "s");
    client.write(request.to_proxy()).unwrap();
    let head = client.head().unwrap();
    assert_eq!(head.get("idempotency-status"), None);
    engine.terminate();
    let (status, _) = engine.wait();
    assert!(status.success(), "{status}");
}
