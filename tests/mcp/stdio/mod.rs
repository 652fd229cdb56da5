//! `mcp -- CMD`: a server on stdio behind the wrapper, which is the real binary, and a client that writes
//! lines. The server writes its effects to a file.

mod calls;
mod processes;
mod silence;
mod spellings;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use testkit::{Builder, Engine, engine, wait_until};

/// A server that only uses Python's standard library. It does what a call's `do` says, and records each
/// effect before it answers.
const SERVER: &str = r#"
import json, os, sys, time
effects = sys.argv[1]
def say(message):
    sys.stdout.write(json.dumps(message) + "\n"); sys.stdout.flush()
print("server is up", file=sys.stderr, flush=True)
for line in sys.stdin:
    try:
        message = json.loads(line)
    except ValueError:
        say({"not": "json"}); continue
    if isinstance(message, dict) and message.get("method") == "tools/list":
        say({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [
            {"name": "act", "inputSchema": {}, "annotations": {"readOnlyHint": True}}]}})
        continue
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        sys.stdout.write("echo  " + line); sys.stdout.flush(); continue
    args = message["params"].get("arguments", {})
    with open(effects, "a") as file:
        file.write(json.dumps(message["params"].get("arguments")) + "\n")
    do = args.get("do", "answer")
    if do == "die":
        os._exit(7)
    if do == "hang":
        open(effects + ".hangs", "w").close()
        sys.stdin.read(); time.sleep(20)  # not forever, once the wrapper is gone
    if do == "wait":
        say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}})
        while not os.path.exists(effects + ".go"): time.sleep(0.01)
    if do == "environment":
        text = json.dumps({k: v for k, v in os.environ.items() if "prox" in k.lower() or k.startswith("STATE_") or "CERT" in k or "CA_" in k})
    else:
        text = "did it"
    say({"jsonrpc": "2.0", "id": message["id"],
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

    /// With a configuration file. It is in the working folder, so that an engine that the wrapper starts
    /// finds it too.
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
        let mut command = testkit::command(env!("CARGO_BIN_EXE_openclaw-state-engine"));
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

    /// Closes stdin and returns the exit code.
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
