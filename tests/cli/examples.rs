//! The examples of every `--help`, run unchanged by a shell. If an example needs an engine, there is a
//! real one. Other programs are replaced by scripts of the same names.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use testkit::{Builder, Engine, engine};

const NAME: &str = "openclaw-state-engine";

/// The id in the examples.
const ID: &str = "0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b";

/// A home with a store in the user's data folder, `agent.db` and the files that the examples name.
struct Home {
    builder: Builder,
}

impl Home {
    fn new() -> Self {
        let builder = engine!();
        let database = builder.home().join("data").join(NAME).join("state.db");
        let home = Self { builder: builder.database(database) };
        let bin = home.path("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_openclaw-state-engine"), bin.join(NAME)).unwrap();
        symlink("/bin/cat", bin.join("cat")).unwrap();
        for program in ["bin/python", "bin/node", "bin/claude", "bin/npx", "bin/uvx", "gradlew"] {
            let program = home.path(program);
            fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(home.path("engine.toml"), "").unwrap();
        fs::write(home.path("order.json"), "{\"id\": 7}").unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.builder.home().join(name)
    }

    /// Runs a line of shell. PATH has only the programs above, so that `doctor` finds no others.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        let ours = self.builder.command();
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(["-c", line]).env("PATH", self.path("bin")).current_dir(self.builder.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, line: &str) -> Output {
        let ran = self.shell(line).output().unwrap();
        assert!(ran.status.success(), "{line}: {ran:?}");
        ran
    }
}

/// The examples of a verb and of its subcommands.
fn examples_of(home: &Home, verb: &str, found: &mut Vec<String>) {
    let help = String::from_utf8(home.run(&format!("{NAME} {verb} --help")).stdout).unwrap();
    let (_, examples) =
        help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{verb}: {help}"));
    let examples = examples.replace("\\\n", " ");
    let examples: Vec<_> =
        examples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(!examples.is_empty() && examples.iter().all(|line| line.starts_with(NAME)), "{help}");
    found.extend(examples.into_iter().map(str::to_owned));
    if let Some((_, commands)) = help.split_once("\nCommands:\n") {
        let below = commands.split("\n\n").next().unwrap().lines();
        for name in below.filter_map(|line| line.split_whitespace().next()) {
            if name != "help" {
                examples_of(home, format!("{verb} {name}").trim(), found);
            }
        }
    }
}

/// Makes a call that is in doubt. Returns the ids of its session and of the call.
fn doubtful(engine: &Engine, user: &str) -> (String, String) {
    let (user, session, goal) = engine.goal(user);
    let call = json!({"user_id": user, "session_id": session, "goal_id": goal, "tool_name": "charge",
                      "tool_input": {}, "idempotency_key": session, "lease": true});
    let made = engine.rpc("execute_tool_idempotent", &call);
    engine.rpc("finish_tool_execution", &json!({"lease": made["lease"], "outcome": "unknown"}));
    (session, made["id"].as_str().unwrap().to_owned())
}

/// Runs `serve` until it gets a signal.
fn serve(home: &Home, line: &str) {
    let ports = if line.contains("--addr") { "" } else { "--addr 127.0.0.1:0" };
    let proxy = if line.contains("--no-proxy") { "" } else { "--proxy-addr 127.0.0.1:0" };
    // The default ports may be in use on this machine.
    let mut child = home.shell(&format!("exec {line} {ports} {proxy}")).spawn().unwrap();
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let first = std::io::BufRead::lines(stdout).next();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = child.wait().unwrap();
    assert!(ended.success() && first.is_some(), "{line}: {ended}");
}

fn remove(path: &Path) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn the_examples_of_every_help_work() {
    let home = Home::new();
    let mut examples = Vec::new();
    examples_of(&home, "", &mut examples);
    assert!(examples.len() > 30, "{examples:#?}");
    let mut take = |verb: &str| {
        let beginning = format!("{NAME} {verb}");
        let (selected, left): (Vec<_>, _) =
            examples.drain(..).partition(|line: &String| line.starts_with(&beginning));
        examples = left;
        assert!(!selected.is_empty(), "{verb}");
        selected
    };

    for line in take("serve") {
        serve(&home, &line);
    }
    let default = format!("{NAME} ca init --intercept api.example.com");
    for line in take("ca init").iter().chain([&default]) {
        let database = home.builder.database_path().to_owned();
        let beside = if line.contains("agent.db") { home.path("agent.db") } else { database };
        for name in ["ca.pem", "ca.key"] {
            remove(&beside.with_file_name(name));
        }
        home.run(line);
    }
    let engine = home.builder.clone().arg("--intercept").arg("api.example.com").start();
    for line in take("ca show") {
        home.run(&line);
    }
    for line in take("ca export") {
        remove(&home.path("engine-ca.pem"));
        home.run(&line);
        let pem = fs::read_to_string(home.path("engine-ca.pem")).unwrap();
        assert!(pem.contains("BEGIN CERTIFICATE"), "{line}");
    }
    drop(engine);

    let agents = home.builder.clone().database(home.path("agent.db")).start();
    let (agents_session, _) = doubtful(&agents, "ada");
    drop(agents);
    let engine = home.builder.start();
    let (session, _) = doubtful(&engine, "bob");
    let user = engine.rpc("get_session", &json!({ "id": session }))["user_id"].clone();
    engine.rpc("create_session", &json!({"user_id": user, "name": "nightly"}));
    let verified = home.run(&format!("{NAME} verify --json")).stdout;
    let verified: serde_json::Value = serde_json::from_slice(&verified).unwrap();
    fs::write(home.path("head.txt"), verified["head"].as_str().unwrap()).unwrap();

    for (n, line) in take("resolve").iter().enumerate() {
        let (_, execution) = doubtful(&engine, &format!("user-{n}"));
        home.run(&line.replace(ID, &execution));
    }
    for line in take("replay") {
        let session = if line.contains("agent.db") { &agents_session } else { &session };
        home.run(&line.replace(ID, session));
    }
    for line in examples {
        home.run(&line);
    }
}
