//! `doctor`: what it finds on a machine without problems, and on machines with some.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Builder, Upstream, engine, here, root};

/// A PATH with only these programs, so that the rest of the machine does not matter.
fn path_with(builder: &Builder, programs: &[&str]) -> PathBuf {
    let folder = builder.home().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for program in programs {
        let found = std::env::split_paths(&path).map(|folder| folder.join(program));
        let found = found.into_iter().find(|file| file.exists()).unwrap();
        let _ = symlink(found, folder.join(program));
    }
    folder
}

fn doctor(builder: &Builder, path: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = builder.command();
    command.args(["doctor", "--json", "--database"]).arg(builder.database_path());
    command.env("PATH", path).envs(environment.iter().copied()).output().unwrap()
}

/// The finding about `what`: the verdict, the text, and the remedy.
fn found(output: &Output, what: &str) -> (String, String, String) {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("no finding about {what}: {report:#}"));
    (text(finding, "verdict"), text(finding, "found"), text(finding, "remedy"))
}

#[track_caller]
fn assert_ok(output: &Output, things: &[&str]) {
    for what in things {
        assert_eq!(found(output, what).0, "ok", "{what}: {:?}", found(output, what));
    }
}

#[test]
fn without_problems_it_says_so_and_leaves_a_sound_store() {
    let builder = engine!();
    let path = path_with(&builder, &["curl", "wget"]);
    let output = doctor(&builder, &path, &[]);
    let all = ["store", "disk", "clock", "engine", "in doubt", "duplicates", "round trip", "curl"];
    assert_ok(&output, &all);
    assert_ok(&output, &["wget"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let database = builder.database_path().to_str().unwrap();
    assert!(builder.cli(["verify", "--database", database]).status.success());

    // For people: one line per finding.
    let mut command = builder.command();
    let output =
        command.args(["doctor", "--database", database]).env("PATH", &path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("round trip")).unwrap();
    assert_eq!(
        line,
        "ok       round trip         a call sent twice acted once, and got the same answer twice"
    );
}

/// The clients that `cargo xtask test` installs, and those on this machine.
#[test]
fn the_installed_clients_go_through_the_engine() {
    let builder = engine!();
    let installed = [
        ("node", "tests/clients/node_modules/node/bin/node"),
        ("deno", "tests/clients/node_modules/deno/deno"),
        ("bun", "tests/clients/node_modules/bun/bin/bun.exe"),
    ];
    let bin = builder.home().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, file) in installed {
        symlink(here(file), bin.join(name)).unwrap();
    }
    let machines = std::env::var_os("PATH").unwrap();
    let folders = [bin, here("target/venv/bin")];
    let path = folders.into_iter().chain(std::env::split_paths(&machines));
    let path = PathBuf::from(std::env::join_paths(path).unwrap());
    // Go compiles its library once. `doctor` does not wait for that.
    let cache = root().join("target/go-cache");
    let cache = cache.to_str().unwrap();
    let go = Command::new("go").args(["build", "net/http"]).env("GOCACHE", cache).status();

    let output = doctor(&builder, &path, &[("GOCACHE", cache)]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |client: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|one| one["what"].as_str().unwrap().starts_with(client)).cloned()
    };
    for client in ["curl", "wget", "python urllib", "python requests", "python httpx", "git"]
        .into_iter()
        .chain(["node fetch", "node http", "deno", "bun"])
    {
        let found = of(client).unwrap_or_else(|| panic!("no finding about {client}: {report:#}"));
        assert_eq!(
            (&found["verdict"], &found["found"]),
            (&"ok".into(), &"goes through".into()),
            "{found}"
        );
    }
    for (client, there) in [("go", go.is_ok()), ("java", has("java", &machines))] {
        match of(client) {
            Some(found) => assert_eq!(found["found"], "goes through", "{found}"),
            None if there => panic!("no finding about {client}: {report:#}"),
            None => testkit::untested(&format!("{client}: it is not here")),
        }
    }
    let aiohttp = of("python aiohttp").unwrap();
    assert_eq!(aiohttp["verdict"], "warning", "{aiohttp}");
    assert!(aiohttp["remedy"].as_str().unwrap().contains("trust_env"), "{aiohttp}");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
}

fn has(program: &str, path: &OsStr) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

#[test]
fn a_running_engine_is_examined_and_left_running() {
    let mut engine = engine!().arg("--require-token").start();
    let builder = engine.builder().clone();
    let path = path_with(&builder, &["curl"]);
    let tool = Upstream::start(|_, exchange| exchange.answer(500, &[], b"oh"));
    let ran = builder
        .command()
        .args(["run", "--database"])
        .arg(builder.database_path())
        .args(["--", "curl", "-sS", "-d", "x", &tool.url("/pay")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let output = doctor(&builder, &path, &[]);
    assert_ok(&output, &["ports", "round trip", "curl"]);
    let (verdict, text, remedy) = found(&output, "in doubt");
    assert_eq!((verdict.as_str(), text.as_str()), ("warning", "1 call(s) may have run"));
    assert!(remedy.contains("resolve"), "{remedy}");
    assert_eq!(output.status.code(), Some(0), "a doubt is not a fault of the engine");
    assert!(engine.is_running());
}

#[test]
fn a_client_that_goes_around_is_a_problem_with_a_remedy() {
    let builder = engine!();
    let path = path_with(&builder, &["curl"]);
    let output = doctor(&builder, &path, &[("no_proxy", "127.0.0.1")]);
    assert_eq!(output.status.code(), Some(1));
    assert_ok(&output, &["round trip"]);
    let (verdict, text, remedy) = found(&output, "curl");
    assert_eq!((verdict.as_str(), text.as_str()), ("problem", "goes around the engine, unguarded"));
    assert!(remedy.contains("no_proxy"), "{remedy}");
    assert_eq!(found(&output, "no_proxy").0, "warning");
}

#[test]
fn a_file_that_is_not_a_store_is_a_problem() {
    let builder = engine!();
    fs::create_dir_all(builder.database_path().parent().unwrap()).unwrap();
    fs::write(builder.database_path(), "this is not a database, and long enough to be read as one")
        .unwrap();
    let output = doctor(&builder, Path::new("/nowhere"), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(found(&output, "engine").0, "problem");
}
