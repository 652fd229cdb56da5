//! Sessions and executions as people name them: by id, by the beginning of an id, sessions also by name.

use serde_json::{Value, json};
use testkit::{Builder, Engine, Request, Upstream, engine};

use crate::{shown, stdout, verb};

/// The sessions and executions of two sessions of one name, and one of another.
struct Named {
    first: String,
    newest: String,
    execution: String,
}

fn record(engine: &Engine) -> Named {
    let upstream = Upstream::echo();
    let send = |body: &str| {
        let request = Request::post(&upstream.url("/"), body).header("Agent-Session", "nightly");
        let sent = engine.send(&request);
        let id = sent.header("agent-execution-id").unwrap();
        let execution = engine.rpc("get_tool_execution", &json!({ "id": id }));
        (execution["session_id"].as_str().unwrap().to_owned(), id.to_owned())
    };
    let (first, _) = send("1");
    let done = json!({"session": {"id": first, "status": "completed"}});
    engine.rpc("update_session", &done);
    let (newest, execution) = send("2");
    assert_ne!(first, newest);
    Named { first, newest, execution }
}

/// The session that `replay` shows.
fn replayed(builder: &Builder, name: &str) -> String {
    let document = stdout(&verb(builder, &format!("replay --session \"{name}\" --json")));
    let document: Value = serde_json::from_str(&document).unwrap();
    document["session"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_verb_takes_a_name_or_the_beginning_of_an_id() {
    let running = engine!().start();
    let named = record(&running);
    let check = |builder: &Builder| {
        for name in
            ["nightly", &named.newest, &named.newest[..30], &named.newest.replace('-', "")[..20]]
        {
            assert_eq!(replayed(builder, name), named.newest, "{name}");
            let line = format!("executions --session {name} --json");
            let lines = stdout(&verb(builder, &line));
            let only: Value = serde_json::from_str(&lines).unwrap();
            assert_eq!(only["id"], json!(named.execution), "{name}");
        }
        // One that is over is found by its id.
        assert_eq!(replayed(builder, &named.first), named.first);
        assert_eq!(replayed(builder, &named.first.to_uppercase()[..35]), named.first);
        for line in ["replay --session", "executions --session", "resolve --ran --evidence x"] {
            for unknown in ["morning", "ffff", "01", "nightl", "0197-zz", "%", "nightly "] {
                let output = verb(builder, &format!("{line} \"{unknown}\""));
                assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert!(stderr.contains(&format!("is named {unknown:?}: give an id")), "{stderr}");
            }
        }
        // Both ids begin with the time.
        let common = &named.first[..4];
        let ambiguous = verb(builder, &format!("replay --session {common}"));
        assert_eq!(ambiguous.status.code(), Some(1), "{}", shown(&ambiguous));
        let stderr = String::from_utf8(ambiguous.stderr).unwrap();
        for id in [&named.first, &named.newest] {
            assert!(stderr.contains(id.as_str()), "{stderr}");
        }
    };
    check(running.builder());
    check(&running.kill());
}

#[test]
fn a_name_that_looks_like_the_beginning_of_an_id_is_a_name() {
    let running = engine!().start();
    let named = record(&running);
    let looks = named.first[..8].to_owned();
    let user = running.rpc("create_user", &json!({"username": "ada"}))["id"].clone();
    let session = running.rpc("create_session", &json!({"user_id": user, "name": looks}));
    assert_eq!(replayed(running.builder(), &looks), session["id"].as_str().unwrap());
}

#[test]
fn an_execution_is_settled_by_the_beginning_of_its_id() {
    let running = engine!().start();
    for stopped in [false, true] {
        let (user, session, goal) = running.goal(if stopped { "bob" } else { "ada" });
        let claimed = running.rpc(
            "execute_tool_idempotent",
            &json!({"user_id": user, "session_id": session, "goal_id": goal, "tool_name": "t",
                    "tool_input": 1, "lease": true}),
        );
        let lost = json!({"lease": claimed["lease"], "outcome": "unknown"});
        running.rpc("finish_tool_execution", &lost);
        let id = claimed["id"].as_str().unwrap().to_owned();
        let line = format!("resolve {} --did-not-run --evidence seen", &id[..32]);
        let output = if stopped {
            let stopped = running.kill();
            let output = verb(&stopped, &line);
            assert!(stdout(&output).contains(&id), "{}", shown(&output));
            return;
        } else {
            verb(running.builder(), &line)
        };
        assert!(stdout(&output).contains(&format!("Execution {id} is now failed")), "{output:?}");
    }
}

#[test]
fn serve_prints_the_proxys_url_with_a_session_that_works() {
    let upstream = Upstream::echo();
    for require_token in [false, true] {
        let builder = if require_token { engine!().arg("--require-token") } else { engine!() };
        let running = builder.start();
        let log = running.log();
        let printed = log.lines().find(|line| line.starts_with("Proxy")).unwrap();
        let url = printed.split("HTTP_PROXY=").nth(1).unwrap().trim_end_matches(')').to_owned();
        let token = stdout(&verb(running.builder(), "token my-agent"));
        let url = url.replace("TOKEN", token.trim());
        assert_eq!(require_token, url.contains(token.trim()), "{printed}");
        let sent = std::process::Command::new("curl")
            .args(["-sS", "-d", "x", "-x", &url, &upstream.url("/")])
            .output()
            .unwrap();
        assert!(sent.status.success(), "{sent:?}");
        let id = &running.proxied()[0]["session_id"];
        let session = running.rpc("get_session", &json!({ "id": id }));
        assert_eq!(session["metadata"]["name"], "my-agent", "{session}");
    }
}

#[test]
fn no_line_of_a_library_is_logged() {
    for level in [None, Some("info"), Some("debug"), Some("trace")] {
        let builder = engine!().arg("--log-format").arg("json");
        let builder = match level {
            Some(level) => builder.env("STATE_ENGINE_LOG", level),
            None => builder,
        };
        let running = builder.start();
        record(&running);
        running.terminate();
        let (_, builder) = running.wait();
        let log = std::fs::read_to_string(builder.home().join("engine.log")).unwrap();
        let lines: Vec<Value> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert!(lines.iter().any(|line| line["fields"]["message"] == "stopped"), "{log}");
        for line in &lines {
            let target = line["target"].as_str().unwrap();
            let own = ["openclaw_state_engine", "proxy", "proxy_core", "store", "store_core"];
            let top = target.split("::").next().unwrap();
            assert!(own.contains(&top), "{level:?}: {line}");
        }
    }
}
