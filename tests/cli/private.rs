//! What the engine writes is private whatever the umask, whatever stood there before, and follows no link.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::Mode;
use testkit::{Builder, Request, Upstream, engine};

const FREE: [&str; 4] = ["--addr", "127.0.0.1:0", "--proxy-addr", "127.0.0.1:0"];

/// As engines of earlier versions and other programs leave them: any umask, and modes that it cannot explain.
const UMASKS: [u32; 4] = [0o000, 0o002, 0o022, 0o077];

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whatever is below a folder, with its mode.
fn assert_private(folder: &Path, what: &str) {
    assert_eq!(mode(folder), 0o700, "{what}: {}", folder.display());
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_private(&path, what);
        } else {
            assert_eq!(mode(&path), 0o600, "{what}: {}", path.display());
        }
    }
}

fn beside(builder: &Builder, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", builder.database_path().display()))
}

/// Each test is its own process, so the umask is the test's alone.
fn with_umask(umask: u32) {
    rustix::process::umask(Mode::from_raw_mode(umask));
}

fn ca_init(builder: &Builder) {
    let database = builder.database_path().to_str().unwrap();
    let made = builder.cli(["ca", "init", "--intercept", "a.example", "--database", database]);
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn files_are_private_whatever_the_umask() {
    for umask in UMASKS {
        with_umask(umask);
        let what = format!("umask {umask:03o}");
        let (builder, upstream) = (engine!().arg("--intercept").arg("a.example"), Upstream::echo());
        ca_init(&builder);
        let engine = builder.start();
        engine.send(&Request::post(&upstream.url("/act"), "one")).assert_is(200, "executed");
        assert_private(builder.database_path().parent().unwrap(), &what);

        let exported = builder.home().join("exported.pem");
        let database = builder.database_path().to_str().unwrap().to_owned();
        let words = ["ca", "export", exported.to_str().unwrap(), "--database", &database];
        let done = builder.cli(words);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(mode(&exported), 0o600, "{what}");

        // The program looks at the folder of its certificates, and at its own umask.
        let look =
            "folder=$(dirname $SSL_CERT_FILE); stat -c '%a' $folder; stat -c '%a' $folder/*; umask";
        let ran = builder.cli(["run", "--database", &database, "--", "sh", "-c", look]);
        let seen = String::from_utf8_lossy(&ran.stdout).into_owned();
        let mut lines = seen.lines().collect::<Vec<_>>();
        let own = lines.pop().unwrap_or_default();
        assert_eq!(u32::from_str_radix(own, 8).ok(), Some(umask), "{what}: {ran:?}");
        assert_eq!(lines, ["700", "600", "600", "600"], "{what}");
        assert_private(builder.database_path().parent().unwrap(), &what);
    }
}

#[test]
fn an_engine_of_run_is_private_whatever_the_umask() {
    for umask in UMASKS {
        with_umask(umask);
        let builder = engine!();
        let database = builder.database_path().to_str().unwrap().to_owned();
        let look = "stat -c '%a' $(dirname $SSL_CERT_FILE)";
        let mut command = builder.command();
        command.env("STATE_ENGINE_INTERCEPT", "a.example").args(["run", "--database", &database]);
        let ran = command.args(["--", "sh", "-c", look]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "700\n", "umask {umask:03o}: {ran:?}");
        assert_private(builder.database_path().parent().unwrap(), &format!("umask {umask:03o}"));
    }
}

#[test]
fn what_stood_there_becomes_private() {
    let files = ["", "-wal", "-shm", ".lock", ".reserve", ".head", ".runs"];
    for old in [0o666, 0o664, 0o644, 0o640, 0o606] {
        let (builder, upstream) = (engine!(), Upstream::echo());
        let engine = builder.start();
        engine.send(&Request::post(&upstream.url("/act"), "one")).assert_is(200, "executed");
        let builder = engine.kill();
        fs::write(beside(&builder, ".runs"), "").unwrap();
        for suffix in files {
            set_mode(&beside(&builder, suffix), old);
        }
        let engine = builder.start();
        engine.send(&Request::post(&upstream.url("/act"), "one")).assert_is(200, "replayed");
        let database = builder.database_path().to_str().unwrap().to_owned();
        let ran = builder.cli(["run", "--database", &database, "--", "true"]);
        assert!(ran.status.success(), "{ran:?}");
        assert_private(builder.database_path().parent().unwrap(), &format!("{old:o}"));
        let log = engine.log();
        assert!(log.contains("others could use this file") && log.contains("engine.db"), "{log}");
    }
}

/// What may be planted under a name, and part of the refusal.
const PLANTED: [(&str, &str); 5] = [
    ("a link to a file", "is a link"),
    ("a link to nothing", "is a link"),
    ("a second name of a file", "has 2 names"),
    ("a folder", "is not a regular file"),
    ("a pipe", "is not a regular file"),
];

fn plant(kind: &str, at: &Path, victim: &Path) {
    let _ = fs::remove_file(at);
    match kind {
        "a link to a file" => symlink(victim, at).unwrap(),
        "a link to nothing" => symlink(victim.with_extension("nothing"), at).unwrap(),
        "a second name of a file" => fs::hard_link(victim, at).unwrap(),
        "a folder" => fs::create_dir(at).unwrap(),
        _ => assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
    }
}

#[test]
fn what_was_planted_is_refused_and_the_victim_is_left_alone() {
    for suffix in ["-wal", "-shm", ".lock", ".reserve", ".head"] {
        for (kind, why) in PLANTED {
            // SQLite's own check of its index gives no reason; and nothing of it is in a new store.
            let what = format!("{kind} at {suffix}");
            let builder = engine!().start().kill();
            let victim = builder.home().join("victim");
            fs::write(&victim, "precious").unwrap();
            let at = beside(&builder, suffix);
            plant(kind, &at, &victim);
            let mut command = builder.command();
            command.args(["serve", "--database"]).arg(builder.database_path()).args(FREE);
            let output =
                command.env("STATE_ENGINE_LOG", "off").stdin(Stdio::null()).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{what}: {stderr}");
            assert!(stderr.contains(why) && stderr.contains(suffix), "{what}: {stderr}");
            assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
            assert!(!victim.with_extension("nothing").exists(), "{what}");
        }
    }
}

#[test]
fn run_follows_no_planted_link() {
    for (kind, why) in PLANTED {
        let engine = engine!().start();
        let builder = engine.builder();
        let victim = builder.home().join("victim");
        fs::write(&victim, "precious").unwrap();
        plant(kind, &beside(builder, ".runs"), &victim);
        let database = builder.database_path().to_str().unwrap();
        let ran = builder.cli(["run", "--database", database, "--", "true"]);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(2) && stderr.contains(why), "{kind}: {stderr}");
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{kind}");
    }
}

#[test]
fn a_certificate_is_not_written_through_a_link() {
    let builder = engine!();
    ca_init(&builder);
    let (victim, link) = (builder.home().join("victim"), builder.home().join("link.pem"));
    fs::write(&victim, "precious").unwrap();
    let database = builder.database_path().to_str().unwrap().to_owned();
    for target in [&victim, &builder.home().join("nothing")] {
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
        let done = builder.cli(["ca", "export", link.to_str().unwrap(), "--database", &database]);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(!builder.home().join("nothing").exists());
}

/// The files of another user stay that user's.
#[test]
fn files_of_another_user_are_refused() {
    if !rustix::process::geteuid().is_root() {
        return testkit::untested("files of another user: only root can give files away");
    }
    for suffix in ["", "-wal", ".lock", ".reserve", ".head"] {
        let builder = engine!().start().kill();
        let at = beside(&builder, suffix);
        std::os::unix::fs::chown(&at, Some(65_534), None).unwrap();
        let (status, log) = builder.try_start().err().unwrap();
        let output = log.lines().last().unwrap();
        assert!(status.code() == Some(2) && output.contains("chown 0 "), "{suffix}: {output}");
    }
}
