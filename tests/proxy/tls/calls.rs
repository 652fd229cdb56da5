//! Calls in an intercepted tunnel: guarded, scoped, and different from calls over clear HTTP.

use testkit::{Client, Ending, Framing, Request, Upstream, basic};

use super::{Bed, path, trusting};

#[test]
fn a_call_in_an_intercepted_tunnel_is_guarded() {
    let bed = Bed::new(Upstream::echo());
    let mut tunnel = bed.tunnel();
    let call = Request::post(&bed.url("/act?q=%2F"), "a")
        .header("Proxy-Authorization", "Bearer x")
        .header("Agent-Run", "r");
    let first = tunnel.ask(&call);
    first.assert_is(200, "executed");
    assert_eq!(first.text(), "1 POST /act?q=%2F a");
    tunnel.ask(&call).assert_is(200, "replayed");
    bed.post("/act?q=%2F", "a").assert_is(200, "replayed");
    bed.post("/act?q=%2F", "b").assert_is(200, "executed");
    assert_eq!(tunnel.ask(&Request::get(&bed.url("/read"))).text(), "3 GET /read ");
    let received = &bed.upstream.received()[0];
    assert_eq!(received.header("host"), Some(&*bed.authority()));
    assert_eq!(received.header("proxy-authorization"), None, "{received:?}");
    assert_eq!(received.header("agent-run"), None, "{received:?}");
    assert_eq!(bed.engine.proxied().len(), 2);
    let execution = bed.engine.proxied().remove(0);
    assert!(execution.to_string().contains(&bed.url("/act")), "{execution}");
}

#[test]
fn https_and_http_are_different_origins() {
    let bed = Bed::new(Upstream::echo());
    bed.post("/act", "a").assert_is(200, "executed");
    // Clear HTTP in a tunnel to an intercepted host is guarded, as in any other tunnel.
    let clear = bed.upstream.url("/act").replace("127.0.0.1", "localhost");
    let authority = format!("localhost:{}", bed.upstream.addr.port());
    let (mut tunnel, _) = Client::tunnel(bed.engine.proxy, &authority, "").unwrap();
    let call = Request::post(&clear, "a");
    tunnel.ask(&call).assert_is(200, "executed");
    bed.engine.send(&call).assert_is(200, "replayed");
    assert_eq!(bed.upstream.hits(), 2);
}

#[test]
fn requests_in_a_tunnel_have_the_tunnels_scope() {
    let bed = Bed::with(Upstream::echo(), Ending::Clean, |builder| builder.arg("--require-token"));
    let builder = bed.engine.builder();
    let token = builder.cli(["token", "nightly", "--database", path(builder.database_path())]);
    let token = String::from_utf8(token.stdout).unwrap();
    let fields = format!("Proxy-Authorization: {}\r\n", basic("nightly", token.trim()));
    let client = trusting(&bed.engine);
    let refused = client.tunnel(bed.engine.proxy, &bed.authority(), "localhost", "");
    assert!(refused.is_err_and(|error| error.to_string().contains("407")));
    let (mut tunnel, _) =
        client.tunnel(bed.engine.proxy, &bed.authority(), "localhost", &fields).unwrap();
    tunnel.ask(&Request::post(&bed.url("/"), "x")).assert_is(200, "executed");
    let session = bed.engine.proxied()[0]["session_id"].clone();
    let session = bed.engine.rpc("get_session", &serde_json::json!({ "id": session }));
    assert_eq!(session["metadata"]["name"], "nightly");
}

#[test]
fn an_answer_that_ends_without_close_notify_is_truncated() {
    let script = || {
        Upstream::start(|_, exchange| {
            exchange.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
            exchange.close();
        })
    };
    let cut = Bed::with(script(), Ending::Cut, |builder| builder);
    cut.post("/", "x").assert_problem(502, "upstream-failed");
    cut.post("/", "x").assert_problem(424, "in-doubt");
    assert_eq!(cut.upstream.hits(), 1);

    let clean = Bed::with(script(), Ending::Clean, |builder| builder);
    let answer = clean.post("/", "x");
    answer.assert_is(200, "executed");
    assert_eq!(answer.text(), "all of it");
    let events = clean.engine.rpc("list_events", &serde_json::json!({})).to_string();
    assert!(!events.contains("unverified"), "{events}");
}

#[test]
fn an_upgrade_passes_through_the_opened_tunnel() {
    let upstream = Upstream::start(|request, exchange| {
        assert_eq!(request.header("upgrade"), Some("websocket"), "{request:?}");
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let received = exchange.wire.read_bytes(4).unwrap();
        exchange.write([b"got ", &received[..]].concat());
        exchange.close();
    });
    let bed = Bed::new(upstream);
    let mut client = bed.tunnel();
    let request = Request::get(&bed.url("/ws"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "x");
    client.write(request.to_origin()).unwrap();
    let head = client.wire.read_head().unwrap().unwrap();
    assert!(head.line.contains(" 101"), "{head:?}");
    client.write("ping").unwrap();
    assert_eq!(client.wire.read_rest(Framing::Close).0, b"got ping");
}

#[test]
fn sessions_resume() {
    let bed = Bed::new(Upstream::echo());
    let client = trusting(&bed.engine);
    let connect = || {
        let (mut tunnel, kind) =
            client.tunnel(bed.engine.proxy, &bed.authority(), "localhost", "").unwrap();
        // The tickets follow the handshake, so they arrive before this answer.
        assert_eq!(tunnel.ask(&Request::get(&bed.url("/"))).status, 200);
        format!("{kind:?}")
    };
    assert_eq!(connect(), "Full");
    assert_eq!(connect(), "Resumed");
}
