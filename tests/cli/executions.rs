//! `executions`, `execution` and `verify`: the list, and how a doubt is settled.

use serde_json::{Value, json};
use testkit::engine;

use crate::{Story, stdout, verb};

#[test]
fn executions_are_listed_and_filtered() {
    let running = engine!().start();
    let story = Story::record(&running);
    let beside = verb(running.builder(), "executions");
    assert_output!(beside, @"
    exit 0
    ID                                    STATUS     ATTEMPT  CREATED              TOOL        KEY
    [id]  running    1        [date and time]  charge      charge-4
    [id]  in_doubt   1        [date and time]  charge      charge-3
    [id]  failed     1        [date and time]  charge      charge-2
    [id]  completed  1        [date and time]  charge      charge-1
    [id]  pending    0        [date and time]  send_email  welcome-email-001
    ");
    assert_output!(verb(running.builder(), "executions --status in_doubt"), @"
    exit 0
    ID                                    STATUS    ATTEMPT  CREATED              TOOL    KEY
    [id]  in_doubt  1        [date and time]  charge  charge-3
    ");
    assert_output!(verb(running.builder(), "executions --limit 2"), @"
    exit 0
    ID                                    STATUS    ATTEMPT  CREATED              TOOL    KEY
    [id]  running   1        [date and time]  charge  charge-4
    [id]  in_doubt  1        [date and time]  charge  charge-3
    -- stderr
    There are more than 2: raise --limit to see them.
    ");
    assert_output!(verb(running.builder(), "executions --tool charge --limit 1 --status failed"), @"
    exit 0
    ID                                    STATUS  ATTEMPT  CREATED              TOOL    KEY
    [id]  failed  1        [date and time]  charge  charge-2
    ");
    assert_output!(verb(running.builder(), "executions --tool nothing"), @"
    exit 0
    ");
    assert_output!(verb(running.builder(), "executions --status done"), @r#"
    exit 2
    -- stderr
    error: invalid value 'done' for '--status <STATUS>': "done" is not one of pending, running, completed, failed, cancelled, in_doubt

    For more information, try '--help'.
    "#);
    let json = stdout(&verb(running.builder(), "executions --status in_doubt --json"));
    let only: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&only["id"], &only["attempt"]), (&json!(story.doubtful), &json!(1)));
    let stopped = stdout(&verb(&running.kill(), "executions"));
    assert!(stopped.contains("running (engine stopped: outcome unknown)"), "{stopped}");
}

#[test]
fn json_lines_hold_one_execution_each_whatever_its_input() {
    let running = engine!().start();
    let (user, session, goal) = running.goal("ada");
    let call = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"create_tool_execution\",\"params\":{{\"user_id\":\"{user}\",\
         \"session_id\":\"{session}\",\"goal_id\":\"{goal}\",\"tool_name\":\"t\",\"tool_input\":{{\r\n\"a\":\n1}}}}}}"
    );
    for _ in 0..3 {
        running.try_rpc_text(&call).unwrap();
    }
    let lines = stdout(&verb(running.builder(), "executions --json"));
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let execution: Value = serde_json::from_str(line).unwrap();
        assert_eq!(execution["tool_input"], json!({"a": 1}));
    }
}

#[test]
fn a_doubt_is_settled_beside_a_server() {
    let running = engine!().start();
    let story = Story::record(&running);
    let line =
        |more: &str| format!("resolve {} --evidence 'seen in the ledger' {more}", story.doubtful);
    assert_output!(verb(running.builder(), &line("--ran --attempt 2")), @"
    exit 1
    -- stderr
    the execution is in_doubt at attempt 1, not in doubt at attempt 2
    ");
    assert_output!(verb(running.builder(), &line(r#"--ran --attempt 1 --output '{"id":7}'"#)), @"
    exit 0
    Execution [id] is now completed (executed).
    ");
    assert_output!(verb(running.builder(), &line("--did-not-run")), @"
    exit 1
    -- stderr
    Execution [id] is not in doubt: it is completed.
    ");
    let settled = running.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!((&settled["status"], &settled["output"]), (&json!("completed"), &json!({"id": 7})));
}

#[test]
fn a_doubt_is_settled_without_a_server() {
    let running = engine!().start();
    let story = Story::record(&running);
    let stopped = running.kill();
    let line = format!("resolve {} --did-not-run --evidence 'no trace'", story.doubtful);
    assert_output!(verb(&stopped, &line), @"
    exit 0
    Execution [id] is now failed (not executed).
    ");
    assert_output!(verb(&stopped, &line), @"
    exit 1
    -- stderr
    Execution [id] is not in doubt: it is failed.
    ");
    let again = stopped.start();
    let settled = again.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!(settled["status"], "failed");
}

#[test]
fn verify_says_yes_and_no() {
    let running = engine!().start();
    Story::record(&running);
    let beside = verb(running.builder(), "verify");
    assert_output!(beside, @"
    exit 0
    Head: [seq:hash]
    12 event(s) and 5 execution(s) checked, 0 problem(s) found.
    ");
    let report: Value =
        serde_json::from_str(&stdout(&verb(running.builder(), "verify --json"))).unwrap();
    let head = report["head"].as_str().unwrap();
    assert_eq!(report["findings"], json!([]));
    let stopped = running.kill();
    stdout(&verb(&stopped, &format!("verify --head {head}")));
    let (seq, hash) = head.split_once(':').unwrap();
    let beyond = format!("{}:{hash}", seq.parse::<u64>().unwrap() + 1_000);
    assert_eq!(verb(&stopped, &format!("verify --head {beyond}")).status.code(), Some(1));
}
