//! MCP tool calls over HTTP, against a server in raw sockets that counts: one effect whatever the id,
//! complete once the response was seen, and answers that an MCP client can read.

mod lost;
mod once;
mod outcomes;
mod passing;
mod silence;
mod streams;

use serde_json::{Value, json};
use testkit::{Engine, Exchange, Received, Request, Response, Upstream};

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

fn message_in(request: &Received) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn result(request: &Received, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": message_in(request)["id"],
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

/// A server that answers every call in JSON.
fn plain() -> Upstream {
    Upstream::start(|request, exchange| answer_json(exchange, 200, &result(request, "sent")))
}

#[track_caller]
fn text_of(answer: &Response) -> String {
    let json = message_of(answer);
    json["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// The message of an answer, from its JSON or from the last event of its stream.
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

/// Checks that the answer is the engine's tool error with this `code`.
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
