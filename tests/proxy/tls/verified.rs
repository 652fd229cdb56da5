//! Names and certificates: what is verified, and what passes blindly.

use std::net::TcpListener;

use testkit::{Client, Ending, Request, TestCa, Trusting, Upstream, engine, wait_until};

use super::{Bed, path, trusting};

#[test]
fn a_host_inside_that_is_not_the_tunnels_is_misdirected() {
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
fn if_tls_names_a_different_host_from_connect_connect_decides_and_it_is_reported() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost", "127.0.0.1"]).before(upstream.addr, Ending::Clean);
    let engine = engine!()
        .arg("--intercept")
        .arg("localhost,127.0.0.1")
        .arg("--upstream-ca")
        .arg(ca.file())
        .start();
    // The certificate is for the host of CONNECT. A client that expects another host refuses it.
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
            format!("localhost:{}", identity.before(upstream.addr, Ending::Clean).port());
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
fn a_ca_may_be_for_a_single_host() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost", "127.0.0.1"]).before(upstream.addr, Ending::Clean);
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
fn other_protocols_than_tls_pass_blindly_to_an_intercepted_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let engine = engine!().arg("--intercept").arg("localhost").start();
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &format!("localhost:{port}"), "").unwrap();
    tunnel.write("SSH-2.0-x\r\n").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut banner = [0; 11];
    std::io::Read::read_exact(&mut server, &mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-x\r\n");
    // If the client waits for the server to speak first, the tunnel passes blindly.
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &format!("localhost:{port}"), "").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut server, b"220 mail\r\n").unwrap();
    assert_eq!(tunnel.wire.read_bytes(10).unwrap(), b"220 mail\r\n");
}

#[test]
fn a_client_that_distrusts_the_ca_is_reported_once() {
    let bed = Bed::new(Upstream::echo());
    let client = Trusting::new(TestCa::new().pem(), &[]);
    for _ in 0..3 {
        let refused = client.tunnel(bed.engine.proxy, &bed.authority(), "localhost", "");
        assert!(refused.is_err_and(|error| error.to_string().contains("certificate")));
    }
    let logged = || bed.engine.log().matches("does not trust the interception CA").count();
    wait_until("the log reports it", || (logged() > 0).then_some(()));
    // This handshake succeeds, and comes after the others.
    bed.post("/", "x").assert_is(200, "executed");
    assert_eq!(logged(), 1, "{}", bed.engine.log());
}

#[test]
fn without_interception_tls_is_blind_and_there_is_no_ca() {
    let ca = TestCa::new();
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
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
