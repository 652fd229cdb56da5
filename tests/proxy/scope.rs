//! The scope of a call, by headers and by proxy credentials; and required tokens.

use serde_json::{Value, json};
use testkit::{Client, Engine, Request, Response, Upstream, basic, engine};

fn execution(engine: &Engine, answer: &Response) -> Value {
    let id = answer.header("agent-execution-id").unwrap_or_else(|| panic!("{answer:?}"));
    engine.rpc("get_tool_execution", &json!({"id": id}))
}

#[test]
fn without_scope_a_call_belongs_to_local_in_the_session_default() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let made = execution(&engine, &engine.post(&upstream.url("/"), "x"));
    let user = engine.rpc("get_user", &json!({"id": made["user_id"]}));
    let session = engine.rpc("get_session", &json!({"id": made["session_id"]}));
    let goal = engine.rpc("get_goal", &json!({"id": made["goal_id"]}));
    assert_eq!(user["username"], "local");
    assert_eq!(session["metadata"]["name"], "default");
    assert_eq!(goal["title"], "HTTP tool calls");
}

#[test]
fn a_name_creates_or_finds_a_session_and_a_uuid_finds_it() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x").header("Agent-Session", "trip to Rome");
    let first = engine.send(&request);
    first.assert_is(200, "executed");
    engine.send(&request).assert_is(200, "replayed");
    let made = execution(&engine, &first);
    let session = made["session_id"].as_str().unwrap();
    engine
        .send(&Request::post(&upstream.url("/"), "x").header("Agent-Session", session))
        .assert_is(200, "replayed");
    // The same call in another session is a different call.
    engine
        .send(&Request::post(&upstream.url("/"), "x").header("Agent-Session", "trip to Oslo"))
        .assert_is(200, "executed");
    engine.post(&upstream.url("/"), "x").assert_is(200, "executed");
    assert_eq!(upstream.hits(), 3);
    for received in upstream.received() {
        assert!(received.header("agent-session").is_none(), "{received:?}");
    }
}

#[test]
fn proxy_credentials_name_the_session_too() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    let first = engine.send(&request.clone().header("Proxy-Authorization", &basic("rome", "any")));
    first.assert_is(200, "executed");
    engine.send(&request.clone().header("Agent-Session", "rome")).assert_is(200, "replayed");
    let both = request.clone().header("Proxy-Authorization", &basic("rome", ""));
    engine.send(&both.clone().header("Agent-Session", "rome")).assert_is(200, "replayed");
    engine.send(&both.header("Agent-Session", "oslo")).assert_problem(400, "malformed");
    assert_eq!(upstream.hits(), 1);
    assert_eq!(upstream.only().header("proxy-authorization"), None);

    let own = upstream.addr.to_string();
    let credentials = format!("Proxy-Authorization: {}\r\n", basic("rome", "any"));
    let (mut tunnel, head) = Client::tunnel(engine.proxy, &own, &credentials).unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    tunnel.ask(&request).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn users_sessions_and_goals_must_exist_and_belong_together() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let (user, session, goal) = engine.goal("ada");
    let (_, foreign_session, foreign_goal) = engine.goal("bob");
    let nobody = "0198c0de-0000-7000-8000-000000000000";
    let request = Request::post(&upstream.url("/"), "x");
    let with = |fields: &[(&str, &str)]| {
        let request = fields
            .iter()
            .fold(request.clone(), |request, (name, value)| request.header(name, value));
        engine.send(&request)
    };
    let made = execution(
        &engine,
        &with(&[("Agent-User", "ada"), ("Agent-Session", &session), ("Agent-Goal", &goal)]),
    );
    assert_eq!((made["user_id"].as_str(), made["goal_id"].as_str()), (Some(&*user), Some(&*goal)));
    with(&[("Agent-User", &user), ("Agent-Session", &session), ("Agent-Goal", &goal)])
        .assert_is(200, "replayed");
    with(&[("Agent-Session", &session), ("Agent-Goal", &goal)]).assert_is(200, "replayed");

    with(&[("Agent-User", "nobody")]).assert_problem(404, "unknown-scope");
    with(&[("Agent-User", nobody)]).assert_problem(404, "unknown-scope");
    with(&[("Agent-Session", nobody)]).assert_problem(404, "unknown-scope");
    with(&[("Agent-Session", &session), ("Agent-Goal", nobody)])
        .assert_problem(404, "unknown-scope");
    with(&[("Agent-Session", &session), ("Agent-Goal", &foreign_goal)])
        .assert_problem(404, "unknown-scope");
    with(&[("Agent-User", "ada"), ("Agent-Session", &foreign_session)])
        .assert_problem(403, "foreign-scope");
    with(&[("Agent-Goal", "no uuid")]).assert_problem(400, "malformed");
    let mut ended = engine.rpc("get_session", &json!({"id": session}));
    ended["status"] = json!("completed");
    engine.rpc("update_session", &json!({"session": ended}));
    with(&[("Agent-Session", &session)]).assert_problem(410, "session-ended");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn two_users_never_share_a_key_or_a_result() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    engine.rpc("create_user", &json!({"username": "ada"}));
    engine.rpc("create_user", &json!({"username": "bob"}));
    let request = Request::post(&upstream.url("/"), "x").key("k");
    let ada = engine.send(&request.clone().header("Agent-User", "ada"));
    let bob = engine.send(&request.clone().header("Agent-User", "bob"));
    ada.assert_is(200, "executed");
    bob.assert_is(200, "executed");
    assert_ne!(ada.body, bob.body);
    let other = Request::post(&upstream.url("/"), "y").key("k").header("Agent-User", "bob");
    engine.send(&other).assert_problem(422, "key-reuse");
    engine.send(&request.header("Agent-User", "ada")).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn reads_carry_no_header_of_the_engine() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::get(&upstream.url("/"))
        .header("Agent-Session", "rome")
        .header("Agent-Run", "7")
        .header("Idempotency-Retry-Token", "t");
    let answer = engine.send(&request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("agent-execution-id"), None);
    let sent = upstream.only();
    for name in ["agent-session", "agent-run", "idempotency-retry-token"] {
        assert_eq!(sent.header(name), None);
    }
}

#[test]
fn required_tokens_are_checked_and_bind_the_session() {
    let upstream = Upstream::echo();
    let engine = engine!().arg("--require-token").start();
    let database = engine.builder().database_path().to_owned();
    let token = |session: &str| {
        let args = ["token", session, "--database", database.to_str().unwrap()];
        let output = engine.builder().cli(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (rome, oslo) = (token("rome"), token("oslo"));
    assert_ne!(rome, oslo);
    let request = Request::post(&upstream.url("/"), "x");
    let missing = engine.send(&request);
    missing.assert_problem(407, "credentials");
    assert!(missing.header("proxy-authenticate").is_some(), "{missing:?}");
    for (session, password) in [("rome", "wrong"), ("rome", ""), ("rome", &*oslo)] {
        let bad = request.clone().header("Proxy-Authorization", &basic(session, password));
        engine.send(&bad).assert_problem(407, "credentials");
    }
    let (_, head) = Client::tunnel(engine.proxy, &upstream.addr.to_string(), "").unwrap();
    assert!(head.line.contains(" 407"), "{head:?}");
    assert_eq!(engine.send(&Request::get(&upstream.url("/"))).status, 407);
    assert_eq!(upstream.hits(), 0);

    let good = request.header("Proxy-Authorization", &basic("rome", &rome));
    engine.send(&good).assert_is(200, "executed");
    let refused = engine.send(&good.clone().header("Agent-User", "local"));
    assert!((400..500).contains(&refused.status), "{refused:?}");
    let other_session = engine.send(&good.clone().header("Agent-Session", "oslo"));
    assert!((400..500).contains(&other_session.status), "{other_session:?}");
    // The token survives a restart: the store has its secret.
    let engine = engine.kill_and_restart();
    engine.send(&good).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
    assert_eq!(upstream.only().header("proxy-authorization"), None);
}

/// `src/launch/java_port.rs` leads clients to the proxy that cannot send credentials themselves.
#[test]
fn every_call_in_a_tunnel_to_the_proxy_itself_has_the_tunnels_credentials() {
    let upstream = Upstream::echo();
    let engine = engine!().arg("--require-token").start();
    let database = engine.builder().database_path().to_str().unwrap().to_owned();
    let token = engine.builder().cli(["token", "rome", "--database", &database]).stdout;
    let token = String::from_utf8(token).unwrap();
    let own = engine.proxy.to_string();
    let (_, head) = Client::tunnel(engine.proxy, &own, "").unwrap();
    assert!(head.line.contains(" 407"), "{head:?}");
    let open = || {
        let fields = format!("Proxy-Authorization: {}\r\n", basic("rome", token.trim()));
        let (tunnel, head) = Client::tunnel(engine.proxy, &own, &fields).unwrap();
        assert!(head.line.contains(" 200"), "{head:?}");
        tunnel
    };
    let connect =
        |authority: &str| format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");

    let request = Request::post(&upstream.url("/"), "x");
    let mut tunnel = open();
    for word in ["executed", "replayed"] {
        tunnel.write(request.to_proxy()).unwrap();
        let answer = tunnel.answer("POST").unwrap();
        answer.assert_is(200, word);
        let session = json!({"id": execution(&engine, &answer)["session_id"]});
        assert_eq!(engine.rpc("get_session", &session)["metadata"]["name"], "rome");
    }
    tunnel.write(connect(&upstream.addr.to_string())).unwrap();
    assert!(tunnel.head().unwrap().line.contains(" 200"));
    tunnel.ask(&request).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);

    let mut tunnel = open();
    let other = request.header("Proxy-Authorization", &basic("oslo", "x"));
    tunnel.write(other.to_proxy()).unwrap();
    tunnel.answer("POST").unwrap().assert_problem(400, "malformed");
    let mut tunnel = open();
    tunnel.write(connect(&own)).unwrap();
    tunnel.answer("GET").unwrap().assert_problem(501, "unsupported");
}

#[test]
fn the_run_of_the_agent_is_in_the_log_and_not_in_the_key() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let of =
        |run: &str| engine.send(&Request::post(&upstream.url("/"), "x").header("Agent-Run", run));
    let first = of("morning");
    first.assert_is(200, "executed");
    of("evening").assert_is(200, "replayed");
    assert!(upstream.only().header("agent-run").is_none());
    let id = first.header("agent-execution-id").unwrap();
    let events = engine.rpc("list_events", &json!({"execution_id": id}));
    let claimed = events.as_array().or(events["items"].as_array()).unwrap()[0].clone();
    assert_eq!(claimed["detail"]["run"], "morning", "{claimed}");
}
