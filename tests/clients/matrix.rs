//! Which unchanged clients are guarded under `run`. Each is started as a user would start it. Its effects
//! are counted at the tool and in the engine's record, and docs/CLIENTS.md has the results.
//!
//! The engine requires tokens, as one that `run` starts does: a client that sends no credentials is not
//! guarded. `UPDATE_DOCS=1` writes the table. A client that is not on this machine is named on stderr and
//! its row stays as it is. In CI, that fails the test.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use testkit::{Engine, Upstream, root};

use crate::intercepted::Secure;

/// A client, and how to run it.
struct Client {
    name: &'static str,
    /// The program and its arguments; `URL` and `BODY` are replaced, `@FILE` is a file of the tree.
    call: &'static [&'static str],
    java: bool,
    /// The client ignores the proxy for loopback addresses. It gets a URL whose host only the upstream
    /// proxy knows.
    by_name: bool,
    /// What to do if it is not guarded, or what to know.
    note: &'static str,
}

const PYTHON: &str = "@target/venv/bin/python";
const SEND_PY: &str = "@tests/clients/send.py";
const SEND_MJS: &str = "@tests/clients/send.mjs";
const JAVA: &str = "@target/java";
const NODE_20: &str = "@tests/clients/node_modules/node20/bin/node";
const NODE_24: &str = "@tests/clients/node_modules/node/bin/node";
const NODE_26: &str = "@tests/clients/node_modules/node26/bin/node";

const fn client(name: &'static str, call: &'static [&'static str], note: &'static str) -> Client {
    Client { name, call, java: false, by_name: false, note }
}

const OLD_NODE: &str = "Node before 22.21 has no switch for it: use a newer one, axios, or undici's `EnvHttpProxyAgent`";

const CLIENTS: &[Client] = &[
    client("curl", &["curl", "-sS", "-d", "BODY", "URL"], ""),
    client("Python `urllib`", &[PYTHON, SEND_PY, "urllib", "POST", "URL", "BODY"], ""),
    client("Python `requests`", &[PYTHON, SEND_PY, "requests", "POST", "URL", "BODY"], ""),
    client("Python `httpx`", &[PYTHON, SEND_PY, "httpx", "POST", "URL", "BODY"], ""),
    client(
        "Python `aiohttp`",
        &[PYTHON, SEND_PY, "aiohttp", "POST", "URL", "BODY"],
        "it reads no variable by default: use `ClientSession(trust_env=True)`",
    ),
    client(
        "Python `aiohttp`, `trust_env=True`",
        &[PYTHON, SEND_PY, "aiohttp-trust-env", "POST", "URL", "BODY"],
        "",
    ),
    client("Node 20 `fetch`", &[NODE_20, SEND_MJS, "fetch", "POST", "URL", "BODY"], OLD_NODE),
    client("Node 20 `http.request`", &[NODE_20, SEND_MJS, "http", "POST", "URL", "BODY"], OLD_NODE),
    client("Node 20 axios", &[NODE_20, SEND_MJS, "axios", "POST", "URL", "BODY"], ""),
    client("Node 24 `fetch`", &[NODE_24, SEND_MJS, "fetch", "POST", "URL", "BODY"], ""),
    client("Node 24 `http.request`", &[NODE_24, SEND_MJS, "http", "POST", "URL", "BODY"], ""),
    client("Node 26 `fetch`", &[NODE_26, SEND_MJS, "fetch", "POST", "URL", "BODY"], ""),
    client(
        "undici 7 `EnvHttpProxyAgent`",
        &[NODE_24, SEND_MJS, "undici", "POST", "URL", "BODY"],
        "",
    ),
    client(
        "Deno 2",
        &[
            "@tests/clients/node_modules/deno/deno",
            "run",
            "--allow-all",
            SEND_MJS,
            "fetch",
            "POST",
            "URL",
            "BODY",
        ],
        "",
    ),
    client(
        "Bun 1",
        &["@tests/clients/node_modules/bun/bin/bun.exe", SEND_MJS, "fetch", "POST", "URL", "BODY"],
        "",
    ),
    Client {
        by_name: true,
        ..client(
            "Go `net/http`",
            &["go", "run", "@tests/clients/send.go", "URL", "BODY"],
            "not for `localhost` and 127.0.0.0/8, which Go sends through no proxy",
        )
    },
    client(
        "Java 17 `HttpClient`",
        &["java", "-cp", JAVA, "Send", "URL", "BODY"],
        "it reads no variable: use `run --java`",
    ),
    Client {
        java: true,
        ..client(
            "Java 17 `HttpClient`, `run --java`",
            &["java", "-cp", JAVA, "Send", "URL", "BODY"],
            "",
        )
    },
];

/// What happened to two runs of the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// One effect, recorded in the session of its run.
    Guarded,
    /// Two effects, and nothing in the engine's record.
    Unguarded,
    /// No effect.
    Failed,
    Otherwise {
        effects: usize,
        recorded: usize,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guarded => f.write_str("guarded"),
            Self::Unguarded => f.write_str("**not guarded**"),
            Self::Failed => f.write_str("**fails**"),
            Self::Otherwise { effects, recorded } => {
                write!(f, "{effects} effects, {recorded} recorded")
            }
        }
    }
}

impl Client {
    /// The command line, or the program or file of it that this machine does not have.
    fn words(&self, url: &str, body: &str) -> Result<Vec<OsString>, String> {
        let mut words = Vec::new();
        for word in self.call {
            words.push(match *word {
                "URL" => url.into(),
                "BODY" => body.into(),
                word => match word.strip_prefix('@') {
                    None => word.into(),
                    Some(file) if root().join(file).exists() => root().join(file).into(),
                    Some(file) => return Err(file.to_owned()),
                },
            });
        }
        let program = PathBuf::from(&words[0]);
        let on_path = |folder: PathBuf| folder.join(&program).is_file();
        let path = std::env::var_os("PATH").unwrap_or_default();
        if program.is_absolute() || std::env::split_paths(&path).any(on_path) {
            Ok(words)
        } else {
            Err(program.display().to_string())
        }
    }

    /// Makes the same call twice under one `run`, and returns the output.
    ///
    /// The client trusts `ca`, so that calls past the engine do not fail because of it.
    fn twice(&self, engine: &Engine, ca: &Path, url: &str, body: &str) -> Result<String, String> {
        let words = self.words(url, body)?;
        let mut run = engine.builder().command();
        run.env("NODE_EXTRA_CA_CERTS", ca);
        run.args(["run", "--session", SESSION, "--database"]);
        run.arg(engine.builder().database_path());
        if self.java {
            run.arg("--java");
        }
        run.args(["--", "sh", "-c", "\"$@\"; \"$@\"", "sh"]).args(words);
        // Go caches its builds in the home folder: with a new home it would compile everything again.
        if let Some(home) = std::env::var_os("HOME").filter(|_| self.by_name) {
            run.env("HOME", home);
        }
        let ran = run.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(format!("{}{}", text(&ran.stdout), text(&ran.stderr)))
    }

    fn path(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        format!("/{}", self.name.chars().map(plain).collect::<String>())
    }
}

/// Compares the tool's count with the executions in the record.
fn outcome(engine: &Engine, effects: usize, url: &str) -> Outcome {
    let recorded = engine.executions(&json!({"origin": "proxy"}));
    let here = |one: &&serde_json::Value| {
        let of_run = || {
            let session = engine.rpc("get_session", &json!({"id": one["session_id"]}));
            session["metadata"]["name"] == SESSION
        };
        one["tool_input"]["url"] == url && of_run()
    };
    match (effects, recorded.iter().filter(here).count()) {
        (1, 1) => Outcome::Guarded,
        (2, 0) => Outcome::Unguarded,
        (0, 0) => Outcome::Failed,
        (effects, recorded) => Outcome::Otherwise { effects, recorded },
    }
}

const SESSION: &str = "matrix";

const HEAD: &str = "| client | http:// | https:// | what to know |\n|---|---|---|---|\n";

/// .config/nextest.toml shows it even if the test passes.
#[expect(clippy::print_stderr, reason = "the report of a test")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// The upstream proxy, which knows one host. It answers clear HTTP itself, and connects every tunnel to
/// `secure`.
fn upstream_proxy(secure: u16) -> Upstream {
    Upstream::start(move |request, exchange| {
        if request.method() != "CONNECT" {
            return exchange.answer(200, &[], b"done");
        }
        exchange.lead_to(([127, 0, 0, 1], secure).into());
    })
}

/// The tools, and the engines in front of them.
struct Bench {
    clear: Upstream,
    secure: Secure,
    proxy: Upstream,
    direct: Engine,
    proxied: Engine,
}

impl Bench {
    fn new() -> Self {
        let secure = Secure::start();
        let proxy = upstream_proxy(secure.port);
        let proxy_url = format!("http://{}", proxy.addr);
        let strict = || secure.builder().arg("--require-token");
        let proxied = strict().arg("--intercept").arg("tool.example");
        Self {
            clear: Upstream::start(|_, exchange| exchange.answer(200, &[], b"done")),
            direct: strict().start(),
            proxied: proxied.arg("--upstream-proxy").arg(proxy_url).start(),
            secure,
            proxy,
        }
    }

    /// Tries the same call twice over http, then over https. An error names what is not on this machine.
    fn try_client(&self, client: &Client) -> Result<[Outcome; 2], String> {
        let (path, body) = (client.path(), "{\"to\": \"ada\"}");
        let (engine, tool, urls) = if client.by_name {
            let urls = ["http", "https"].map(|scheme| format!("{scheme}://tool.example{path}"));
            (&self.proxied, &self.proxy, urls)
        } else {
            (&self.direct, &self.clear, [self.clear.url(&path), self.secure.url(&path)])
        };
        let mut outcome = [Outcome::Failed; 2];
        for (url, outcome) in urls.iter().zip(&mut outcome) {
            let secure = url.starts_with("https:");
            let before = self.secure.hits();
            let output = client.twice(engine, &self.secure.ca.file(), url, body)?;
            let effects = if secure {
                self.secure.hits() - before
            } else {
                tool.received().iter().filter(|one| one.target().ends_with(&path)).count()
            };
            *outcome = self::outcome(engine, effects, url);
            say(&format!("{} {url}: {outcome}", client.name));
            if *outcome != Outcome::Guarded {
                say(&output);
            }
        }
        Ok(outcome)
    }
}

#[test]
fn the_table_of_guarded_clients_is_true() {
    let bench = Bench::new();
    let file = root().join("docs/CLIENTS.md");
    let document = fs::read_to_string(&file).unwrap();
    let (before, rest) = document.split_once(HEAD).expect("docs/CLIENTS.md has the table");
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    let (old, after) = rest.split_at(end);
    let (mut table, mut untested) = (String::new(), Vec::new());
    for client in CLIENTS {
        let row = format!("| {} | ", client.name);
        let row_now = match bench.try_client(client) {
            Ok([http, https]) => format!("{row}{http} | {https} | {} |\n", client.note),
            Err(missing) => {
                untested.push(format!("{} ({missing} is not here)", client.name));
                let kept = old.lines().find(|line| line.starts_with(&row));
                let kept =
                    kept.map_or_else(|| format!("{row}not tested | not tested | |"), str::to_owned);
                kept + "\n"
            }
        };
        table.push_str(&row_now);
    }
    if !untested.is_empty() {
        testkit::untested(&untested.join(", "));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, format!("{before}{HEAD}{table}{after}")).unwrap();
    } else {
        assert_eq!(old, table, "docs/CLIENTS.md differs: UPDATE_DOCS=1 updates it");
    }
}

/// The paths of the clients in this tree must be right.
#[test]
fn what_npm_and_pip_install_exists() {
    for client in CLIENTS {
        if client.call[0].starts_with('@') {
            let words = client.words("URL", "BODY");
            assert!(words.is_ok(), "{}: {words:?}: `cargo xtask test` installs it", client.name);
        }
    }
}
