//! `mcp -- CMD`: a server on stdio behind the wrapper, the real binary, and a client that writes
//! lines. The server keeps a file of its effects.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Builder, Engine, engine, wait_until};

/// A server in Python's standard library. It does what a call's `do` says, and writes each effect
/// down before it answers.
const SERVER: &str = r#"
import json, os, sys, time
effects = sys.argv[1]
def say(message):
    sys.stdout.write(json.dumps(message) + "\n"); sys.stdout.flush()
print("server is up", file=sys.stderr, flush=True)
for line in sys.stdin:
    try:
        asked = json.loads(line)
    except ValueError:
        say({"not": "json"}); continue
    if isinstance(asked, dict) and asked.get("method") == "tools/list":
        say({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": [
            {"name": "act", "inputSchema": {}, "annotations": {"readOnlyHint": True}}]}})
        continue
    if not isinstance(asked, dict) or asked.get("method") != "tools/call":
        sys.stdout.write("echo  " + line); sys.stdout.flush(); continue
    args = asked["params"].get("arguments", {})
    with open(effects, "a") as file:
        file.write(json.dumps(asked["params"].get("arguments")) + "\n")
    do = args.get("do", "answer")
    if do == "die":
        os._exit(7)
    if do == "hang":
        open(effects + ".hangs", "w").close()
        sys.stdin.read(); time.sleep(20)  # not for ever, once the wrapper is gone
    if do == "wait":
        say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}})
        while not os.path.exists(effects + ".go"): time.sleep(0.01)
    if do == "environment":
        text = json.dumps({k: v for k, v in os.environ.items() if "prox" in k.lower() or k.startswith("STATE_") or "CERT" in k or "CA_" in k})
    else:
        text = "did it"
    say({"jsonrpc": "2.0", "id": asked["id"],
         "result": {"content": [{"type": "text", "text": text}], "isError": do == "fail"}})
"#;

struct Place {
    builder: Builder,
    server: PathBuf,
    effects: PathBuf,
}

impl Place {
    fn new() -> Self {
        let builder = engine!();
        let server = builder.home().join("server.py");
        fs::write(&server, SERVER).unwrap();
        let effects = builder.home().join("effects");
        Self { builder, server, effects }
    }

    /// With a configuration, which an engine that the wrapper brings along finds too: it stands in
    /// the folder that this works in.
    fn configured(toml: &str) -> Self {
        let place = Self::new();
        let file = place.builder.home().join("openclaw-state-engine.toml");
        fs::write(&file, toml).unwrap();
        Self { builder: place.builder.clone().arg("--config").arg(file), ..place }
    }

    fn effects(&self) -> usize {
        fs::read_to_string(&self.effects).unwrap_or_default().lines().count()
    }

    fn beside(&self, end: &str) -> PathBuf {
        PathBuf::from(format!("{}.{end}", self.effects.display()))
    }

    fn wrapper(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-state-engine"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("STATE_ENGINE_") || text.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(&name);
            }
        }
        command
            .arg("mcp")
            .arg("--database")
            .arg(self.builder.database_path())
            .args(["--name", "test", "--session", "nightly", "--", "python3"])
            .arg(&self.server)
            .arg(&self.effects)
            .current_dir(self.builder.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Session {
        Session::of(self.wrapper().spawn().unwrap())
    }
}

/// A client's session with the server.
struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    fn of(mut child: Child) -> Self {
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn ask(&mut self, id: impl Into<Value>, arguments: &Value) {
        let call = json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call",
                          "params": {"name": "act", "arguments": arguments}});
        self.say(&format!("{call}\n"));
    }

    #[track_caller]
    fn answer(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    #[track_caller]
    fn call(&mut self, id: impl Into<Value>, arguments: &Value) -> Value {
        self.ask(id, arguments);
        self.answer()
    }

    /// Closes stdin; the exit code.
    fn end(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.exit_code()
    }

    fn exit_code(&mut self) -> Option<i32> {
        wait_until("the wrapper ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[track_caller]
fn assert_in_doubt(answer: &Value, id: &Value) {
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (id, &json!(true)), "{answer}");
    assert!(text(answer).contains("may already have taken effect"), "{answer}");
}

fn executions(engine: &Engine) -> Vec<Value> {
    engine.proxied().into_iter().filter(|one| one["rule"] == "mcp tools/call").collect()
}

#[test]
fn a_retry_has_one_effect_over_restarts_of_wrapper_and_engine() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    let first = session.call(1, &json!({"n": 1}));
    assert_eq!((&first["id"], text(&first)), (&json!(1), "did it"));
    let second = session.call("b", &json!({"n": 1}));
    assert_eq!((&second["id"], text(&second)), (&json!("b"), "did it"));
    assert_eq!(session.end(), Some(0));
    let engine = engine.kill_and_restart();
    let mut session = place.start();
    assert_eq!(session.call(3, &json!({"n": 1}))["id"], 3);
    assert_eq!(place.effects(), 1);
    session.call(4, &json!({"n": 2}));
    assert_eq!(place.effects(), 2);
    let recorded = executions(&engine);
    assert_eq!(recorded.len(), 2, "{recorded:#?}");
    assert_eq!(recorded[0]["tool_name"], "tools/call act test.mcp-stdio.invalid");
    let engine = engine.kill_and_restart();
    assert_eq!(session.call(5, &json!({"n": 2}))["id"], 5, "the engine is found at its new ports");
    assert_eq!(place.effects(), 2);
    drop(engine);
}

#[test]
fn without_an_engine_it_brings_one_along() {
    let place = Place::new();
    for id in 1..3 {
        let mut session = place.start();
        assert_eq!(session.call(id, &json!({"n": 1}))["id"], id);
        assert_eq!(session.end(), Some(0));
    }
    assert_eq!(place.effects(), 1);
}

#[test]
fn all_other_messages_pass_byte_for_byte() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    for line in [
        "{ \"jsonrpc\" : \"2.0\", \"id\":1, \"method\":\"initialize\" }\n",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\r\n",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"b\":1,\"a\":2}}\n",
        "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n",
    ] {
        session.say(line);
        assert_eq!(session.line(), format!("echo  {line}"));
    }
    session.say("no json\n");
    assert_eq!(session.line(), "{\"not\": \"json\"}\n");
    // What could be a call in disguise is not let through.
    session.say("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"act\"}}]\n");
    assert_eq!(session.answer()["error"]["code"], -32_600);
    assert_eq!(place.effects(), 0);
}

#[test]
fn progress_flows_while_the_response_is_awaited() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    assert_eq!(executions(&engine)[0]["status"], "running");
    session.ask(2, &json!({"do": "wait"}));
    fs::write(place.beside("go"), "").unwrap();
    let mut ids = [session.answer()["id"].clone(), session.answer()["id"].clone()];
    ids.sort_by_key(serde_json::Value::as_i64);
    assert_eq!(ids, [json!(1), json!(2)]);
    assert_eq!(place.effects(), 1, "the duplicate waited");
}

#[test]
fn a_tools_error_is_told_and_may_be_asked_again() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    for id in 1..3 {
        let answer = session.call(id, &json!({"do": "fail"}));
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(id), &json!(true)));
    }
    assert_eq!(place.effects(), 2);
    let recorded = executions(&engine);
    assert_eq!(
        (&recorded[0]["status"], &recorded[0]["outcome"]),
        (&json!("failed"), &json!("executed"))
    );
}

#[test]
fn a_server_that_dies_leaves_its_call_in_doubt_and_its_status() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    let answer = session.call(1, &json!({"do": "die"}));
    assert_eq!(answer["id"], 1);
    assert!(text(&answer).contains("may have been carried out"), "{answer}");
    assert_eq!(session.exit_code(), Some(7), "the server's own status");
    let mut session = place.start();
    assert_in_doubt(&session.call(2, &json!({"do": "die"})), &json!(2));
    assert_eq!(place.effects(), 1);
    assert_eq!(executions(&engine)[0]["status"], "in_doubt");
}

#[test]
fn a_killed_wrapper_leaves_its_call_in_doubt_until_it_is_confirmed() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "hang"}));
    wait_until("the server works", || place.beside("hangs").exists().then_some(()));
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    wait_until("the engine notices", || {
        (executions(&engine)[0]["status"] == "in_doubt").then_some(())
    });
    let mut session = place.start();
    let answer = session.call(2, &json!({"do": "hang"}));
    assert_in_doubt(&answer, &json!(2));
    assert_eq!(place.effects(), 1);
    let problem = &answer["result"]["_meta"]["openclaw-state-engine/problem"];
    let confirm = problem["confirm_url"].as_str().unwrap();
    assert_eq!(engine.send(&testkit::Request::new("POST", confirm)).status, 200);
    session.ask(3, &json!({"do": "hang"}));
    wait_until("it runs once more", || (place.effects() == 2).then_some(()));
}

#[test]
fn a_killed_engine_is_no_silent_success() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    let builder = engine.kill();
    assert_in_doubt(&session.answer(), &json!(1));
    let engine = builder.start();
    assert_eq!(executions(&engine)[0]["status"], "in_doubt");
    fs::write(place.beside("go"), "").unwrap();
    assert_in_doubt(&session.call(2, &json!({"do": "wait"})), &json!(2));
    assert_eq!(place.effects(), 1);
    assert_eq!(text(&session.call(3, &json!({"n": 3}))), "did it", "others go on");
}

#[test]
fn a_client_that_leaves_stops_nothing() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    drop(session.stdin.take());
    fs::write(place.beside("go"), "").unwrap();
    assert_eq!(session.exit_code(), Some(0));
    assert_eq!(executions(&engine)[0]["status"], "completed");
    let mut session = place.start();
    assert_eq!(text(&session.call(2, &json!({"do": "wait"}))), "did it");
    assert_eq!(place.effects(), 1);
}

#[test]
fn the_server_finds_the_proxy_and_its_stderr_is_ours() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut wrapper = place.wrapper();
    let mut session = Session::of(wrapper.env("STATE_ENGINE_TOKEN", "hunter2").spawn().unwrap());
    let answer = session.call(1, &json!({"do": "environment"}));
    let environment: Value = serde_json::from_str(text(&answer)).unwrap();
    for name in ["http_proxy", "HTTPS_PROXY"] {
        let proxy = environment[name].as_str().unwrap();
        assert!(proxy.starts_with("http://nightly~") && proxy.ends_with(&engine.proxy.to_string()));
    }
    assert_eq!(environment["NODE_USE_ENV_PROXY"], "1");
    assert!(environment["STATE_ENGINE_TOKEN"].is_null(), "the state API's, and no server's");
    let mut stderr = BufReader::new(session.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "server is up\n");
}

#[test]
fn the_server_is_told_whom_to_trust() {
    let place = Place::new();
    let engine = place.builder.clone().arg("--intercept").arg("mail.example").start();
    let mut session = place.start();
    let answer = session.call(1, &json!({"do": "environment"}));
    let environment: Value = serde_json::from_str(text(&answer)).unwrap();
    let ca = engine.ca_pem();
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        let file = environment[name].as_str().unwrap_or_else(|| panic!("{name}: {environment}"));
        assert!(fs::read_to_string(file).unwrap().contains(ca.trim()), "{name}");
    }
    assert_eq!(environment["SSL_CERT_DIR"], Value::Null);
}

#[test]
fn rules_hold_for_a_server_on_stdio() {
    const RULES: &str = r#"
        [[rule]]
        name = "of the tool"
        mcp_tool = "act"
        tool = "acting"
        repeat = "delivered"
    "#;
    for brought in [false, true] {
        let place = Place::configured(RULES);
        let engine = (!brought).then(|| place.builder.start());
        let mut session = place.start();
        for id in 1..=3 {
            assert_eq!(text(&session.call(id, &json!({"n": 1}))), "did it");
        }
        assert_eq!(place.effects(), 3, "each answer arrived before the next call");
        assert_eq!(session.end(), Some(0));
        let engine = engine.unwrap_or_else(|| place.builder.start());
        let recorded = engine.proxied();
        assert_eq!(recorded.len(), 3, "{recorded:#?}");
        for one in recorded {
            assert_eq!(one["tool_name"], "acting", "{one}");
            assert_eq!(one["rule"], "rule of the tool, mcp tools/call", "{one}");
        }
    }
}

#[test]
fn a_read_only_tool_is_believed_of_a_trusted_server_alone() {
    for (trusted, effects) in [("test", 2), ("other", 1)] {
        let place = Place::configured(&format!("[mcp]\ntrust = [\"{trusted}\"]\n"));
        let engine = place.builder.start();
        let mut session = place.start();
        session.say("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\"}\n");
        assert_eq!(session.answer()["result"]["tools"][0]["name"], "act");
        for id in 1..=2 {
            assert_eq!(text(&session.call(id, &json!({"n": 1}))), "did it");
        }
        assert_eq!(place.effects(), effects, "{trusted}");
        assert_eq!(executions(&engine).len(), 2 - effects, "{trusted}");
    }
}

#[test]
fn a_signal_reaches_the_server() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "hang"}));
    wait_until("the server works", || place.beside("hangs").exists().then_some(()));
    kill_process(Pid::from_child(&session.child), Signal::TERM).unwrap();
    assert_eq!(session.exit_code(), Some(128 + 15));
}

#[test]
fn what_cannot_be_run_is_told_as_a_shell_does() {
    let place = Place::new();
    let _engine = place.builder.start();
    let run = |program: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-state-engine"));
        command.args(["mcp", "--database"]).arg(place.builder.database_path());
        command.arg("--").arg(program).stdin(Stdio::null()).output().unwrap()
    };
    let missing = run(Path::new("/nowhere/server"));
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot run /nowhere/server"));
    assert_eq!(run(&place.server).status.code(), Some(126));
}
