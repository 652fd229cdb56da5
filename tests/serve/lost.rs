//! The files under a running engine are deleted, replaced or truncated, under load. It refuses new calls, says
//! why, and ends with status 70. The next start is refused, or every acknowledged call is still known.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::{Builder, Engine, Gate, Request, Upstream, engine, wait_until};

/// What is done to the files of a database.
type Damage = fn(&Path);

fn log(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", database.display()))
}

fn index(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-shm", database.display()))
}

fn truncate(path: &Path, part: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size * part / 8).unwrap();
}

/// Puts a copy in the place of a file.
fn replace(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    fs::rename(copy, path).unwrap();
}

const DAMAGES: [(&str, Damage); 13] = [
    ("the database is deleted", |it| fs::remove_file(it).unwrap()),
    ("the log is deleted", |it| fs::remove_file(log(it)).unwrap()),
    ("both are deleted", |it| {
        fs::remove_file(it).unwrap();
        fs::remove_file(log(it)).unwrap();
    }),
    ("the index of the log is deleted", |it| fs::remove_file(index(it)).unwrap()),
    ("the database is emptied", |it| truncate(it, 0)),
    ("the database is cut", |it| truncate(it, 5)),
    ("the log is emptied", |it| truncate(&log(it), 0)),
    ("the log is cut", |it| truncate(&log(it), 5)),
    ("both are emptied", |it| {
        truncate(it, 0);
        truncate(&log(it), 0);
    }),
    ("the database is replaced", replace),
    ("the log is replaced", |it| replace(&log(it))),
    ("the database is renamed", |it| fs::rename(it, it.with_extension("away")).unwrap()),
    ("the folder is removed", |it| fs::remove_dir_all(it.parent().unwrap()).unwrap()),
];

/// Calls until the engine refuses or is gone; the bodies of those that were acknowledged.
fn load(engine: &Engine, upstream: &Upstream, begun: &AtomicUsize) -> Vec<String> {
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..3 {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for i in 0.. {
                    let body = format!("{thread} {i}");
                    let request = Request::post(&upstream.url("/act"), body.clone());
                    let Ok(answer) = request.try_via(engine.proxy) else { return };
                    match answer.status {
                        200 => acknowledged.lock().unwrap().push(body),
                        // A read that met a hole before anyone looked.
                        500 => return answer.assert_problem(500, "internal"),
                        _ => return answer.assert_problem(503, "store-lost"),
                    }
                    begun.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

/// The next start says what is wrong, or knows every call.
fn check_next_start(
    what: &str,
    builder: &Builder,
    upstream: &Upstream,
    acknowledged: &[String],
) -> bool {
    let before = upstream.hits();
    match builder.try_start() {
        Ok(engine) => {
            for body in acknowledged {
                let answer = engine.send(&Request::post(&upstream.url("/act"), body.clone()));
                assert_eq!((answer.status, answer.word()), (200, "replayed"), "{what}: {body}");
            }
            assert_eq!(upstream.hits(), before, "{what}");
            true
        }
        Err((status, log)) => {
            let output = log.lines().last().unwrap_or_default();
            assert_eq!(status.code(), Some(2), "{what}: {output}");
            assert!(
                output.contains("--new-database")
                    || output.contains("--accept-loss")
                    || output.contains("restore a backup")
                    || output.contains("Restore a backup"),
                "{what}: {output}"
            );
            false
        }
    }
}

#[test]
fn files_that_are_lost_under_load_end_the_engine_and_are_missed_at_the_next_start() {
    for (what, damage) in DAMAGES {
        let (engine, upstream) = (engine!().start(), Upstream::echo());
        let begun = AtomicUsize::new(0);
        let acknowledged = thread::scope(|scope| {
            let loading = scope.spawn(|| load(&engine, &upstream, &begun));
            wait_until("calls go on", || (begun.load(Ordering::SeqCst) > 30).then_some(()));
            damage(engine.builder().database_path());
            loading.join().unwrap()
        });
        assert!(acknowledged.len() > 30, "{what}");
        let home = engine.builder().home().to_owned();
        let (status, builder) = engine.wait();
        assert_eq!(status.code(), Some(70), "{what}");
        let output = fs::read_to_string(home.join("engine.log")).unwrap();
        assert!(
            output.contains("the store lost its files") || output.contains("cannot continue"),
            "{what}: {output}"
        );
        let starts = check_next_start(what, &builder, &upstream, &acknowledged);
        let is_whole = what.contains("index") || what == "the database is replaced";
        // The log may have got frames after it was copied.
        assert!(starts == is_whole || what == "the log is replaced", "{what}: {starts}");
    }
}

#[test]
fn files_that_are_lost_before_the_start_are_missed_at_the_next_start() {
    for (what, damage) in DAMAGES {
        // Without its folder nothing is left to compare with; only an engine that still runs can write it.
        if what.contains("folder") {
            continue;
        }
        let (engine, upstream) = (engine!().start(), Upstream::echo());
        let bodies: Vec<String> = (0..40).map(|i| i.to_string()).collect();
        for body in &bodies {
            engine.post(&upstream.url("/act"), body).assert_is(200, "executed");
        }
        let builder = engine.kill();
        damage(builder.database_path());
        let starts = check_next_start(what, &builder, &upstream, &bodies);
        let is_whole = what.contains("index") || what.contains("replaced");
        assert_eq!(starts, is_whole, "{what}");
    }
}

#[test]
fn what_runs_is_answered_while_new_calls_are_refused() {
    let (engine, gate) = (engine!().start(), Gate::new());
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        if request.target() == "/slow" {
            held.wait();
        }
        exchange.answer(200, &[], b"done");
    });
    engine.post(&upstream.url("/act"), "before").assert_is(200, "executed");
    thread::scope(|scope| {
        let slow = scope.spawn(|| engine.post(&upstream.url("/slow"), "slow"));
        upstream.wait_for_hits(2);
        // Nobody calls meanwhile: the engine looks by itself.
        fs::remove_file(engine.builder().database_path()).unwrap();
        wait_until("the engine notices", || engine.log().contains("lost its files").then_some(()));
        let refused = Request::post(&upstream.url("/act"), "after").try_via(engine.proxy);
        // It may have closed its listeners already.
        if let Ok(refused) = refused {
            refused.assert_problem(503, "store-lost");
        }
        gate.open();
        slow.join().unwrap().assert_is(200, "executed");
    });
    assert_eq!(upstream.hits(), 2);
    let (status, _) = engine.wait();
    assert_eq!(status.code(), Some(70));
}

/// Starts with one more flag, and gives it up.
fn start_once(builder: &Builder, flag: &str) -> Engine {
    builder.clone().arg(flag).start()
}

#[test]
fn a_loss_that_is_accepted_is_in_the_log() {
    let (engine, upstream) = (engine!().start(), Upstream::echo());
    engine.post(&upstream.url("/act"), "one").assert_is(200, "executed");
    let builder = engine.kill();
    let head = fs::read_to_string(format!("{}.head", builder.database_path().display())).unwrap();
    truncate(&log(builder.database_path()), 0);
    for verb in ["executions", "verify", "replay"] {
        let words = [verb, "--database", builder.database_path().to_str().unwrap()];
        let more = if verb == "replay" { &["--session", "default"][..] } else { &[] };
        let read = builder.cli(words.iter().chain(more));
        let stderr = String::from_utf8_lossy(&read.stderr);
        let (code, text) = match verb {
            "verify" => (1, String::from_utf8_lossy(&read.stdout)),
            _ => (2, stderr),
        };
        assert!(
            read.status.code() == Some(code) && text.contains("--accept-loss"),
            "{verb}: {text}"
        );
    }
    let engine = start_once(&builder, "--accept-loss");
    let builder = engine.kill();
    let program = "import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute(\"SELECT detail FROM events WHERE kind = 'boot'\")
print('\\n'.join(row[0] for row in rows))";
    let mut python = std::process::Command::new("python3");
    let boots = python.args(["-c", program]).arg(builder.database_path()).output().unwrap();
    let boots = String::from_utf8(boots.stdout).unwrap();
    let (_, hash) = head.trim().split_once(':').unwrap();
    assert!(boots.contains(&format!("\"hash\":\"{hash}\"")), "{boots}");
    // Once is enough.
    let database = builder.start().kill().database_path().to_str().unwrap().to_owned();
    let verified = builder.cli(["verify", "--database", &database]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn an_older_copy_in_the_place_of_the_database_is_refused() {
    let (engine, upstream) = (engine!().start(), Upstream::echo());
    engine.post(&upstream.url("/act"), "one").assert_is(200, "executed");
    engine.terminate();
    let (_, builder) = engine.wait();
    let copy = builder.home().join("copy.db");
    fs::copy(builder.database_path(), &copy).unwrap();
    let engine = builder.start();
    engine.post(&upstream.url("/act"), "two").assert_is(200, "executed");
    engine.terminate();
    let (_, builder) = engine.wait();
    fs::copy(&copy, builder.database_path()).unwrap();
    assert!(!check_next_start("an older copy", &builder, &upstream, &[]));
    // Another database is not even a copy of it.
    let other = engine!().start();
    other.post(&upstream.url("/act"), "three").assert_is(200, "executed");
    other.terminate();
    let (_, other) = other.wait();
    fs::copy(other.database_path(), builder.database_path()).unwrap();
    assert!(!check_next_start("another database", &builder, &upstream, &[]));
}

#[test]
fn a_new_database_where_there_was_one_has_to_be_meant() {
    let (engine, upstream) = (engine!().start(), Upstream::echo());
    engine.post(&upstream.url("/act"), "one").assert_is(200, "executed");
    let builder = engine.kill();
    let database = builder.database_path().to_owned();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", database.display()));
    let all = ["-wal", "-shm", ".lock", ".reserve", ".head"];
    fs::remove_file(&database).unwrap();
    // Each of these alone says that there was one.
    for kept in ["-wal", ".lock", ".reserve", ".head"] {
        let away = builder.home().join("away");
        fs::create_dir(&away).unwrap();
        for suffix in all.into_iter().filter(|suffix| *suffix != kept) {
            fs::rename(beside(suffix), away.join(suffix)).unwrap();
        }
        let (status, log) = builder.try_start().err().unwrap();
        let output = log.lines().last().unwrap();
        let named = output.contains(&beside(kept).display().to_string());
        assert!(
            status.code() == Some(2) && named && output.contains("--new-database"),
            "{kept}: {output}"
        );
        for suffix in all.into_iter().filter(|suffix| *suffix != kept) {
            fs::rename(away.join(suffix), beside(suffix)).unwrap();
        }
        fs::remove_dir(&away).unwrap();
    }
    let engine = start_once(&builder, "--new-database");
    engine.post(&upstream.url("/act"), "one").assert_is(200, "executed");
    let builder = engine.kill();
    let engine = builder.start();
    engine.post(&upstream.url("/act"), "one").assert_is(200, "replayed");
}

/// A first start that was killed at any moment leaves nothing that the next one refuses.
#[test]
fn a_first_start_that_was_interrupted_is_not_a_loss() {
    let builder = engine!();
    let database = builder.database_path().to_owned();
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", database.display()));
    let starting = r#"{"pid":1,"api":"","version":"0.2.0"}"#;
    for (what, files) in [
        ("a lock file", &[(".lock", starting)][..]),
        ("a lock file without text", &[(".lock", "")]),
        ("an empty database", &[(".lock", starting), ("", "")]),
        ("an empty log", &[(".lock", starting), ("", ""), ("-wal", "")]),
    ] {
        for (suffix, text) in files {
            fs::write(beside(suffix), text).unwrap();
        }
        let engine = builder.try_start().unwrap_or_else(|(_, log)| panic!("{what}: {log}"));
        drop(engine);
        fs::remove_dir_all(database.parent().unwrap()).unwrap();
        fs::create_dir(database.parent().unwrap()).unwrap();
    }
}

/// Kills at moments of the start and of work: the mark never names what is not on disk.
#[test]
fn an_engine_that_is_killed_at_any_moment_starts_again() {
    let mut builder = engine!();
    for round in 0..12 {
        let mut command = builder.command();
        command.args(["serve", "--database"]).arg(builder.database_path());
        command.args(["--addr", "127.0.0.1:0", "--proxy-addr", "127.0.0.1:0"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let exists = |suffix: &str| {
            Path::new(&format!("{}{suffix}", builder.database_path().display())).exists()
        };
        let at = ["", ".lock", "-wal", ".reserve", ".head.new", ".head"][round % 6];
        // One that is there only for a moment may be missed: then the kill is later.
        wait_until("the start gets there", || (exists(at) || exists(".head")).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
        builder = builder.start().kill();
    }
}
