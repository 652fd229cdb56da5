//! Tools that work for longer than the proxy waits in silence: their notes of progress are signs of life.
//! The server says what the test sends it to say, and nothing on its own.

use std::fs;

use serde_json::{Value, json};
use testkit::{Engine, wait_until};

use super::{Place, Session, text};

const SERVER: &str = r#"
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "tools/list":
        say = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [
            {"name": "look", "inputSchema": {}, "annotations": {"readOnlyHint": True}}]}}
    elif message["method"] == "tools/call":
        with open(sys.argv[1], "a") as file:
            file.write(line)
        continue
    else:
        say = message["params"]
    print(say if isinstance(say, str) else json.dumps(say), flush=True)
"#;

/// Four `clock` calls take as long as an `act` may be silent.
const RULES: &str = r#"
[proxy]
silence = "2s"
[mcp]
trust = ["test"]
[[rule]]
mcp_tool = "clock*"
silence = "500ms"
"#;

fn place() -> Place {
    let place = Place::configured(RULES);
    fs::write(&place.server, SERVER).unwrap();
    place
}

/// Starts a call whose notes name `token`, and waits until the server has it.
fn begin(place: &Place, session: &mut Session, id: &Value, tool: &str, token: &Value) {
    let effects = place.effects();
    let params = json!({"name": tool, "arguments": {"id": id}, "_meta": {"progressToken": token}});
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    session.say(&format!("{call}\n"));
    wait_until("the server has the call", || (place.effects() > effects).then_some(()));
}

/// Sends the call `id` again, under another id and without a token.
fn again(session: &mut Session, tool: &str, id: &Value) {
    let call = json!({"jsonrpc": "2.0", "id": "again", "method": "tools/call",
                      "params": {"name": tool, "arguments": {"id": id}}});
    session.say(&format!("{call}\n"));
}

/// Sends the server something to say: a message, or a line of text.
fn say(session: &mut Session, what: &Value) {
    session.say(&format!("{}\n", json!({"jsonrpc": "2.0", "method": "say", "params": what})));
}

fn note(token: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress",
           "params": {"progressToken": token, "progress": 1}})
}

/// The server says a note, and the client gets it at once.
#[track_caller]
fn pass_note(session: &mut Session, token: &Value) {
    say(session, &note(token));
    assert_eq!(session.answer(), note(token));
}

fn response(id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "did it"}]}})
}

#[track_caller]
fn assert_given_up(answer: &Value, id: &Value) {
    let problem = &answer["result"]["_meta"]["openclaw-state-engine/problem"];
    assert_eq!(
        (&answer["id"], &problem["type"]),
        (id, &json!("urn:openclaw-state-engine:upstream-timeout")),
        "{answer}"
    );
}

/// Lets a quarter of the silence pass. Returns what else the client gets meanwhile.
fn tick(place: &Place, session: &mut Session, n: usize) -> Vec<Value> {
    let id = json!(format!("clock {n}"));
    begin(place, session, &id, "clock", &Value::Null);
    let mut others = Vec::new();
    loop {
        let answer = session.answer();
        if answer["id"] == id {
            assert_given_up(&answer, &id);
            return others;
        }
        others.push(answer);
    }
}

/// The states of the calls of a tool.
fn states(engine: &Engine, tool: &str) -> Vec<Value> {
    let all = engine.proxied().into_iter();
    let own = all.filter(|one| one["tool_name"].as_str().unwrap().contains(tool));
    own.map(|one| one["status"].clone()).collect()
}

#[test]
fn progress_keeps_a_call_alive() {
    let place = place();
    let engine = place.builder.start();
    let mut session = place.start();
    let calls = [
        (json!(1), json!(1)),
        (json!("one"), json!("the token of one")),
        (json!(2), json!(r#"say "hi" ☺"#)),
    ];
    for (id, token) in &calls {
        begin(&place, &mut session, id, "act", token);
    }
    for n in 0..6 {
        for (_, token) in &calls {
            pass_note(&mut session, token);
        }
        assert!(tick(&place, &mut session, n).is_empty());
    }
    assert_eq!(states(&engine, "act"), ["running"; 3]);
    let sent = place.effects();
    for (id, token) in &calls {
        say(&mut session, &response(id));
        assert_eq!(session.answer(), response(id));
        // A note behind the response is only passed on.
        pass_note(&mut session, token);
        again(&mut session, "act", id);
        assert_eq!(session.answer(), response(&json!("again")));
    }
    assert_eq!(states(&engine, "act"), ["completed"; 3]);
    assert_eq!(place.effects(), sent, "each was sent once");
}

#[test]
fn a_read_that_reports_progress_passes_as_long_as_it_takes() {
    let place = place();
    let engine = place.builder.start();
    let mut session = place.start();
    session.say("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\"}\n");
    assert_eq!(session.answer()["result"]["tools"][0]["name"], "look");
    begin(&place, &mut session, &json!(1), "look", &json!("t"));
    for n in 0..6 {
        pass_note(&mut session, &json!("t"));
        assert!(tick(&place, &mut session, n).is_empty());
    }
    say(&mut session, &response(&json!(1)));
    assert_eq!(session.answer(), response(&json!(1)));
    assert_eq!(engine.proxied().len(), 6, "the ticks alone were recorded");
}

#[test]
fn only_its_own_progress_keeps_a_call_alive() {
    let place = place();
    let engine = place.builder.start();
    let mut session = place.start();
    // The tokens of calls, and those that the notes name.
    let tokens = [
        (json!("a"), json!("b")),
        (json!(7), json!("7")),
        (json!("8"), json!(8)),
        (Value::Null, json!("null")),
        (json!("c"), json!(["c"])),
    ];
    for (id, (own, _)) in tokens.iter().enumerate() {
        begin(&place, &mut session, &json!(id), "act", own);
    }
    let mut answers = Vec::new();
    for n in 0..6 {
        for (_, other) in &tokens {
            say(&mut session, &note(other));
        }
        answers.extend(tick(&place, &mut session, n));
    }
    answers.retain(|answer| answer["method"].is_null());
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), tokens.len(), "{answers:#?}");
    for (id, answer) in answers.iter().enumerate() {
        assert_given_up(answer, &json!(id));
    }
    assert_eq!(states(&engine, "act"), ["in_doubt"; 5]);
}

#[test]
fn a_late_response_settles_the_doubt_with_and_without_progress() {
    for how in ["silent", "progress before", "progress after"] {
        let place = place();
        let engine = place.builder.start();
        let mut session = place.start();
        let (id, token) = (json!(1), json!("t"));
        begin(&place, &mut session, &id, "act", &token);
        if how == "progress before" {
            pass_note(&mut session, &token);
        }
        assert_given_up(&session.answer(), &id);
        assert_eq!(states(&engine, "act"), ["in_doubt"], "{how}");
        if how == "progress after" {
            pass_note(&mut session, &token);
        }
        say(&mut session, &response(&id));
        wait_until("it is settled", || (states(&engine, "act") == ["completed"]).then_some(()));
        again(&mut session, "act", &id);
        assert_eq!(session.answer(), response(&json!("again")), "{how}");
        assert_eq!(place.effects(), 1);
    }
}

/// What the proxy reads as a stream reaches the client as one line.
#[test]
fn a_response_after_progress_is_the_servers_own_line() {
    let place = place();
    let _engine = place.builder.start();
    let mut session = place.start();
    for (id, end, reads) in [
        (1, ", \"b\":\t[\"\\n\\r\"]} }", ", \"b\":\t[\"\\n\\r\"]} }\n"),
        (2, "} }\r", "} }\n"),
        (3, ",\r\"c\":1}}", ", \"c\":1}}\n"),
    ] {
        begin(&place, &mut session, &json!(id), "act", &json!(id));
        pass_note(&mut session, &json!(id));
        let line = |end: &str| {
            format!("{{ \"jsonrpc\":\"2.0\", \"id\":{id},\"result\": {{\"text\":\"☺\"{end}")
        };
        say(&mut session, &json!(line(end)));
        assert_eq!(session.line(), line(reads));
    }
    begin(&place, &mut session, &json!(4), "act", &json!("t"));
    pass_note(&mut session, &json!("t"));
    let failed = json!({"jsonrpc": "2.0", "id": 4, "error": {"code": -32000, "message": "no"}});
    say(&mut session, &failed);
    assert_eq!(session.answer(), failed);
    // Two calls with one token: whose progress it is cannot be known, so it keeps both alive.
    for id in [5, 6] {
        begin(&place, &mut session, &json!(id), "act", &json!("shared"));
    }
    for n in 0..6 {
        pass_note(&mut session, &json!("shared"));
        assert!(tick(&place, &mut session, n).is_empty());
    }
    for id in [json!(6), json!(5)] {
        say(&mut session, &response(&id));
        assert_eq!(text(&session.answer()), "did it");
    }
}

#[test]
fn a_server_that_dies_after_progress_leaves_its_call_in_doubt() {
    let place = place();
    let dying = format!("{SERVER}    if say == \"end\": break\n");
    fs::write(&place.server, dying).unwrap();
    let engine = place.builder.start();
    let mut session = place.start();
    begin(&place, &mut session, &json!(1), "act", &json!("t"));
    pass_note(&mut session, &json!("t"));
    say(&mut session, &json!("end"));
    assert_eq!(session.line(), "end\n");
    let answer = session.answer();
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(1), &json!(true)));
    assert!(text(&answer).contains("may have been carried out"), "{answer}");
    assert_eq!(session.exit_code(), Some(0));
    assert_eq!(states(&engine, "act"), ["in_doubt"]);
}
