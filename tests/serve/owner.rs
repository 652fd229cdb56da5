//! One database has one owner and one history, by whatever name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{Builder, Engine, Request, Upstream, engine, wait_until};

const FREE: [&str; 4] = ["--addr", "127.0.0.1:0", "--proxy-addr", "127.0.0.1:0"];

/// A start that has to be refused; its only line.
#[track_caller]
fn refusal(builder: &Builder, database: &Path) -> String {
    let mut command = builder.command();
    command.args(["serve", "--database"]).arg(database).args(FREE).env("STATE_ENGINE_LOG", "error");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    stderr
}

/// What `executions` finds under a name.
fn executions(builder: &Builder, database: &Path) -> Result<usize, String> {
    let words = ["executions".as_ref(), "--json".as_ref(), "--database".as_ref()];
    let output = builder.cli(words.into_iter().chain([database.as_os_str()]));
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).lines().count()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The API of the engine that a program under `run` gets.
fn api_in_run(builder: &Builder, database: &Path) -> String {
    let mut command = builder.command();
    command.args(["run", "--session", "s", "--database"]).arg(database);
    let output = command.args(["--", "sh", "-c", "printf %s $STATE_ENGINE_URL"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim_end_matches('/').to_owned()
}

/// Mounts a file at another path, as long as this lives.
struct BindMount(PathBuf);

impl BindMount {
    fn new(file: &Path, at: PathBuf) -> Option<Self> {
        fs::write(&at, "").unwrap();
        let mounted = Command::new("mount").arg("--bind").arg(file).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn with_calls(n: usize) -> (Engine, Upstream) {
    let (engine, upstream) = (engine!().start(), Upstream::echo());
    for i in 0..n {
        engine
            .send(&Request::post(&upstream.url("/act"), format!("{i}")))
            .assert_is(200, "executed");
    }
    (engine, upstream)
}

#[test]
fn a_running_engine_is_found_by_every_name_and_no_second_one_starts() {
    let (engine, _upstream) = with_calls(3);
    let builder = engine.builder();
    let database = fs::canonicalize(builder.database_path()).unwrap();
    let path = |name: &str| builder.home().join(name);

    symlink(&database, path("link.db")).unwrap();
    symlink("link.db", path("relative.db")).unwrap();
    symlink(path("relative.db"), path("chain.db")).unwrap();
    symlink(database.parent().unwrap(), path("folder")).unwrap();
    let names = [
        database.clone(),
        path("link.db"),
        path("relative.db"),
        path("chain.db"),
        path("folder").join("engine.db"),
        path("folder").join("..").join("store").join("engine.db"),
    ];
    let mut names = Vec::from(names);
    let mount = BindMount::new(&database, path("mounted.db"));
    match &mount {
        Some(mount) => names.push(mount.0.clone()),
        None => testkit::untested("a bind mount: this user may not mount"),
    }
    let in_use = format!("is in use by process {}", engine.pid());
    for name in &names {
        let shown = name.display();
        let refused = refusal(builder, name);
        assert!(refused.contains(&in_use), "{shown}: {refused}");
        assert_eq!(executions(builder, name), Ok(3), "{shown}");
        assert_eq!(api_in_run(builder, name), format!("http://{}", engine.api), "{shown}");
    }
    drop(mount);

    fs::hard_link(&database, path("second.db")).unwrap();
    assert!(refusal(builder, &path("second.db")).contains("has 2 names"));
    assert_eq!(executions(builder, &path("second.db")), Ok(3));
    assert_eq!(api_in_run(builder, &path("second.db")), format!("http://{}", engine.api));
    wait_until("the engine warns", || engine.log().contains("has a second name").then_some(()));
}

#[test]
fn a_dangling_link_names_the_file_that_it_leads_to() {
    let builder = engine!();
    let path = |name: &str| builder.home().join(name);
    symlink(path("target.db"), path("middle.db")).unwrap();
    symlink("middle.db", path("first.db")).unwrap();
    let engine = builder.clone().database(path("first.db")).start();
    for name in ["target.db", "middle.db", "first.db"] {
        let refused = refusal(&builder, &path(name));
        assert!(refused.contains(&format!("process {}", engine.pid())), "{name}: {refused}");
    }
    for beside in ["target.db-wal", "target.db.lock", "target.db.reserve", "target.db.head"] {
        assert!(path(beside).exists(), "{beside}");
    }
    assert!(!path("first.db.lock").exists() && !path("first.db.reserve").exists());
}

#[test]
fn a_loop_of_links_is_refused() {
    let builder = engine!();
    let path = |name: &str| builder.home().join(name);
    symlink("b.db", path("a.db")).unwrap();
    symlink("a.db", path("b.db")).unwrap();
    assert!(refusal(&builder, &path("a.db")).contains("is a link, which is not followed"));
}

#[test]
fn a_deleted_lock_file_lets_no_second_engine_in_and_is_written_again() {
    let (engine, _upstream) = with_calls(2);
    let builder = engine.builder();
    let (database, lock) =
        (builder.database_path(), format!("{}.lock", builder.database_path().display()));
    for _ in 0..3 {
        fs::remove_file(&lock).unwrap();
        let refused = refusal(builder, database);
        assert!(refused.contains(&format!("process {}", engine.pid())), "{refused}");
        wait_until("the lock file is the engine's again", || {
            let text = fs::read_to_string(&lock).ok()?;
            let holder: Value = serde_json::from_str(&text).ok()?;
            (holder["pid"] == engine.pid() && holder["api"] == format!("http://{}", engine.api))
                .then_some(())
        });
        assert_eq!(executions(builder, database), Ok(2));
    }
    // Without a refused start, too.
    fs::remove_file(&lock).unwrap();
    wait_until("it is written again", || fs::metadata(&lock).ok());
}

/// Thirty calls, and the log that has them is named after the other name.
#[test]
fn a_database_with_two_names_is_refused_until_it_has_one() {
    let (engine, upstream) = with_calls(30);
    let builder = engine.kill();
    let database = builder.database_path().to_owned();
    let second = builder.home().join("second.db");
    fs::hard_link(&database, &second).unwrap();
    for name in [&second, &database] {
        let refused = refusal(&builder, name);
        assert!(refused.contains("has 2 names") && refused.contains("-samefile"), "{refused}");
    }
    // The command reads no history that lacks the log.
    let read = executions(&builder, &second).unwrap_err();
    assert!(read.contains("2 names"), "{read}");
    fs::remove_file(&second).unwrap();
    let engine = builder.start();
    for i in 0..30 {
        engine
            .send(&Request::post(&upstream.url("/act"), format!("{i}")))
            .assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits(), 30);
}

/// The database was moved, or is mounted, without the log that belongs to it.
#[test]
fn a_database_without_its_log_is_refused_under_its_new_name() {
    let (engine, upstream) = with_calls(5);
    let builder = engine.kill();
    let moved = builder.home().join("moved.db");
    fs::rename(builder.database_path(), &moved).unwrap();
    let refused = refusal(&builder, &moved);
    assert!(
        refused.contains("records are missing") && refused.contains("--accept-loss"),
        "{refused}"
    );
    let refused = refusal(&builder, builder.database_path());
    assert!(refused.contains("missing, but there was one"), "{refused}");
    fs::rename(&moved, builder.database_path()).unwrap();
    let engine = builder.start();
    engine.send(&Request::post(&upstream.url("/act"), "0")).assert_is(200, "replayed");
}

/// A database that was closed is whole without its log: it may be moved.
#[test]
fn a_closed_database_opens_under_a_new_name() {
    let (engine, upstream) = with_calls(5);
    engine.terminate();
    let (status, builder) = engine.wait();
    assert_eq!(status.code(), Some(0));
    let moved = builder.home().join("moved.db");
    fs::rename(builder.database_path(), &moved).unwrap();
    let engine = builder.database(moved).start();
    engine.send(&Request::post(&upstream.url("/act"), "4")).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 5);
}
