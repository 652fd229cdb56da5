//! Tool calls whose servers are silent for long, and signs that they still work.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::{Value, json};
use testkit::{Client, Engine, Exchange, Gate, Request, Upstream, engine, wait_until};

use super::{
    EVENTS, answer_json, assert_tool_error, call, event, message_of, only_execution, result,
    text_of,
};

fn configured(silence: &str) -> Engine {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    let clock = "[[rule]]\nmcp_tool = \"clock*\"\nsilence = \"250ms\"\n";
    fs::write(&file, format!("[proxy]\nsilence = \"{silence}\"\n{clock}")).unwrap();
    builder.arg("--config").arg(file).start()
}

#[test]
fn a_late_response_settles_the_doubt() {
    for how in ["json", "events before", "events after"] {
        let gate = Gate::new();
        let shut = gate.clone();
        let upstream = Upstream::start(move |request, exchange| {
            let answer = result(request, "sent late");
            if how == "json" {
                shut.wait();
                return answer_json(exchange, 200, &answer);
            }
            if how == "events before" {
                shut.wait();
            }
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk(": open\n\n");
            shut.wait();
            exchange.chunk(event(&answer));
            exchange.end_chunked(&[]);
        });
        let engine = configured("200ms");
        let first = engine.send(&call(&upstream, 1, "send"));
        assert_tool_error(&first, &json!(1), "upstream-timeout");
        assert_eq!(only_execution(&engine)["status"], "in_doubt", "{how}");
        gate.open();
        wait_until("it is settled", || {
            (only_execution(&engine)["status"] == "completed").then_some(())
        });
        let again = engine.send(&call(&upstream, 2, "send"));
        again.assert_is(200, "replayed");
        assert_eq!((&message_of(&again)["id"], text_of(&again).as_str()), (&json!(2), "sent late"));
        assert_eq!(upstream.hits(), 1);
    }
}

/// Notes on the stream of the session count as life of the call whose token they name.
#[test]
fn progress_on_another_stream_keeps_a_call_alive() {
    let (notes, to_send): (Sender<Value>, Receiver<Value>) = channel();
    let to_send = Mutex::new(to_send);
    let gate = Gate::new();
    let shut = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        if request.method() == "GET" {
            return pass_notes(exchange, &to_send.lock().unwrap());
        }
        shut.wait();
        answer_json(exchange, 200, &result(request, "sent"));
    });
    let engine = configured("1s");
    let mut stream = Client::connect(engine.proxy).unwrap();
    let open = Request::get(&upstream.url("/mcp"))
        .header("Accept", "text/event-stream")
        .header("Mcp-Session-Id", "session-of-1");
    stream.write(open.to_proxy()).unwrap();
    let head = stream.head().unwrap();
    let mut framing = Client::framing(&head, "GET");
    let note = |token: u64, n: u64| {
        notes
            .send(json!({"jsonrpc": "2.0", "method": "notifications/progress",
                         "params": {"progressToken": token, "progress": n}}))
            .unwrap();
    };
    thread::scope(|scope| {
        let working = scope.spawn(|| engine.send(&call(&upstream, 1, "send")));
        upstream.wait_for_hits(2);
        for n in 1..=8 {
            note(1, n);
            assert!(stream.wire.read_piece(&mut framing).unwrap().is_some());
            // A call that shows no progress: when it is given up, a quarter of the silence has passed.
            let clock = engine.send(&call(&upstream, 10 + n, &format!("clock {n}")));
            assert_tool_error(&clock, &json!(10 + n), "upstream-timeout");
        }
        gate.open();
        let answer = working.join().unwrap();
        answer.assert_is(200, "executed");
    });
}

fn pass_notes(exchange: &mut Exchange, notes: &Receiver<Value>) {
    exchange.begin_chunked(200, &EVENTS);
    while let Ok(note) = notes.recv() {
        exchange.chunk(event(&note));
    }
}
