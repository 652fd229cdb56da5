//! The places of a call in which a secret can stand.

use serde_json::{Value, json};
use testkit::Request;

use super::shapes::Canary;

/// What SECURITY.md says of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing of the secret is stored.
    Masked,
    /// It is stored as it came, for this reason, and shown without the secret.
    Whole(&'static str),
}
use Kept::{Masked, Whole};

const REPLAYED: Kept = Whole("an answer is replayed byte for byte");
const NAME: Kept = Whole("records are found by their names");

/// How the tool answers.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub body: String,
    pub trailer: Option<String>,
}

impl Answer {
    fn of(kind: &str, body: String) -> Self {
        let fields = vec![("Content-Type", kind.to_owned())];
        Self { status: 200, fields, body, trailer: None }
    }
}

pub(super) struct Place {
    pub name: &'static str,
    pub kept: Kept,
    /// The request, and the answer if it is not the usual one.
    pub call: fn(url: &str, &Canary) -> (Request, Option<Answer>),
}

const fn place(
    name: &'static str,
    kept: Kept,
    call: fn(&str, &Canary) -> (Request, Option<Answer>),
) -> Place {
    Place { name, kept, call }
}

fn json_of(url: &str, body: &Value) -> (Request, Option<Answer>) {
    (Request::post_json(url, body.to_string()), None)
}

fn typed(url: &str, kind: &str, body: String) -> (Request, Option<Answer>) {
    (Request::new("POST", url).header("Content-Type", kind).body(body), None)
}

fn plain(url: &str) -> Request {
    Request::post(url, "hello")
}

/// One member: under the canary's own name, if it has one.
fn member(canary: &Canary) -> Value {
    json!({canary.name.unwrap_or("note"): canary.value})
}

fn pair(canary: &Canary) -> (&'static str, String) {
    (canary.name.unwrap_or("note"), encoded(&canary.value))
}

/// On one line, as fields have it.
fn line(canary: &Canary) -> String {
    canary.text.replace('\n', " ")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn mcp(url: &str, tool: &str, arguments: &Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                      "params": {"name": tool, "arguments": arguments}});
    Request::post_json(url, body.to_string())
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25")
}

fn answer(url: &str, answer: Answer) -> (Request, Option<Answer>) {
    (plain(url), Some(answer))
}

fn nested(canary: &Canary) -> Value {
    (0..20).fold(member(canary), |inner, _| json!({"a": [inner]}))
}

#[rustfmt::skip]
pub(super) const PLACES: &[Place] = &[
    place("path segment", Masked, |url, c| (plain(&format!("{url}/{}", encoded(&c.text))), None)),
    place("path between others", Masked, |url, c| (plain(&format!("{url}/a/{}/send", encoded(&c.text))), None)),
    place("query", Masked, |url, c| {
        let (name, value) = pair(c);
        (plain(&format!("{url}?a=1&{name}={value}")), None)
    }),
    place("query without a name", Masked, |url, c| (plain(&format!("{url}?{}", encoded(&c.text))), None)),
    place("URL in a query", Masked, |url, c| {
        let (name, value) = pair(c);
        let inner = encoded(&format!("https://h.test/x?{name}={value}"));
        (plain(&format!("{url}?to={inner}")), None)
    }),
    place("counted field", Masked, |url, c| (plain(url).header("X-Note", &line(c)), None)),
    place("field named like a secret", Masked, |url, c| (plain(url).header("X-Auth", &line(c)), None)),
    place("field that does not count", Masked, |url, c| (plain(url).header("X-Retry-Note", &line(c)), None)),
    place("proof", Masked, |url, c| (plain(url).header("DPoP", &line(c)), None)),
    place("payment", Masked, |url, c| (plain(url).header("X-PAYMENT", &line(c)), None)),
    place("cookie", Masked, |url, c| (plain(url).header("Cookie", &line(c)), None)),
    place("Authorization", Masked, |url, c| (plain(url).header("Authorization", &format!("Bearer {}", c.secret)), None)),
    place("URL in a field", Masked, |url, c| {
        let (name, value) = pair(c);
        (plain(url).header("X-Callback", &format!("https://h.test/x?{name}={value}")), None)
    }),
    place("member", Masked, |url, c| json_of(url, &member(c))),
    place("member at depth", Masked, |url, c| json_of(url, &nested(c))),
    place("elements", Masked, |url, c| json_of(url, &json!({"lines": ["a", c.text, "b"]}))),
    place("name and value", Masked, |url, c| json_of(url, &json!([{"name": c.name.unwrap_or("note"), "value": c.value}]))),
    place("value and key", Masked, |url, c| json_of(url, &json!({"value": c.value, "key": c.name.unwrap_or("note")}))),
    place("pair in an array", Masked, |url, c| json_of(url, &json!([[c.name.unwrap_or("note"), c.value], ["a", "b"]]))),
    place("name of a member", Masked, |url, c| json_of(url, &json!({c.text.clone(): true}))),
    place("JSON in a string", Masked, |url, c| json_of(url, &json!({"payload": member(c).to_string()}))),
    place("command", Masked, |url, c| json_of(url, &json!({"command": format!("echo '{}' | sh", c.text)}))),
    place("text", Masked, |url, c| (Request::post(url, format!("see {} there", c.text)), None)),
    place("no type", Masked, |url, c| (Request::new("POST", url).body(member(c).to_string()), None)),
    place("form", Masked, |url, c| {
        let (name, value) = pair(c);
        typed(url, "application/x-www-form-urlencoded", format!("a=1&{name}={value}"))
    }),
    place("JSON in a form", Masked, |url, c| typed(url, "application/x-www-form-urlencoded", format!("payload={}", encoded(&member(c).to_string())))),
    place("form in parts", Masked, |url, c| {
        let name = c.name.unwrap_or("note");
        typed(url, "multipart/form-data; boundary=q", format!("--q\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n--q--\r\n", c.value))
    }),
    place("NDJSON", Masked, |url, c| typed(url, "application/x-ndjson", format!("{{\"a\":1}}\n{}\n", member(c)))),
    place("XML", Masked, |url, c| {
        let name = c.name.unwrap_or("note");
        typed(url, "application/xml", format!("<a><{name}>{}</{name}></a>", c.value))
    }),
    place("inline GraphQL", Masked, |url, c| {
        let name = c.name.unwrap_or("note").replace('-', "_");
        json_of(url, &json!({"query": format!("mutation {{ act({name}: {}) {{ id }} }}", json!(c.value))}))
    }),
    place("GraphQL variables", Masked, |url, c| json_of(url, &json!({"query": "mutation ($i: I) { act(i: $i) { id } }", "variables": {"i": member(c)}}))),
    place("application/graphql", Masked, |url, c| typed(url, "application/graphql", format!("mutation {{ act(x: {}) {{ id }} }}", json!(c.text)))),
    place("JSON-RPC", Masked, |url, c| json_of(url, &json!({"jsonrpc": "2.0", "id": 7, "method": "act", "params": [member(c)]}))),
    place("arguments of MCP", Masked, |url, c| (mcp(url, "send", &member(c)), Some(mcp_result("done")))),
    place("name of a tool", Masked, |url, c| (mcp(url, &line(c), &json!({"a": 1})), Some(mcp_result("done")))),
    place("bytes", Masked, |url, c| typed(url, "application/octet-stream", c.text.clone())),
    place("Agent-Repeat", Masked, |url, c| (plain(url).header("Agent-Repeat", &c.secret), None)),
    place("session", NAME, |url, c| (plain(url).header("Agent-Session", &line(c)), None)),
    place("run", NAME, |url, c| (plain(url).header("Agent-Run", &line(c)), None)),
    place("key", NAME, |url, c| (plain(url).key(&line(c)), None)),
    place("answer in JSON", REPLAYED, |url, c| answer(url, Answer::of("application/json", member(c).to_string()))),
    place("answer with names and values", REPLAYED, |url, c| {
        let body = json!({"headers": [{"name": c.name.unwrap_or("note"), "value": c.value}]});
        answer(url, Answer::of("application/json", body.to_string()))
    }),
    place("answer in text", REPLAYED, |url, c| answer(url, Answer::of("text/plain", format!("it is {}.", c.text)))),
    place("answer without a type", REPLAYED, |url, c| answer(url, Answer { fields: Vec::new(), ..Answer::of("", member(c).to_string()) })),
    place("refusal", REPLAYED, |url, c| answer(url, Answer { status: 422, ..Answer::of("application/json", json!({"error": {"message": c.text}}).to_string()) })),
    place("server error", REPLAYED, |url, c| answer(url, Answer { status: 500, ..Answer::of("text/plain", c.text.clone()) })),
    place("field of an answer", REPLAYED, |url, c| answer(url, Answer { fields: vec![("X-Note", line(c))], ..Answer::of("", "a".to_owned()) })),
    place("Location", REPLAYED, |url, c| {
        let (name, value) = pair(c);
        answer(url, Answer { status: 303, fields: vec![("Location", format!("/x?{name}={value}"))], ..Answer::of("", String::new()) })
    }),
    place("trailer", REPLAYED, |url, c| answer(url, Answer { trailer: Some(line(c)), ..Answer::of("text/plain", "a".to_owned()) })),
    place("NDJSON answer", REPLAYED, |url, c| answer(url, Answer::of("application/x-ndjson", format!("{{\"a\":1}}\n{}\n", member(c))))),
    place("events", REPLAYED, |url, c| answer(url, Answer::of("text/event-stream", format!("event: a\ndata: {}\n\n", member(c))))),
    place("result of MCP", REPLAYED, |url, c| (mcp(url, "send", &json!({"to": "ada"})), Some(mcp_result(&c.text)))),
];

fn mcp_result(text: &str) -> Answer {
    let result = json!({"content": [{"type": "text", "text": text}]});
    Answer::of("application/json", json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string())
}
