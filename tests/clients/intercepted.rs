//! Unchanged clients that use https through an intercepted tunnel. The upstream is Node, and counts.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use testkit::{Builder, Engine, Request, TestCa, engine, here, wait_until};

use crate::program::{Printed, command};
use crate::{JSON, went_through};

/// The clients. The second of a pair is the first with the other version of HTTP.
const CLIENTS: [&str; 7] =
    ["curl", "curl --http1.1", "requests", "httpx", "httpx-http2", "fetch", "undici"];

/// Node's server with a certificate for `localhost` and `tool.example`.
pub(crate) struct Secure {
    child: Child,
    pub(crate) port: u16,
    pub(crate) ca: TestCa,
}

impl Secure {
    pub(crate) fn start() -> Self {
        let ca = TestCa::new();
        let identity = ca.sign(&["localhost", "tool.example"]);
        let files = ["leaf.pem", "leaf.key"].map(|name| ca.file().with_file_name(name));
        std::fs::write(&files[0], identity.certificate).unwrap();
        std::fs::write(&files[1], identity.key).unwrap();
        let mut child = Command::new(here("tests/clients/node_modules/node/bin/node"))
            .arg(here("tests/clients/secure_upstream.mjs"))
            .args(files)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap(), ca }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Sends it a GET directly, without the engine.
    fn get(&self, path: &str) -> String {
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--cacert"])
            .arg(self.ca.file())
            .arg(self.url(path))
            .output()
            .unwrap();
        assert!(curl.status.success(), "{curl:?}");
        String::from_utf8(curl.stdout).unwrap()
    }

    pub(crate) fn hits(&self) -> usize {
        self.get("/count").parse().unwrap()
    }

    /// An engine that intercepts its tunnels.
    pub(crate) fn builder(&self) -> Builder {
        let builder = engine!().arg("--intercept").arg("localhost");
        builder.arg("--upstream-ca").arg(self.ca.file())
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that gets the proxy and the CA from its environment.
fn https(client: &str, engine: &Engine, url: &str) -> Command {
    let (name, version) = client.split_once(' ').unwrap_or((client, ""));
    let mut command = command(name, engine, "POST", url, JSON);
    if !version.is_empty() {
        command.arg(version);
    }
    let pem = engine.http(&Request::get(&format!("http://{}/ca.pem", engine.api))).text();
    let file = engine.builder().home().join("engine-ca.pem");
    std::fs::write(&file, pem).unwrap();
    let proxy = format!("http://{}", engine.proxy);
    for name in ["https_proxy", "HTTPS_PROXY"] {
        command.env(name, &proxy);
    }
    for name in ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, &file);
    }
    command
}

fn send(client: &str, engine: &Engine, url: &str) -> Printed {
    let output = https(client, engine, url).output().unwrap();
    assert!(output.status.success(), "{client} {url}: {output:?}");
    if client == "httpx-http2" {
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "HTTP/2");
    }
    Printed::of(&output.stdout)
}

#[test]
fn each_client_is_guarded_over_https() {
    let upstream = Secure::start();
    for client in CLIENTS {
        let engine = upstream.builder().start();
        let before = upstream.hits();
        let first = send(client, &engine, &upstream.url("/act"));
        first.assert_is(client, 200, "executed");
        let expected = format!("{} HTTP/2.0 POST /act {JSON}", before + 1);
        assert_eq!(first.body, expected, "{client}");
        let second = send(client, &engine, &upstream.url("/act"));
        second.assert_is(client, 200, "replayed");
        assert_eq!(second.body, first.body, "{client}: replayed byte for byte");
        assert_eq!(upstream.hits() - before, 1, "{client}");
        went_through(&engine, 1);
    }
}

#[test]
fn the_same_call_over_either_version_of_http_has_one_effect() {
    let upstream = Secure::start();
    let engine = upstream.builder().start();
    let version = |client: &str| {
        let mut command = https(client, &engine, &upstream.url("/act"));
        let output = command.args(["--write-out", "\n%{http_version}"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.rsplit_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(version("curl"), "2");
    assert_eq!(version("curl --http1.1"), "1.1");
    send("curl", &engine, &upstream.url("/act")).assert_is("curl", 200, "replayed");
    assert_eq!(upstream.hits(), 1);
    went_through(&engine, 1);
}

/// The client is killed while the tool works, and the engine after the tool has answered. The retry gets
/// the tool's answer, with a CA that survived both kills.
#[test]
fn a_retry_over_https_after_kills_has_one_effect() {
    for client in ["curl", "requests", "fetch"] {
        let upstream = Secure::start();
        let builder = upstream.builder();
        let database = builder.database_path().to_owned();
        let init = ["ca", "init", "--intercept", "localhost", "--database"];
        let init = builder.cli(init.iter().map(AsRef::as_ref).chain([database.as_os_str()]));
        assert!(init.status.success(), "{init:?}");
        let engine = builder.start();
        let mut killed = https(client, &engine, &upstream.url("/slow")).spawn().unwrap();
        wait_until("the tool works", || (upstream.hits() == 1).then_some(()));
        killed.kill().unwrap();
        killed.wait().unwrap();
        upstream.get("/go");
        wait_until("the answer is stored", || {
            (engine.proxied().first()?["status"] == "completed").then_some(())
        });
        let engine = engine.kill_and_restart();
        let retry = send(client, &engine, &upstream.url("/slow"));
        retry.assert_is(client, 200, "replayed");
        assert_eq!(upstream.hits(), 1, "{client}");
        went_through(&engine, 1);
    }
}

#[test]
fn https_to_a_host_that_is_not_named_is_not_intercepted() {
    let upstream = Secure::start();
    let engine = engine!().arg("--intercept").arg("elsewhere.example").start();
    let mut hits = 0;
    for client in ["curl", "requests", "httpx", "fetch"] {
        for _ in 0..2 {
            let mut command = https(client, &engine, &upstream.url("/act"));
            for name in
                ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]
            {
                command.env(name, upstream.ca.file());
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{client}: {output:?}");
            Printed::of(&output.stdout).assert_is(client, 200, "-");
            hits += 1;
            assert_eq!(upstream.hits(), hits, "{client}");
        }
    }
    assert!(engine.proxied().is_empty());
}
