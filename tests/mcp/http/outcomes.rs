//! What results, errors and broken answers mean.

use serde_json::json;
use testkit::{Request, Upstream, engine};

use super::{
    EVENTS, answer_json, assert_tool_error, call, call_body, event, message, message_in,
    message_of, only_execution, result, text_of,
};

#[test]
fn a_result_that_asks_for_input_is_not_final() {
    let upstream = Upstream::start(|request, exchange| {
        let sent = message_in(request);
        let answer = if sent["params"]["inputResponses"].is_null() {
            json!({"jsonrpc": "2.0", "id": sent["id"],
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

/// The table of docs/SEMANTICS.md, in JSON and in events.
#[test]
fn results_and_errors_have_the_outcomes_of_the_table() {
    let upstream = Upstream::start(|request, exchange| {
        let sent = message_in(request);
        let name = sent["params"]["name"].as_str().unwrap().to_owned();
        let (how, code) = name.split_once('.').unwrap();
        let answer = match code.parse::<i64>() {
            Ok(code) => json!({"jsonrpc": "2.0", "id": sent["id"],
                               "error": {"code": code, "message": "no"}}),
            Err(_) => json!({"jsonrpc": "2.0", "id": sent["id"],
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
        if message_in(request)["id"] == 1 {
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

/// A `Content-Length` in the head does not cut off the message that the engine appends.
#[test]
fn a_stream_of_known_length_without_the_response_gets_an_error_too() {
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

/// A response over the store's limit is not kept, but its outcome is known.
#[test]
fn a_response_that_is_too_large_to_keep_counts_as_executed() {
    const SIZE: usize = 9 << 20;
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        // A request from the server of that size is not a response.
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

#[test]
fn a_server_that_accepts_and_never_answers_leaves_the_call_in_doubt() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(202, &[], b""));
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(202, "in-doubt");
    assert_tool_error(&engine.send(&call(&upstream, 2, "send")), &json!(2), "in-doubt");
}
