//! The engine's own CA: its files, and what its constraints forbid.

use std::process::{Command, Output};

use testkit::{Builder, Ending, TestCa, Trusting, Upstream, engine, text_of};

use super::{Bed, path};

/// Runs `ca` on the builder's database.
fn ca(builder: &Builder, args: &[&str]) -> Output {
    let database = ["--database", path(builder.database_path())];
    builder.cli(["ca"].iter().chain(args).chain(&database))
}

fn init(builder: &Builder, hosts: &str) {
    let made = ca(builder, &["init", "--intercept", hosts]);
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_ca_in_files_outlives_the_engine() {
    let upstream = Upstream::echo();
    let own = TestCa::new();
    let secured = own.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
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
fn a_ca_is_created_for_the_hosts_of_the_file() {
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
    let (status, stderr) = builder.try_start().err().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("localhost") && stderr.contains("ca init"), "{stderr}");
    let files = ["ca.pem", "ca.key"].map(|file| builder.database_path().with_file_name(file));
    std::fs::remove_file(&files[0]).unwrap();
    assert!(builder.try_start().err().unwrap().1.contains("restore"));
    let none = ca(&builder, &["show"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    std::fs::remove_file(&files[1]).unwrap();
    builder.start();
}

#[test]
fn the_ca_cannot_sign_for_a_host_outside_its_constraints() {
    let builder = engine!();
    init(&builder, "localhost");
    let [pem, key] =
        ["ca.pem", "ca.key"].map(|file| text_of(&builder.database_path().with_file_name(file)));
    let stolen = TestCa::from_pem(&pem, &key);
    let upstream = Upstream::echo();
    for (name, accepted) in [("localhost", true), ("bank.example", false), ("127.0.0.1", false)] {
        let port = stolen.sign(&[name]).before(upstream.addr, Ending::Clean).port();
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--cacert"])
            .arg(stolen.file())
            .arg("--resolve")
            .arg(format!("{name}:{port}:127.0.0.1"))
            .arg(format!("https://{name}:{port}/"))
            .output()
            .unwrap();
        assert_eq!(curl.status.code(), Some(if accepted { 0 } else { 60 }), "{name}: {curl:?}");
        let openssl = Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("-CAfile")
            .arg(stolen.file())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(openssl.status.success(), accepted, "{name}: {openssl:?}");
        let python = "import socket,ssl,sys;n,p,f=sys.argv[1:];\
             c=ssl.create_default_context(cafile=f);\
             c.wrap_socket(socket.create_connection(('127.0.0.1',int(p))),server_hostname=n)";
        let python = Command::new("python3")
            .args(["-c", python, name, &port.to_string(), path(&stolen.file())])
            .output()
            .unwrap();
        assert_eq!(python.status.success(), accepted, "{name}: {python:?}");
        let rustls = Trusting::new(&pem, &[]);
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let rustls = testkit::block_on(async { rustls.secure(stream, name).await.map(drop) });
        assert_eq!(rustls.is_ok(), accepted, "{name}: {rustls:?}");
    }
}

#[test]
fn the_engine_does_not_trust_its_own_ca() {
    let builder = engine!();
    init(&builder, "localhost");
    let [pem, key] = ["ca.pem", "ca.key"].map(|file| builder.database_path().with_file_name(file));
    let stolen = TestCa::from_pem(&text_of(&pem), &text_of(&key));
    let upstream = Upstream::echo();
    let secured = stolen.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
    // Add the CA by a file, and by the environment variable that replaces the system's CAs.
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
