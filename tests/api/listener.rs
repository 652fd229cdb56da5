//! Which clients and bodies the listener accepts, over a real socket.

use std::io::ErrorKind;

use testkit::{Client, Engine, Response, engine};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"get_stats"}"#;

const HOST: &str = "Host: 127.0.0.1:{port}";
const JSON: &str = "Content-Type: application/json";

/// Sends a request of these lines, with `{port}` filled in, and a body.
fn send(engine: &Engine, line: &str, fields: &[&str], body: &str) -> Response {
    let mut text = format!("{line} HTTP/1.1\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    let text = format!("{text}Content-Length: {}\r\n\r\n{body}", body.len());
    let text = text.replace("{port}", &engine.api.port().to_string());
    let mut client = Client::connect(engine.api).unwrap();
    client.write(text.into_bytes()).unwrap();
    client.answer(line.split(' ').next().unwrap()).unwrap()
}

#[test]
fn foreign_pages_hosts_and_bodies_are_refused() {
    let engine = engine!()
        .arg("--no-proxy")
        .arg("--allow-host=engine.internal")
        .arg("--allow-origin=https://app.example")
        .start();
    let table: &[(&str, &[&str], u16, &str)] = &[
        ("POST /", &[HOST, JSON], 200, ""),
        ("POST /any/path?at=all", &[HOST, JSON], 200, ""),
        ("POST /", &["Host: localhost:{port}", JSON], 200, ""),
        ("POST /", &["Host: [::1]:{port}", JSON], 200, ""),
        ("POST /", &["Host: engine.internal", JSON], 200, ""),
        ("POST http://127.0.0.1:{port}/", &[HOST, JSON], 200, ""),
        ("POST /", &[HOST, "Content-Type: APPLICATION/json;charset=UTF-8; a=b"], 200, ""),
        ("POST /", &[HOST, JSON, "Origin: http://localhost:{port}"], 200, ""),
        ("POST /", &[HOST, JSON, "Origin: https://app.example"], 200, ""),
        ("POST /", &[HOST, JSON, "Sec-Fetch-Site: none"], 200, ""),
        ("POST /", &["Host: evil.example:{port}", JSON], 421, "FOREIGN_HOST"),
        ("POST /", &["Host: 127.0.0.1:1", JSON], 421, "FOREIGN_HOST"),
        ("POST /", &["Host: 127.0.0.1", JSON], 421, "FOREIGN_HOST"),
        ("POST /", &[HOST, "Host: evil.example", JSON], 421, "FOREIGN_HOST"),
        ("POST http://evil.example/", &[HOST, JSON], 421, "FOREIGN_HOST"),
        ("POST /", &[HOST, JSON, "Origin: null"], 403, "FOREIGN_ORIGIN"),
        ("POST /", &[HOST, JSON, "Origin: http://evil.example"], 403, "FOREIGN_ORIGIN"),
        (
            "POST /",
            &[HOST, JSON, "Origin: http://localhost:{port}", "Origin: http://localhost:{port}"],
            403,
            "FOREIGN_ORIGIN",
        ),
        ("POST /", &[HOST, JSON, "Sec-Fetch-Site: cross-site"], 403, "FOREIGN_ORIGIN"),
        ("POST /", &[HOST, JSON, "Sec-Fetch-Site: same-site"], 403, "FOREIGN_ORIGIN"),
        ("POST /", &[HOST], 415, "MEDIA_TYPE"),
        ("POST /", &[HOST, "Content-Type: text/plain"], 415, "MEDIA_TYPE"),
        ("POST /", &[HOST, "Content-Type: application/x-www-form-urlencoded"], 415, "MEDIA_TYPE"),
        ("POST /", &[HOST, JSON, "Content-Encoding: gzip"], 415, "MEDIA_TYPE"),
    ];
    for (line, fields, status, code) in table {
        let answer = send(&engine, line, fields, CALL);
        assert_eq!(answer.status, *status, "{line} {fields:?}: {}", answer.text());
        let received =
            answer.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(received, *code, "{line} {fields:?}");
        let let_in = answer.header("access-control-allow-origin");
        let foreign = fields.contains(&"Origin: https://app.example");
        assert_eq!(let_in.is_some(), foreign, "{fields:?}");
    }
    assert!(engine.metric("state_engine_api_refused_total", &["FOREIGN_HOST"]) >= 5.0);

    let allowed = send(&engine, "OPTIONS /", &[HOST, "Origin: https://app.example"], "");
    assert_eq!(allowed.status, 204);
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("content-type, authorization, last-event-id")
    );
    let own = send(&engine, "OPTIONS /", &[HOST], "");
    assert_eq!((own.status, own.header("allow")), (405, Some("GET, HEAD, POST")));
    assert_eq!(send(&engine, "DELETE /", &[HOST], "").status, 405);
    assert_eq!(send(&engine, "GET /nothing", &[HOST], "").status, 404);
    assert_eq!(send(&engine, "GET /", &[HOST], "").status, 200);
    assert_eq!(send(&engine, "GET /healthz", &["Host: evil.example"], "").status, 421);
}

#[test]
fn a_token_is_required_if_one_is_set() {
    let engine = engine!().arg("--no-proxy").env("STATE_ENGINE_TOKEN", "0123456789abcdef").start();
    let right = "Authorization: Bearer 0123456789abcdef";
    let wrong = "Authorization: Bearer 0123456789abcdeF";
    for (line, fields, status) in [
        ("POST /", &[HOST, JSON, right][..], 200),
        ("POST /", &[HOST, JSON, wrong], 401),
        ("POST /", &[HOST, JSON], 401),
        ("POST /", &[HOST, JSON, right, right], 401),
        ("GET /metrics", &[HOST], 401),
        ("GET /metrics", &[HOST, right], 200),
        ("GET /healthz", &[HOST], 200),
        ("GET /readyz", &[HOST], 200),
    ] {
        let answer = send(&engine, line, fields, CALL);
        assert_eq!(answer.status, status, "{line} {fields:?}: {}", answer.text());
        let challenged = answer.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401, "{line} {fields:?}");
    }
    assert!(!engine.log().contains("0123456789abcde"));
}

#[test]
fn a_body_over_a_limit_gets_an_error() {
    const MIB: usize = 1024 * 1024;
    let engine = engine!().arg("--no-proxy").start();
    let (user, session, goal) = engine.goal("ada");
    let call = |input: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"create_tool_execution","params":{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"t","tool_input":{input}}}}}"#
        )
    };
    let sized = |size: usize| call(&format!("\"{}\"", "x".repeat(size - call("\"\"").len())));
    let most = engine.try_rpc_text(&sized(10 * MIB)).unwrap();
    assert_eq!(most.status, 200);
    assert_eq!(most.json()["result"]["status"], "pending");
    let over = send(
        &engine,
        "POST /",
        &["Host: 127.0.0.1:{port}", "Content-Type: application/json", "Connection: close"],
        &sized(10 * MIB + 1),
    );
    assert_eq!((over.status, over.json()["error"]["code"].clone()), (413, (-32018).into()));

    let nested = |n: usize| call(&format!("{}{}", "[".repeat(n), "]".repeat(n)));
    let most = engine.try_rpc_text(&nested(128)).unwrap().text();
    assert!(most.contains(r#""status":"pending""#), "{most}");
    let deep = engine.try_rpc_text(&nested(129)).unwrap().json();
    assert_eq!(deep["error"]["code"], -32018, "{deep}");
    assert_eq!(deep["error"]["data"]["field"], "tool_input", "{deep}");
    let deepest = engine.try_rpc_text(&nested(4 * MIB)).unwrap().json();
    assert_eq!(deepest["error"]["code"], -32018);
}

/// The limits are the proxy's (10 s for a head); those of tests are longer than these, and far shorter
/// than none.
#[test]
fn slow_heads_are_given_up_and_kept_connections_are_not() {
    let engine = engine!().arg("--no-proxy").start();
    let call = |client: &mut Client| {
        let length = CALL.len();
        let port = engine.api.port();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{JSON}\r\nContent-Length: {length}"
        );
        client.write(format!("{head}\r\n\r\n{CALL}")).unwrap();
        assert_eq!(client.answer("POST").unwrap().status, 200);
    };
    let mut kept = Client::connect(engine.api).unwrap();
    call(&mut kept);
    let begun = ["G", "GET /healthz HTTP/1.1\r\nHost: 127"];
    let mut slow: Vec<_> = begun
        .iter()
        .map(|head| {
            let mut client = Client::connect(engine.api).unwrap();
            client.write(*head).unwrap();
            client
        })
        .collect();
    // The second head of a connection has the same limit as its first.
    let mut second = Client::connect(engine.api).unwrap();
    call(&mut second);
    second.write("POST / HT").unwrap();
    slow.push(second);
    for client in &mut slow {
        let ended = client.wire.read_head();
        let is_open = ended.as_ref().is_err_and(|error| {
            [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
        });
        assert!(!is_open, "{ended:?}");
    }
    // Idle all this time, and longer than a head may take.
    call(&mut kept);
}
