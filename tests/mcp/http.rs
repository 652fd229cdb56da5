//! Tool calls of MCP over HTTP, against a server in raw sockets that counts: one effect whatever the
//! id, complete where the response was seen, and answers that an MCP client reads.

use serde_json::{Value, json};
use testkit::{Client, Engine, Exchange, Gate, Received, Request, Response, Upstream, engine};

/// A request as MCP clients send it; the id is the caller's.
fn message(url: &str, body: &Value) -> Request {
    Request::post_json(url, body.to_string())
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25")
}

fn call_body(id: &Value, name: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
           "params": {"name": name, "arguments": arguments, "_meta": {"progressToken": id}}})
}

fn call(upstream: &Upstream, id: impl Into<Value>, name: &str) -> Request {
    let id = id.into();
    message(&upstream.url("/mcp"), &call_body(&id, name, &json!({"to": "ada", "n": 1})))
        .header("Mcp-Session-Id", &format!("session-of-{id}").replace('"', ""))
}

fn asked(request: &Received) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn result(request: &Received, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": asked(request)["id"],
           "result": {"content": [{"type": "text", "text": text}]}})
}

fn answer_json(exchange: &mut Exchange, status: u16, body: &Value) {
    let body = body.to_string();
    exchange.answer(status, &[("Content-Type", "application/json")], body.as_bytes());
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

const EVENTS: [(&str, &str); 1] = [("Content-Type", "text/event-stream")];

/// Answers every call in JSON.
fn plain() -> Upstream {
    Upstream::start(|request, exchange| answer_json(exchange, 200, &result(request, "sent")))
}

#[track_caller]
fn text_of(answer: &Response) -> String {
    let json = message_of(answer);
    json["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// The one message of an answer, in JSON or in the last event of a stream.
#[track_caller]
fn message_of(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    if answer.header("content-type") == Some("application/json") {
        return answer.json();
    }
    let text = answer.text();
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or_else(|| panic!("no event: {text}"))).unwrap()
}

/// A tool error of the engine's that says `code`.
#[track_caller]
fn assert_tool_error(answer: &Response, id: &Value, code: &str) -> Value {
    let json = message_of(answer);
    assert_eq!((&json["id"], &json["result"]["isError"]), (id, &json!(true)), "{json}");
    let problem = json["result"]["_meta"]["openclaw-state-engine/problem"].clone();
    assert_eq!(problem["type"], format!("urn:openclaw-state-engine:{code}"), "{json}");
    problem
}

fn only_execution(engine: &Engine) -> Value {
    let all = engine.proxied();
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].clone()
}

#[test]
fn a_retry_under_a_new_id_has_one_effect_and_its_own_id() {
    let upstream = plain();
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(200, "executed");
    assert_eq!(first.json()["id"], 1);
    let second = engine.send(&call(&upstream, "two", "send"));
    second.assert_is(200, "replayed");
    assert_eq!((&second.json()["id"], text_of(&second)), (&json!("two"), "sent".to_owned()));
    let engine = engine.kill_and_restart();
    let third = engine.send(&call(&upstream, 3, "send"));
    third.assert_is(200, "replayed");
    assert_eq!(third.json()["id"], 3);
    assert_eq!(upstream.hits(), 1);
    let execution = only_execution(&engine);
    assert_eq!(execution["tool_name"], "tools/call send 127.0.0.1");
    assert_eq!(execution["rule"], "mcp tools/call");
    let kept = execution.to_string();
    assert!(!kept.contains("session-of"), "{kept}");
    engine.send(&call(&upstream, 4, "other")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

/// Outside of MCP a header of this name is one like any other.
#[test]
fn a_header_that_is_named_like_mcps_tells_other_requests_apart() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let of = |tenant: &str| {
        engine.send(&Request::post(&upstream.url("/act"), "x").header("Mcp-Tenant", tenant))
    };
    of("a").assert_is(200, "executed");
    of("b").assert_is(200, "executed");
    of("a").assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_replay_comes_in_a_form_that_the_caller_reads() {
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                              "params": {"progressToken": 1, "progress": 1}});
        exchange.chunk(event(&progress));
        exchange.chunk(event(&result(request, "streamed")));
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(200, "executing");
    let whole = first.text();
    assert!(whole.contains("notifications/progress") && whole.ends_with("\n\n"), "{whole}");
    let again = engine.send(&call(&upstream, 2, "send"));
    again.assert_is(200, "replayed");
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(again.json()["id"], 2);
    let mut only_events = call(&upstream, 3, "send");
    only_events.fields.retain(|(name, _)| name != "Accept");
    let again = engine.send(&only_events.header("Accept", "text/event-stream"));
    again.assert_is(200, "replayed");
    assert_eq!(again.header("content-type"), Some("text/event-stream"));
    assert_eq!(message_of(&again)["id"], 3);
    assert!(!again.text().contains("progress"), "old progress is not told again");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn the_event_with_the_response_is_held_until_it_is_on_disk_and_no_longer() {
    let gate = Gate::new();
    let gate_of_tool = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        exchange.chunk(event(&json!({"jsonrpc": "2.0", "method": "notifications/message"})));
        exchange.chunk(event(&result(request, "done")));
        // The stream goes on: that is not what the call waits for.
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

#[test]
fn what_is_no_tool_call_passes_byte_for_byte_and_unrecorded() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(
            200,
            &[("Content-Type", "application/json"), ("Mcp-Session-Id", "s")],
            b"{ \"jsonrpc\":\"2.0\" , \"id\":1,\"result\":{} }",
        );
    });
    let engine = engine!().start();
    for text in [
        r#"{ "method" : "initialize", "jsonrpc":"2.0","id":1, "params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":9,"result":{"action":"accept"}}"#,
    ] {
        for _ in 0..2 {
            let before = upstream.hits();
            let request = message(&upstream.url("/mcp"), &Value::Null).body(text);
            let answer = engine.send(&request);
            assert_eq!(answer.text(), "{ \"jsonrpc\":\"2.0\" , \"id\":1,\"result\":{} }");
            assert_eq!(answer.header("idempotency-status"), None);
            assert_eq!(answer.header("mcp-session-id"), Some("s"));
            let received = upstream.received();
            assert_eq!(received.len(), before + 1);
            assert_eq!(received[before].body, text.as_bytes());
            assert_eq!(received[before].header("mcp-protocol-version"), Some("2025-11-25"));
        }
    }
    for method in ["GET", "DELETE"] {
        let request = Request::new(method, &upstream.url("/mcp")).header("Mcp-Session-Id", "s");
        let answer = engine.send(&request);
        assert_eq!((answer.status, answer.header("idempotency-status")), (200, None), "{method}");
    }
    assert!(engine.proxied().is_empty());
}

#[test]
fn an_ordinary_json_rpc_api_is_compared_whole() {
    let upstream = plain();
    let engine = engine!().start();
    let post = |id: u64| {
        let body = call_body(&json!(id), "send", &json!({}));
        engine.send(&Request::post_json(&upstream.url("/rpc"), body.to_string()))
    };
    post(1).assert_is(200, "executed");
    post(1).assert_is(200, "replayed");
    post(2).assert_is(200, "executed");
    let batch = json!([call_body(&json!(1), "a", &json!({}))]);
    let batch = message(&upstream.url("/mcp"), &batch);
    engine.send(&batch).assert_is(200, "executed");
    engine.send(&batch).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn a_result_that_asks_for_input_is_not_final() {
    let upstream = Upstream::start(|request, exchange| {
        let asked = asked(request);
        let answer = if asked["params"]["inputResponses"].is_null() {
            json!({"jsonrpc": "2.0", "id": asked["id"],
                   "result": {"resultType": "input_required", "requestState": "s",
                              "inputRequests": {"ok": {"method": "elicitation/create"}}}})
        } else {
            result(request, "sent")
        };
        answer_json(exchange, 200, &answer);
    });
    let engine = engine!().start();
    for _ in 0..2 {
        engine.send(&call(&upstream, 1, "send")).assert_is(200, "not-executed");
    }
    let answered = |id: u64| {
        let mut body = call_body(&json!(id), "send", &json!({"to": "ada", "n": 1}));
        body["params"]["inputResponses"] = json!({"ok": {"action": "accept"}});
        body["params"]["requestState"] = json!("s");
        engine.send(&message(&upstream.url("/mcp"), &body))
    };
    answered(3).assert_is(200, "executed");
    answered(4).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 3);
}

/// The table of docs/SEMANTICS.md, over JSON and over events.
#[test]
fn results_and_errors_mean_what_the_table_says() {
    let upstream = Upstream::start(|request, exchange| {
        let asked = asked(request);
        let name = asked["params"]["name"].as_str().unwrap().to_owned();
        let (how, code) = name.split_once('.').unwrap();
        let answer = match code.parse::<i64>() {
            Ok(code) => json!({"jsonrpc": "2.0", "id": asked["id"],
                               "error": {"code": code, "message": "no"}}),
            Err(_) => json!({"jsonrpc": "2.0", "id": asked["id"],
                             "result": {"content": [], "isError": true}}),
        };
        if how == "json" {
            answer_json(exchange, 200, &answer);
        } else {
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk(event(&answer));
            exchange.end_chunked(&[]);
        }
    });
    let engine = engine!().start();
    let mut hits = 0;
    for how in ["json", "events"] {
        for (code, status, outcome, again) in [
            ("-32602", "failed", json!("not_executed"), true),
            ("-32601", "failed", json!("not_executed"), true),
            ("-32020", "failed", json!("not_executed"), true),
            ("-32000", "failed", json!("executed"), true),
            ("isError", "failed", json!("executed"), true),
            ("-32603", "in_doubt", json!("unknown"), false),
        ] {
            let name = format!("{how}.{code}");
            let first = engine.send(&call(&upstream, 1, &name));
            assert_eq!(message_of(&first)["id"], 1, "{name}");
            let execution = engine.proxied().pop().unwrap();
            assert_eq!(execution["status"], status, "{name}: {execution}");
            assert_eq!(execution["outcome"], outcome, "{name}: {execution}");
            let second = engine.send(&call(&upstream, 2, &name));
            if again {
                assert_ne!(second.word(), "replayed", "{name}");
                assert_eq!(message_of(&second)["id"], 2, "{name}");
            } else {
                assert_tool_error(&second, &json!(2), "in-doubt");
            }
            hits += if again { 2 } else { 1 };
            assert_eq!(upstream.hits(), hits, "{name}");
        }
    }
}

#[test]
fn in_doubt_is_a_tool_error_with_a_way_out() {
    let upstream = Upstream::start(|request, exchange| {
        if asked(request)["id"] == 1 {
            exchange.close();
        } else {
            answer_json(exchange, 200, &result(request, "second attempt"));
        }
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(200, "in-doubt");
    assert_tool_error(&first, &json!(1), "upstream-failed");
    let second = engine.send(&call(&upstream, 2, "send"));
    second.assert_is(200, "in-doubt");
    assert_eq!(second.header("x-should-retry"), Some("false"));
    let problem = assert_tool_error(&second, &json!(2), "in-doubt");
    let text = text_of(&second);
    assert!(text.contains("may already have taken effect"), "{text}");
    let confirm = problem["confirm_url"].as_str().unwrap();
    assert!(text.contains(confirm) && text.contains(problem["retry_token"].as_str().unwrap()));
    assert_eq!(upstream.hits(), 1);
    assert_eq!(engine.send(&Request::new("POST", confirm)).status, 200);
    let third = engine.send(&call(&upstream, 3, "send"));
    third.assert_is(200, "executed");
    assert_eq!((text_of(&third).as_str(), upstream.hits()), ("second attempt", 2));
    engine.send(&call(&upstream, 4, "send")).assert_is(200, "replayed");
}

#[test]
fn a_stream_that_ends_without_the_response_is_unknown() {
    for (broken, half) in
        [(false, ""), (true, ""), (true, "data: {\"id\":1,\"jsonrpc\":\"2.0\",\"res")]
    {
        let upstream = Upstream::start(move |_, exchange| {
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n");
            if !half.is_empty() {
                exchange.chunk(half);
            }
            if broken { exchange.close() } else { exchange.end_chunked(&[]) }
        });
        let engine = engine!().start();
        let first = engine.send(&call(&upstream, 1, "send"));
        assert!(first.whole, "{first:?}");
        assert!(half.is_empty() || !first.text().contains(half), "{first:?}");
        let problem = assert_tool_error(&first, &json!(1), "upstream-failed");
        assert!(problem["retry_token"].is_string(), "{problem}");
        let second = engine.send(&call(&upstream, 2, "send"));
        assert_tool_error(&second, &json!(2), "in-doubt");
        assert_eq!(upstream.hits(), 1);
    }
}

/// A length in its head does not cut off what the engine has to say behind it.
#[test]
fn a_stream_of_known_length_without_the_response_is_told_of_too() {
    let upstream = Upstream::start(|_, exchange| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                              "params": {"progressToken": 1, "progress": 1}});
        exchange.answer(200, &EVENTS, event(&progress).as_bytes());
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    assert!(first.whole && first.text().contains("notifications/progress"), "{first:?}");
    assert_tool_error(&first, &json!(1), "upstream-failed");
    assert_eq!(only_execution(&engine)["status"], "in_doubt");
    assert_eq!(upstream.hits(), 1);
}

/// Over the store's limit a response is not kept, and known for what it is.
#[test]
fn a_response_that_is_too_large_to_be_kept_took_effect() {
    const SIZE: usize = 9 << 20;
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        // A request of the server's own of that size is no response.
        let sampling = json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage",
                              "params": {"result": "y".repeat(SIZE)}});
        for message in [sampling, result(request, &"x".repeat(SIZE))] {
            for piece in event(&message).as_bytes().chunks(1 << 20) {
                exchange.chunk(piece);
            }
        }
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    assert!(first.whole);
    assert_eq!(text_of(&first).len(), SIZE);
    let execution = only_execution(&engine);
    assert_eq!(
        (&execution["status"], &execution["outcome"]),
        (&json!("completed"), &json!("executed"))
    );
    let second = engine.send(&call(&upstream, 2, "send"));
    let problem = assert_tool_error(&second, &json!(2), "response-not-kept");
    assert!(problem["size"].as_u64().unwrap() > SIZE as u64, "{problem}");
    assert_eq!(upstream.hits(), 1);
}

/// 2025-11-25: the server ends the call's stream and sends the response where the client takes it up
/// again.
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

#[test]
fn a_duplicate_of_a_running_call_waits_and_gets_its_own_id() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        held.wait();
        answer_json(exchange, 200, &result(request, "once"));
    });
    let engine = engine!().start();
    let answers = std::thread::scope(|scope| {
        let leader = scope.spawn(|| engine.send(&call(&upstream, 1, "send")));
        upstream.wait_for_hits(1);
        let others: Vec<_> = (2..5)
            .map(|id| {
                let engine = &engine;
                let upstream = &upstream;
                scope.spawn(move || engine.send(&call(upstream, id, "send")))
            })
            .collect();
        gate.open();
        leader.join().unwrap().assert_is(200, "executed");
        others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>()
    });
    for (answer, id) in answers.iter().zip(2..) {
        assert!(["coalesced", "replayed"].contains(&answer.word()), "{answer:?}");
        assert_eq!(answer.json()["id"], id);
    }
    assert_eq!(upstream.hits(), 1);
}

/// A tool's error that its caller never saw is told to the retry; one that it saw is not.
#[test]
fn an_error_that_did_not_arrive_is_replayed_once() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let answer = json!({"jsonrpc": "2.0", "id": asked(request)["id"],
                            "result": {"content": [], "isError": true}});
        exchange.begin_chunked(200, &EVENTS);
        exchange.chunk(": begun\n\n");
        held.wait();
        if asked(request)["id"] == 1 {
            for _ in 0..50 {
                exchange.chunk(": still there\n\n");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        exchange.chunk(event(&answer));
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(call(&upstream, 1, "send").to_proxy()).unwrap();
    client.head().unwrap();
    drop(client);
    gate.open();
    testkit::wait_until("the call is over", || {
        (only_execution(&engine)["status"] == "failed").then_some(())
    });
    let retry = engine.send(&call(&upstream, 2, "send"));
    retry.assert_is(200, "replayed");
    assert_eq!((retry.json()["id"].clone(), upstream.hits()), (json!(2), 1));
    engine.send(&call(&upstream, 3, "send")).assert_is(200, "executing");
    assert_eq!(upstream.hits(), 2, "it was told, and asked again");
}

/// A stream that nobody ends holds up no stop.
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

#[test]
fn a_key_in_meta_names_the_call() {
    let upstream = plain();
    let engine = engine!().start();
    let keyed = |id: u64, n: u64, header: Option<&str>| {
        let mut body = call_body(&json!(id), "send", &json!({"n": n}));
        body["params"]["_meta"]["openclaw-state-engine/idempotency-key"] = json!("order-7");
        let request = message(&upstream.url("/mcp"), &body);
        engine.send(&header.map_or(request.clone(), |key| request.key(key)))
    };
    let first = keyed(1, 1, None);
    first.assert_is(200, "executed");
    assert_eq!(first.header("idempotency-key"), Some("order-7"));
    assert_eq!(first.parameter("key"), Some("explicit"));
    keyed(2, 1, None).assert_is(200, "replayed");
    keyed(3, 1, Some("order-7")).assert_is(200, "replayed");
    assert_tool_error(&keyed(4, 2, None), &json!(4), "key-reuse");
    assert_tool_error(&keyed(5, 1, Some("order-8")), &json!(5), "malformed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_server_that_accepts_and_says_nothing_leaves_the_call_in_doubt() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(202, &[], b""));
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(202, "in-doubt");
    assert_tool_error(&engine.send(&call(&upstream, 2, "send")), &json!(2), "in-doubt");
}

#[test]
fn a_large_call_is_guarded_too() {
    let upstream = plain();
    let engine = engine!().start();
    let large = |id: u64| {
        let body = call_body(&json!(id), "send", &json!({"file": "x".repeat(600_000)}));
        engine.send(&message(&upstream.url("/mcp"), &body))
    };
    large(1).assert_is(200, "executed");
    let again = large(2);
    again.assert_is(200, "replayed");
    assert_eq!((again.json()["id"].clone(), upstream.hits()), (json!(2), 1));
}

/// Hints are believed of servers that the configuration trusts, and once they have been told.
#[test]
fn a_trusted_servers_hints_decide_where_no_rule_does() {
    let upstream = Upstream::start(|request, exchange| {
        let asked = asked(request);
        if asked["method"] == "tools/list" {
            let tools = json!([
                {"name": "look", "annotations": {"readOnlyHint": true}},
                {"name": "set", "annotations": {"idempotentHint": true}},
                {"name": "ruled", "annotations": {"readOnlyHint": true}},
            ]);
            let list = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools}});
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk(event(&list));
            exchange.end_chunked(&[]);
        } else {
            answer_json(exchange, 200, &result(request, "done"));
        }
    });
    let builder = engine!();
    let config = builder.home().join("engine.toml");
    let trust = format!(
        "[mcp]\ntrust = [\"{}\"]\n\n[[rule]]\nmcp_tool = [\"ruled\"]\neffect = \"once\"\n\
         tool = \"the ruled one\"\n",
        upstream.url("/mcp")
    );
    std::fs::write(&config, trust).unwrap();
    let engine = builder.arg("--config").arg(&config).start();
    engine.send(&call(&upstream, 1, "look")).assert_is(200, "executed");
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let list = engine.send(&message(&upstream.url("/mcp"), &list));
    assert!(list.text().contains("readOnlyHint"), "{list:?}");
    let before = upstream.hits();
    for id in 3..5 {
        let look = engine.send(&call(&upstream, id, "look"));
        assert_eq!(look.header("idempotency-status"), None, "it passes");
        engine.send(&call(&upstream, id, "set")).assert_is(200, "executed");
    }
    engine.send(&call(&upstream, 5, "ruled")).assert_is(200, "executed");
    engine.send(&call(&upstream, 6, "ruled")).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), before + 5);
    let recorded = engine.proxied();
    let of = |rule: &str| recorded.iter().filter(|one| one["rule"] == rule).count();
    assert_eq!((of("mcp tools/call"), of("mcp idempotentHint")), (1, 2), "{recorded:#?}");
    assert!(recorded.iter().any(|one| one["tool_name"] == "the ruled one"), "{recorded:#?}");
    let elsewhere = message(&upstream.url("/other"), &call_body(&json!(7), "look", &json!({})));
    engine.send(&elsewhere).assert_is(200, "executed");
}
