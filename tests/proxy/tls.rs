//! TLS to upstreams and interception: what is verified, what is guarded, and what the CA can do.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use testkit::{
    Builder, Client, Ending, Engine, Framing, Request, TestCa, Trusting, Upstream, engine, text_of,
    wait_until,
};

/// An upstream behind TLS with a certificate of a CA of the test, and an engine that intercepts it.
struct Bed {
    engine: Engine,
    upstream: Upstream,
    secured: SocketAddr,
}

impl Bed {
    fn new(upstream: Upstream) -> Self {
        Self::with(upstream, Ending::Told, |builder| builder)
    }

    fn with(upstream: Upstream, ending: Ending, change: impl Fn(Builder) -> Builder) -> Self {
        let ca = TestCa::new();
        let secured = ca.sign(&["localhost"]).before(upstream.addr, ending);
        let builder =
            engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file());
        Self { engine: change(builder).start(), upstream, secured }
    }

    fn authority(&self) -> String {
        format!("localhost:{}", self.secured.port())
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.authority())
    }

    /// A client that trusts the engine's CA, in a tunnel of its own.
    fn tunnel(&self) -> Client {
        let client = trusting(&self.engine);
        client.tunnel(self.engine.proxy, &self.authority(), "localhost", "").unwrap().0
    }

    fn post(&self, path: &str, body: &str) -> testkit::Response {
        self.tunnel().ask(&Request::post(&self.url(path), body))
    }
}

fn trusting(engine: &Engine) -> Trusting {
    Trusting::new(&engine.ca_pem(), &["http/1.1"])
}

#[test]
fn a_call_inside_of_tls_is_guarded() {
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
fn https_and_http_are_two_places() {
    let bed = Bed::new(Upstream::echo());
    bed.post("/act", "a").assert_is(200, "executed");
    // Clear HTTP in a tunnel to an intercepted host is guarded as it is elsewhere.
    let clear = bed.upstream.url("/act").replace("127.0.0.1", "localhost");
    let authority = format!("localhost:{}", bed.upstream.addr.port());
    let (mut tunnel, _) = Client::tunnel(bed.engine.proxy, &authority, "").unwrap();
    let call = Request::post(&clear, "a");
    tunnel.ask(&call).assert_is(200, "executed");
    bed.engine.send(&call).assert_is(200, "replayed");
    assert_eq!(bed.upstream.hits(), 2);
}

#[test]
fn the_tunnels_scope_is_that_of_its_requests() {
    let bed = Bed::with(Upstream::echo(), Ending::Told, |builder| builder.arg("--require-token"));
    let builder = bed.engine.builder();
    let token = builder.cli(["token", "nightly", "--database", path(builder.database_path())]);
    let token = String::from_utf8(token.stdout).unwrap();
    let basic = base64(&format!("nightly:{}", token.trim()));
    let fields = format!("Proxy-Authorization: Basic {basic}\r\n");
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

fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

fn base64(text: &str) -> String {
    let mut encoded = Command::new("openssl")
        .args(["base64", "-A"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut encoded.stdin.take().unwrap(), text.as_bytes()).unwrap();
    String::from_utf8(encoded.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn an_inner_host_that_is_not_the_tunnels_is_misdirected() {
    let bed = Bed::new(Upstream::echo());
    let call = Request::post("https://elsewhere.example/", "x");
    let clear = Request::post(&bed.url("/").replace("https:", "http:"), "x");
    for (inner, status) in
        [(call.to_origin(), 421), (call.to_proxy(), 421), (clear.to_proxy(), 501)]
    {
        let mut tunnel = bed.tunnel();
        tunnel.write(inner).unwrap();
        assert_eq!(tunnel.answer("POST").unwrap().status, status);
    }
    assert_eq!(bed.upstream.hits(), 0);
}

#[test]
fn another_name_in_tls_than_in_connect_is_told_and_connect_decides() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost", "127.0.0.1"]).before(upstream.addr, Ending::Told);
    let engine = engine!()
        .arg("--intercept")
        .arg("localhost,127.0.0.1")
        .arg("--upstream-ca")
        .arg(ca.file())
        .start();
    // The certificate is for the host of CONNECT: a client that wants another one does not take it.
    let authority = format!("127.0.0.1:{}", secured.port());
    let client = trusting(&engine);
    let misled = client.tunnel(engine.proxy, &authority, "localhost", "");
    assert!(misled.is_err_and(|error| error.to_string().contains("certificate")));
    let (mut tunnel, _) = client.tunnel(engine.proxy, &authority, "127.0.0.1", "").unwrap();
    let call = Request::post(&format!("https://{authority}/"), "x");
    tunnel.ask(&call).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_wrong_certificate_is_refused_and_nothing_is_sent() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let of_nobody = TestCa::new();
    let table = [
        ("expired", ca.sign_until(&["localhost"], 2002)),
        ("not valid for", ca.sign(&["elsewhere.example"])),
        ("--upstream-ca", of_nobody.sign(&["localhost"])),
    ];
    let engine =
        engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file()).start();
    for (why, identity) in table {
        let authority =
            format!("localhost:{}", identity.before(upstream.addr, Ending::Told).port());
        let (mut tunnel, _) =
            trusting(&engine).tunnel(engine.proxy, &authority, "localhost", "").unwrap();
        let url = format!("https://{authority}/");
        let answer = tunnel.ask(&Request::post(&url, "x"));
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "never");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(why), "{why}: {detail}");
        tunnel.ask(&Request::get(&url)).assert_problem(502, "upstream-failed");
    }
    assert_eq!(upstream.hits(), 0);
    let proxied = engine.proxied();
    assert_eq!(proxied.len(), 3);
    assert!(proxied.iter().all(|one| one["outcome"] == "not_executed"), "{proxied:#?}");
}

#[test]
fn a_ca_may_be_for_one_host_alone() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost", "127.0.0.1"]).before(upstream.addr, Ending::Told);
    let named = format!("localhost={}", path(&ca.file()));
    let engine =
        engine!().arg("--intercept").arg("localhost,127.0.0.1").arg("--upstream-ca").arg(named);
    let engine = engine.start();
    for (host, status) in [("localhost", 200), ("127.0.0.1", 502)] {
        let authority = format!("{host}:{}", secured.port());
        let (mut tunnel, _) = trusting(&engine).tunnel(engine.proxy, &authority, host, "").unwrap();
        let answer = tunnel.ask(&Request::post(&format!("https://{authority}/"), "x"));
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(upstream.hits(), 1);
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

    let told = Bed::with(script(), Ending::Told, |builder| builder);
    let answer = told.post("/", "x");
    answer.assert_is(200, "executed");
    assert_eq!(answer.text(), "all of it");
    let events = told.engine.rpc("list_events", &serde_json::json!({})).to_string();
    assert!(!events.contains("unverified"), "{events}");
}

#[test]
fn an_upgrade_passes_through_the_opened_tunnel() {
    let upstream = Upstream::start(|request, exchange| {
        assert_eq!(request.header("upgrade"), Some("websocket"), "{request:?}");
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let said = exchange.wire.read_bytes(4).unwrap();
        exchange.write([b"got ", &said[..]].concat());
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
        // The tickets come behind the handshake, and so before this answer.
        assert_eq!(tunnel.ask(&Request::get(&bed.url("/"))).status, 200);
        format!("{kind:?}")
    };
    assert_eq!(connect(), "Full");
    assert_eq!(connect(), "Resumed");
}

#[test]
fn what_is_no_tls_passes_an_intercepted_host_blindly() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let engine = engine!().arg("--intercept").arg("localhost").start();
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &format!("localhost:{port}"), "").unwrap();
    tunnel.write("SSH-2.0-x\r\n").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut said = [0; 11];
    std::io::Read::read_exact(&mut server, &mut said).unwrap();
    assert_eq!(&said, b"SSH-2.0-x\r\n");
    // A client that waits for the server to speak first is given one to listen to.
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &format!("localhost:{port}"), "").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut server, b"220 mail\r\n").unwrap();
    assert_eq!(tunnel.wire.read_bytes(10).unwrap(), b"220 mail\r\n");
}

#[test]
fn a_client_that_distrusts_the_ca_is_told_of_once() {
    let bed = Bed::new(Upstream::echo());
    let client = Trusting::new(TestCa::new().pem(), &[]);
    for _ in 0..3 {
        let refused = client.tunnel(bed.engine.proxy, &bed.authority(), "localhost", "");
        assert!(refused.is_err_and(|error| error.to_string().contains("certificate")));
    }
    let told = || bed.engine.log().matches("does not trust the interception CA").count();
    wait_until("the log tells", || (told() > 0).then_some(()));
    // A handshake that succeeds comes behind the others.
    bed.post("/", "x").assert_is(200, "executed");
    assert_eq!(told(), 1, "{}", bed.engine.log());
}

#[test]
fn without_interception_tls_is_blind_and_there_is_no_ca() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Told);
    let engine = engine!().start();
    let client = Trusting::new(ca.pem(), &["http/1.1"]);
    let authority = format!("localhost:{}", secured.port());
    let (mut tunnel, _) = client.tunnel(engine.proxy, &authority, "localhost", "").unwrap();
    for _ in 0..2 {
        let answer = tunnel.ask(&Request::post(&format!("https://{authority}/"), "x"));
        assert_eq!((answer.status, answer.header("via")), (200, None));
    }
    assert_eq!(upstream.hits(), 2);
    assert!(engine.proxied().is_empty());
    let none = engine.http(&Request::get(&format!("http://{}/ca.pem", engine.api)));
    assert_eq!(none.status, 404);
    assert!(none.text().contains("--intercept"), "{none:?}");
}

/// `ca` with its database.
fn ca(builder: &Builder, args: &[&str]) -> Output {
    let database = ["--database", path(builder.database_path())];
    builder.cli(["ca"].iter().chain(args).chain(&database))
}

fn init(builder: &Builder, hosts: &str) {
    let made = ca(builder, &["init", "--intercept", hosts]);
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_ca_of_files_outlives_the_engine() {
    let upstream = Upstream::echo();
    let own = TestCa::new();
    let secured = own.sign(&["localhost"]).before(upstream.addr, Ending::Told);
    let builder =
        engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(own.file());
    init(&builder, "localhost,*.tools.example");
    let bed = Bed { engine: builder.start(), upstream, secured };
    let before = bed.engine.ca_pem();
    assert_eq!(text_of(&builder.database_path().with_file_name("ca.pem")), before);
    bed.post("/", "x").assert_is(200, "executed");
    let bed = Bed { engine: bed.engine.kill_and_restart(), ..bed };
    assert_eq!(bed.engine.ca_pem(), before);
    bed.post("/", "x").assert_is(200, "replayed");
    assert_eq!(bed.upstream.hits(), 1);
    let exported = ca(&builder, &["export"]);
    assert_eq!(String::from_utf8(exported.stdout).unwrap(), before);
    let shown = ca(&builder, &["show", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["permitted"], serde_json::json!(["localhost", "tools.example"]));
    assert_eq!(shown["excluded"], serde_json::json!(["0.0.0.0/0", "::/0"]));
}

#[test]
fn a_ca_is_made_for_the_hosts_of_the_file() {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    let none = ca(&builder, &["init"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    std::fs::write(&file, "[proxy.intercept]\nhosts = [\"a.example\", \"192.0.2.7\"]\n").unwrap();
    let made = ca(&builder, &["init", "--config", path(&file), "--json"]);
    assert!(made.status.success(), "{made:?}");
    let shown: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(shown["permitted"], serde_json::json!(["a.example", "192.0.2.7/32"]));
}

#[test]
fn a_ca_that_does_not_fit_is_refused_with_the_remedy() {
    let builder = engine!().arg("--intercept").arg("localhost");
    init(&builder, "elsewhere.example");
    let again = ca(&builder, &["init", "--intercept", "localhost"]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");
    let (status, said) = builder.try_start().err().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("localhost") && said.contains("ca init"), "{said}");
    let files = ["ca.pem", "ca.key"].map(|file| builder.database_path().with_file_name(file));
    std::fs::remove_file(&files[0]).unwrap();
    assert!(builder.try_start().err().unwrap().1.contains("restore"));
    let none = ca(&builder, &["show"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    std::fs::remove_file(&files[1]).unwrap();
    builder.start();
}

#[test]
fn the_ca_cannot_pass_for_a_host_outside_of_its_constraints() {
    let builder = engine!();
    init(&builder, "localhost");
    let [pem, key] =
        ["ca.pem", "ca.key"].map(|file| text_of(&builder.database_path().with_file_name(file)));
    let stolen = TestCa::from_pem(&pem, &key);
    let upstream = Upstream::echo();
    for (name, taken) in [("localhost", true), ("bank.example", false), ("127.0.0.1", false)] {
        let port = stolen.sign(&[name]).before(upstream.addr, Ending::Told).port();
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--cacert"])
            .arg(stolen.file())
            .arg("--resolve")
            .arg(format!("{name}:{port}:127.0.0.1"))
            .arg(format!("https://{name}:{port}/"))
            .output()
            .unwrap();
        assert_eq!(curl.status.code(), Some(if taken { 0 } else { 60 }), "{name}: {curl:?}");
        let openssl = Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("-CAfile")
            .arg(stolen.file())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(openssl.status.success(), taken, "{name}: {openssl:?}");
        let python = "import socket,ssl,sys;n,p,f=sys.argv[1:];\
             c=ssl.create_default_context(cafile=f);\
             c.wrap_socket(socket.create_connection(('127.0.0.1',int(p))),server_hostname=n)";
        let python = Command::new("python3")
            .args(["-c", python, name, &port.to_string(), path(&stolen.file())])
            .output()
            .unwrap();
        assert_eq!(python.status.success(), taken, "{name}: {python:?}");
        let rustls = Trusting::new(&pem, &[]);
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let rustls = testkit::block_on(async { rustls.secure(stream, name).await.map(drop) });
        assert_eq!(rustls.is_ok(), taken, "{name}: {rustls:?}");
    }
}

#[test]
fn the_engine_does_not_trust_its_own_ca() {
    let builder = engine!();
    init(&builder, "localhost");
    let [pem, key] = ["ca.pem", "ca.key"].map(|file| builder.database_path().with_file_name(file));
    let stolen = TestCa::from_pem(&text_of(&pem), &text_of(&key));
    let upstream = Upstream::echo();
    let secured = stolen.sign(&["localhost"]).before(upstream.addr, Ending::Told);
    // Put among the trusted by a file, and by the environment that stands for the system's.
    let engine = builder
        .arg("--intercept")
        .arg("localhost")
        .arg("--upstream-ca")
        .arg(&pem)
        .env("SSL_CERT_FILE", &pem)
        .start();
    let bed = Bed { engine, upstream, secured };
    bed.post("/", "x").assert_problem(502, "upstream-failed");
    assert_eq!(bed.upstream.hits(), 0);
}
