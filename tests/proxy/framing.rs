//! Targets, framing and header fields: nothing malformed reaches a tool.

use testkit::{Client, Request, Response, Upstream, engine};

/// Sends these bytes. `None`: the proxy closed without an answer.
fn raw(engine: &testkit::Engine, bytes: impl AsRef<[u8]>) -> Option<Response> {
    let mut client = Client::connect(engine.proxy).unwrap();
    let _ = client.write(bytes);
    let _ = client.wire.stream.shutdown(std::net::Shutdown::Write);
    client.answer("POST").ok()
}

#[test]
fn malformed_requests_get_a_4xx_or_501_and_reach_nobody() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let host = upstream.addr;
    let url = upstream.url("/");
    let request = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n{rest}");
    let get = |fields: &str| request(&format!("GET {url}"), &format!("{fields}\r\n"));
    let post = |fields: &str, body: &str| {
        request(&format!("POST {url}"), &format!("{fields}\r\n\r\n{body}"))
    };
    let one = "Content-Length: 1\r\n\r\nx";
    let chunked = "Transfer-Encoding: chunked";
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("two hosts", post(&format!("Host: {host}\r\nContent-Length: 1"), "x"), &[400]),
        ("two other hosts", get("Host: evil.example\r\n"), &[400]),
        ("userinfo", request(&format!("POST http://user:pw@{host}/"), one), &[400]),
        ("https", request(&format!("POST https://{host}/"), one), &[400, 501]),
        ("ws", request(&format!("GET ws://{host}/"), "\r\n"), &[400, 501]),
        ("ftp", request(&format!("GET ftp://{host}/"), "\r\n"), &[400, 501]),
        (
            "no authority",
            "POST http:/// HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx".to_owned(),
            &[400],
        ),
        ("gzip, chunked", post("Transfer-Encoding: gzip, chunked", "1\r\nx\r\n0\r\n\r\n"), &[501]),
        ("unknown coding", post("Transfer-Encoding: xchunked", "1\r\nx\r\n0\r\n\r\n"), &[400, 501]),
        ("two lengths", post("Content-Length: 1\r\nContent-Length: 2", "xy"), &[400]),
        ("a signed length", post("Content-Length: +1", "x"), &[400]),
        ("a space before the colon", post("Transfer-Encoding : chunked", "0\r\n\r\n"), &[400]),
        ("a folded field", post("X-A: 1\r\n 2\r\nContent-Length: 1", "x"), &[400]),
        ("a bad chunk size", post(chunked, "zz\r\nx\r\n0\r\n\r\n"), &[400]),
        ("a body that breaks off", post("Content-Length: 10", "x"), &[400, 408]),
        ("a chunked body that breaks off", post(chunked, "5\r\nab"), &[400, 408]),
        ("no HTTP at all", "hello\r\n\r\n".to_owned(), &[400]),
        (
            "a huge target",
            request(&format!("GET http://{host}/{}", "a".repeat(70_000)), "\r\n"),
            &[414, 431],
        ),
        ("a huge field", get(&format!("X: {}\r\n", "a".repeat(2_000_000))), &[431]),
        ("too many fields", get(&"X-A: 1\r\n".repeat(400)), &[431]),
        ("TRACE", request(&format!("TRACE {url}"), "\r\n"), &[405]),
    ];
    for (name, bytes, statuses) in cases {
        // If hyper cannot read a body, it closes the connection without an answer.
        if let Some(answer) = raw(&engine, bytes) {
            assert!(statuses.contains(&answer.status), "{name}: {answer:?} {}", answer.text());
        } else {
            assert!(name.contains("huge") || name.contains("breaks off"), "{name}: no answer");
        }
    }
    assert_eq!(upstream.hits(), 0);
    assert!(engine.proxied().is_empty());
    engine.post(&url, "still there").assert_is(200, "executed");
}

#[test]
fn an_origin_form_request_gets_a_hint_about_the_port() {
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client
        .write(format!(
            "POST /send HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\nx",
            engine.proxy
        ))
        .unwrap();
    let answer = client.answer("POST").unwrap();
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("HTTP_PROXY"), "{}", answer.text());
    let mut client = Client::connect(engine.proxy).unwrap();
    client
        .write("POST /send HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx")
        .unwrap();
    assert_eq!(client.answer("POST").unwrap().status, 421);
}

#[test]
fn the_uris_authority_wins_over_host() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let bytes = format!(
        "POST {} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx",
        upstream.url("/a")
    );
    raw(&engine, bytes).unwrap().assert_is(200, "executed");
    assert_eq!(upstream.only().header("host"), Some(&*upstream.addr.to_string()));
    engine.send(&Request::post(&upstream.url("/a"), "x").header("Agent-Run", "2"));
}

#[test]
fn te_wins_over_length_and_the_body_is_framed_again() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let smuggled = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\nx\r\n0\r\n\r\nPOST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        upstream.url("/a"),
        upstream.addr,
        upstream.url("/smuggled"),
    );
    if let Some(answer) = raw(&engine, smuggled) {
        if answer.status == 200 {
            let sent = upstream.only();
            assert_eq!((sent.target(), &*sent.body), ("/a", &b"x"[..]));
            assert_eq!(sent.header("transfer-encoding"), None);
            assert_eq!(sent.header("content-length"), Some("1"));
        } else {
            assert_eq!(answer.status, 400);
        }
    }
    assert!(upstream.received().iter().all(|request| request.target() != "/smuggled"));
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let upstream = Upstream::start(|_, exchange| {
        let fields = [
            ("Connection", "X-Private, close"),
            ("X-Private", "1"),
            ("Proxy-Authenticate", "Basic"),
            ("Trailer", "X-T"),
            ("X-Public", "1"),
        ];
        exchange.answer(200, &fields, b"ok");
        exchange.close();
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x")
        .header("Connection", "X-Secret, Host, Authorization, keep-alive")
        .header("X-Secret", "1")
        .header("Authorization", "Bearer t")
        .header("Proxy-Connection", "keep-alive")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers, deflate")
        .header("Proxy-Authorization", "Basic czpw")
        .header("X-Kept", "1");
    let answer = engine.send(&request);
    answer.assert_is(200, "executed");
    for name in ["x-private", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_eq!(answer.header("x-public"), Some("1"));
    let sent = upstream.only();
    for name in
        ["x-secret", "proxy-connection", "keep-alive", "proxy-authorization", "transfer-encoding"]
    {
        assert_eq!(sent.header(name), None, "{sent:?}");
    }
    assert!(sent.header("te").is_none_or(|te| te == "trailers"), "{sent:?}");
    assert_eq!(sent.header("authorization"), Some("Bearer t"), "Connection cannot name it away");
    assert_eq!(sent.header("host"), Some(&*upstream.addr.to_string()));
    assert_eq!(sent.header("x-kept"), Some("1"));
}

#[test]
fn path_and_query_bytes_reach_the_tool_unchanged() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    for path in [
        "/a%2Fb/%zz/../x;y=1,2?q=%C3%A9&&=#x",
        "//double//slash",
        "/?",
        "/a?b?c",
        "/%7Euser",
        "/~user",
    ] {
        let expected = path.split('#').next().unwrap();
        let answer = engine.send(&Request::post(&upstream.url(expected), "x"));
        answer.assert_is(200, "executed");
        assert_eq!(upstream.received().last().unwrap().target(), expected);
    }
}

#[test]
fn expect_is_answered_by_the_proxy_and_not_passed_on() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client
        .write(format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            upstream.url("/"),
            upstream.addr
        ))
        .unwrap();
    let interim = client.wire.read_head().unwrap().unwrap();
    assert!(interim.line.contains(" 100"), "{interim:?}");
    client.write("x").unwrap();
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(upstream.only().header("expect"), None);
}

#[test]
fn a_refusal_by_policy_comes_before_the_body_is_requested() {
    let engine = engine!().arg("--max-request").arg("1MiB").start();
    for head in [
        "POST http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\nContent-Length: 5\r\n"
            .to_owned(),
        "POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\nContent-Length: 2000000\r\n"
            .to_owned(),
        "POST http://127.0.0.1:9/mcp HTTP/1.1\r\nHost: 127.0.0.1:9\r\nContent-Length: 5\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Mcp-Method: tools/call\r\nAgent-User: nobody\r\n"
            .to_owned(),
    ] {
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(format!("{head}Expect: 100-continue\r\n\r\n")).unwrap();
        let first = client.wire.read_head().unwrap().unwrap();
        let refused = [" 403", " 404", " 413"].iter().any(|status| first.line.contains(status));
        assert!(refused, "{head} {first:?}");
    }
}

#[test]
fn chunked_requests_and_their_trailers_arrive() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let chunked = |trailer: &str| {
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Sum: {trailer}\r\n\r\n",
            upstream.url("/"),
            upstream.addr
        )
    };
    raw(&engine, chunked("1")).unwrap().assert_is(200, "executed");
    raw(&engine, chunked("1")).unwrap().assert_is(200, "replayed");
    raw(&engine, chunked("2")).unwrap().assert_is(200, "executed");
    let received = upstream.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, b"abcde");
    assert_eq!(received[0].trailers, [("X-Sum".to_owned(), "1".to_owned())], "{:?}", received[0]);
}

#[test]
fn answers_without_a_body_have_none_whatever_their_head_says() {
    let upstream = Upstream::start(|request, exchange| match request.target() {
        "/head" => exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n"),
        _ => exchange.write("HTTP/1.1 204 No Content\r\n\r\n"),
    });
    let engine = engine!().start();
    let head = engine.send(&Request::new("HEAD", &upstream.url("/head")));
    assert_eq!((head.status, head.header("content-length")), (200, Some("4096")));
    let request = Request::post(&upstream.url("/none"), "x");
    for word in ["executed", "replayed"] {
        let none = engine.send(&request);
        none.assert_is(204, word);
        assert!(none.body.is_empty());
        assert_eq!(none.header("content-length"), None, "{none:?}");
        assert_eq!(none.header("transfer-encoding"), None, "{none:?}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    let calls: Vec<Request> =
        ["a", "b", "a"].iter().map(|body| Request::post(&upstream.url("/"), *body)).collect();
    client.write(calls.iter().flat_map(Request::to_proxy).collect::<Vec<u8>>()).unwrap();
    let words: Vec<String> =
        (0..3).map(|_| client.answer("POST").unwrap().word().to_owned()).collect();
    assert_eq!(words, ["executed", "executed", "replayed"]);
    assert_eq!(upstream.hits(), 2);
}
