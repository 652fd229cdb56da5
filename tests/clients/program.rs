//! Clients as users have them, each with the proxy only in its environment.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use testkit::{Client, Engine, Request, here};

/// Programs and libraries that are tested.
pub(crate) const CLIENTS: [&str; 5] = ["curl", "requests", "httpx", "fetch", "undici"];

/// What a client printed about an answer.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) body: String,
    pub(crate) status: u16,
    /// The first word of `Idempotency-Status`, or `-`.
    pub(crate) word: String,
}

impl Printed {
    pub(crate) fn of(stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let (body, last) = text.rsplit_once('\n').unwrap_or_else(|| panic!("no status: {text:?}"));
        let (status, word) = last.split_once(' ').unwrap_or_else(|| panic!("no status: {text:?}"));
        let word = word.split(';').next().unwrap_or_default().trim();
        let word = if word.is_empty() { "-" } else { word };
        Self { body: body.to_owned(), status: status.parse().unwrap(), word: word.to_owned() }
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, client: &str, status: u16, word: &str) {
        assert_eq!((self.status, self.word.as_str()), (status, word), "{client}: {self:?}");
    }
}

/// One request by `client`, which gets the proxy from its environment.
pub(crate) fn command(
    client: &str,
    engine: &Engine,
    method: &str,
    url: &str,
    body: &str,
) -> Command {
    let mut command = match client {
        "curl" => {
            let mut curl = testkit::command("curl");
            curl.args([
                "--silent",
                "--show-error",
                "--no-buffer",
                "--location",
                "--request",
                method,
            ]);
            curl.args(["--header", "Content-Type: application/json"]);
            curl.args(["--write-out", "\n%{http_code} %header{idempotency-status}\n"]);
            if !body.is_empty() {
                curl.args(["--data-binary", body]);
            }
            curl.arg(url);
            curl
        }
        "fetch" | "undici" => {
            let mut node = testkit::command(here("tests/clients/node_modules/node/bin/node"));
            node.arg(here("tests/clients/send.mjs")).args([client, method, url, body]);
            node.arg("Content-Type:application/json");
            node
        }
        _ => {
            let mut python = testkit::command(here("target/venv/bin/python"));
            python.arg(here("tests/clients/send.py")).args([client, method, url, body]);
            python.arg("Content-Type:application/json");
            python
        }
    };
    let proxy = format!("http://{}", engine.proxy);
    command
        .env("http_proxy", &proxy)
        .env("HTTP_PROXY", &proxy)
        .env("NODE_USE_ENV_PROXY", "1")
        .env("NODE_OPTIONS", "--disable-warning=UNDICI-EHPA")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs one request to its end.
pub(crate) fn send(client: &str, engine: &Engine, method: &str, url: &str, body: &str) -> Printed {
    let output = command(client, engine, method, url, body).output().unwrap();
    assert!(output.status.success(), "{client} {method} {url}: {output:?}");
    Printed::of(&output.stdout)
}

/// httpbin in its own process.
pub(crate) struct Httpbin {
    child: Child,
    pub(crate) port: u16,
}

impl Httpbin {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(here("target/venv/bin/python"))
            .arg(here("tests/clients/serve_httpbin.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The number of requests it received.
    pub(crate) fn hits(&self) -> usize {
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into()).unwrap();
        client.ask(&Request::get(&self.url("/count"))).text().parse().unwrap()
    }
}

impl Drop for Httpbin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
