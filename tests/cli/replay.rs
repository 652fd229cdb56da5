//! `replay` from a running server and from a file.

use serde_json::Value;
use testkit::{Request, Upstream, engine};

use crate::{Story, stdout, verb};

#[test]
fn replay_beside_a_server_and_on_the_file_of_a_killed_one() {
    let running = engine!().start();
    let story = Story::record(&running);
    let line = format!("replay --session {}", story.session);
    let beside = verb(running.builder(), &line);
    assert_output!(beside, @r#"
    exit 0
    ╔═══════════════════════════════════════╗
    ║            SESSION REPLAY             ║
    ╚═══════════════════════════════════════╝
    Session ID: [id]
    User ID: [id]
    Status: Active
    Created: [date and time] UTC
    ┌───────────────────────────────────────┐
    │ GOALS (1)                             │
    └───────────────────────────────────────┘
    Goal #1: a goal
      Status: Pending
      Priority: Medium
      ┌── TOOL EXECUTIONS (5) ──
      │
      │ Tool: send_email
      │ Status: Pending
      │ Input: {"subject":"Welcome!","to":"user@example.com"}
      │ Idempotency Key: welcome-email-001
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: Completed
      │ Input: {"cents":100}
      │ Output: {"ok":true}
      │ Idempotency Key: charge-1
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: Failed
      │ Input: {"cents":200}
      │ Error: card\u001b[31m declined
      │ Idempotency Key: charge-2
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: In Doubt
      │ Input: {"cents":300}
      │ Error: timeout
      │ Idempotency Key: charge-3
      │ Time: [time]
      │ Settle: openclaw-state-engine resolve [id] --attempt 1 (--ran | --did-not-run) --evidence TEXT
      │
      │ Tool: charge
      │ Status: Running
      │ Input: {"cents":400}
      │ Idempotency Key: charge-4
      │ Time: [time]
      └───────────────────────────
    ═════════════════════════════════════════
    Replay complete. 1 goal(s), 5 execution(s) total.
    "#);
    let stopped = verb(&running.kill(), &line);
    let expected = stdout(&beside)
        .replace("Status: Running", "Status: running (engine stopped: outcome unknown)");
    assert_eq!(stdout(&stopped), expected);
}

#[test]
fn replay_as_json_keeps_every_byte_of_an_input() {
    let running = engine!().start();
    let (user, session, goal) = running.goal("ada");
    let input = r#"{"n":123456789012345678901234567890, "f":1.00000000000000000001,"n":2}"#;
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"create_tool_execution","params":{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"t","tool_input":{input}}}}}"#
    );
    assert_eq!(running.try_rpc_text(&call).unwrap().status, 200);
    let line = format!("replay --session {session} --json");
    let beside = stdout(&verb(running.builder(), &line));
    assert_eq!(beside.matches(input).count(), 1, "{beside}");
    let document: Value = serde_json::from_str(&beside).unwrap();
    assert_eq!(document["session"]["id"], session);
    assert_eq!(document["goals"][0]["id"], goal);
    assert_eq!(document["goals"][0]["executions"][0]["tool_name"], "t");
    assert_eq!(stdout(&verb(&running.kill(), &line)), beside);
}

/// Not in canonical form, and counted as it was sent.
#[test]
fn a_stored_answer_is_shown_as_it_was_sent() {
    let short = "{\"z\": 1.0,  \"a\": [ 1e2 ]}";
    let long = format!("{{ \"z\" :  \"{}\" }}", "x".repeat(3_000));
    let sent = long.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let body = if request.target() == "/long" { &sent } else { short };
        exchange.answer(200, &[("Content-Type", "application/json")], body.as_bytes());
    });
    let running = engine!().start();
    for path in ["/short", "/long"] {
        let request = Request::post_json(&upstream.url(path), "{\"b\":1, \"a\" : 2}");
        running.send(&request.header("Agent-Session", "shown")).assert_is(200, "executed");
    }
    let shown = stdout(&verb(running.builder(), "replay --session shown"));
    for part in [short, "{ \"z\" :  \"xx", "{\"b\":1, \"a\" : 2}"] {
        assert!(shown.contains(&format!("\"body\":{part}")), "{shown}");
    }
    assert!(shown.contains(&format!("\"content-length\":\"{}\"", long.len())), "{shown}");
}
