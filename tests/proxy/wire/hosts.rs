//! One host is one host, however a request writes it: for keys, rules and what is refused.

use testkit::{Client, Request, Upstream, engine};

/// Sends the same call to each of `hosts`, which are all one. It runs once.
fn assert_one(upstream: &Upstream, hosts: &[&str], key: Option<&str>) {
    let engine = engine!().start();
    for (call, host) in hosts.iter().enumerate() {
        let url = format!("http://{host}:{}/act", upstream.addr.port());
        let mut request = Request::post(&url, "the same");
        if let Some(key) = key {
            request = request.key(key);
        }
        let word = if call == 0 { "executed" } else { "replayed" };
        engine.send(&request).assert_is(200, word);
    }
    assert_eq!(engine.proxied().len(), 1, "{hosts:?}");
}

#[test]
fn the_same_call_to_the_same_host_runs_once() {
    let upstream = Upstream::echo();
    for key in [None, Some("k")] {
        for hosts in [
            &["localhost", "localhost.", "LocalHost."] as &[&str],
            &["localhost.", "localhost"],
            &[
                "127.0.0.1",
                "127.0.0.1.",
                "127.1",
                "127.0.1",
                "2130706433",
                "0x7f.0.0.1",
                "0177.0.0.1",
                "[::ffff:127.0.0.1]",
                "[::ffff:7f00:1]",
            ],
        ] {
            assert_one(&upstream, hosts, key);
        }
    }
    assert_eq!(upstream.received()[0].header("host").unwrap().split(':').next(), Some("localhost"));
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        testkit::untested("IPv6 hosts: this machine has no IPv6 loopback");
        return;
    }
    let upstream = Upstream::start_at("[::1]:0", |_, exchange| exchange.answer(200, &[], b"six"));
    assert_one(&upstream, &["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[0::0:1]"], None);
}

#[test]
fn the_host_field_is_sent_as_written() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let port = upstream.addr.port();
    for host in ["localhost.", "localhost"] {
        let url = format!("http://{host}:{port}/act");
        engine
            .send(&Request::post(&url, host).header("Agent-Run", host))
            .assert_is(200, "executed");
        let sent = upstream.received().pop().unwrap();
        assert_eq!(sent.header("host"), Some(&*format!("{host}:{port}")));
    }
    // In a tunnel either form names the host that the tunnel leads to.
    let authority = format!("localhost.:{port}");
    let (mut tunnel, head) = Client::tunnel(engine.proxy, &authority, "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    let url = format!("http://localhost:{port}/act");
    tunnel.ask(&Request::post(&url, "localhost")).assert_is(200, "replayed");
}

#[test]
fn rules_and_refusals_know_every_form() {
    let upstream = Upstream::echo();
    let port = upstream.addr.port();
    let engine = engine!().arg("--pass").arg("localhost").arg("--pass").arg("127.0.0.1").start();
    for host in ["localhost.", "127.1", "0x7f000001"] {
        let answer = engine.post(&format!("http://{host}:{port}/act"), "x");
        assert_eq!(answer.word(), "bypassed", "{host}: {answer:?}");
    }
    let engine = engine!().start();
    for own in [engine.proxy.port(), engine.api.port()] {
        for host in ["localhost.", "127.1", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"] {
            let answer = engine.post(&format!("http://{host}:{own}/act"), "x");
            assert!([403, 404].contains(&answer.status), "{host}:{own} {answer:?}");
        }
    }
    for host in ["2852039166", "169.254.43518", "[::ffff:a9fe:a9fe]", "169.254.169.254."] {
        engine.post(&format!("http://{host}/latest"), "x").assert_problem(403, "refused");
    }
}
