//! What `serve` cannot start with: before a port is open it prints one line with the reason and the remedy,
//! and exits with 2.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::{Builder, engine};

/// `serve` on `database` with further arguments.
fn serve(builder: &Builder, database: &Path, words: &[&str]) -> Output {
    let mut command = builder.command();
    command.env("STATE_ENGINE_LOG", "error");
    command.args(["serve", "--database"]).arg(database).args(words);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Addresses on two free ports.
const FREE: [&str; 4] = ["--addr", "127.0.0.1:0", "--proxy-addr", "127.0.0.1:0"];

#[track_caller]
fn refused(output: &Output, why: &str, remedy: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
    assert!(stderr.contains(why) && stderr.contains(remedy), "{stderr}");
}

#[test]
fn an_error_about_a_port_in_use_names_its_flag() {
    let builder = engine!();
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = occupied.local_addr().unwrap().to_string();
    for (flag, words) in [
        ("--addr", ["--addr", &occupied, "--proxy-addr", "127.0.0.1:0"]),
        ("--proxy-addr", ["--addr", "127.0.0.1:0", "--proxy-addr", &occupied]),
    ] {
        let output = serve(&builder, builder.database_path(), &words);
        refused(&output, "Address already in use", &format!("choose another with {flag}"));
    }
}

#[test]
fn a_path_that_cannot_hold_a_database() {
    let builder = engine!();
    let file = builder.home().join("file");
    fs::write(&file, "").unwrap();
    let folder = builder.home().join("folder");
    fs::create_dir(&folder).unwrap();
    for (database, why) in [
        (file.join("below").join("engine.db"), "cannot create the folder"),
        (file.join("engine.db"), "cannot create the folder"),
        (folder, "cannot open the database"),
    ] {
        refused(&serve(&builder, &database, &FREE), why, "name another file with --database");
    }
}

/// Runs as a user other than root, because no file mode keeps root out.
#[test]
fn a_folder_of_another_user() {
    let builder = engine!();
    let folder = builder.home().join("theirs");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(builder.home(), fs::Permissions::from_mode(0o755)).unwrap();
    let database = folder.join("engine.db");
    let mut command = builder.command();
    if rustix::process::geteuid().is_root() {
        // The user `nobody` may not be able to reach the folder of the build.
        let copy = builder.home().join("engine");
        fs::copy(command.get_program(), &copy).unwrap();
        command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups"]).arg(copy);
        command.env("HOME", builder.home()).env_remove("XDG_CONFIG_HOME");
    }
    command.args(["serve", "--database"]).arg(database).args(FREE);
    refused(&command.output().unwrap(), "Permission denied", "name another file with --database");
}

#[test]
fn a_file_that_is_not_a_store_of_this_version() {
    let builder = engine!();
    let path = |name: &str| builder.home().join(name);
    fs::write(path("text.db"), "no database, and long enough to be read as one ".repeat(20))
        .unwrap();
    let output = serve(&builder, &path("text.db"), &FREE);
    refused(&output, "the file is not a database", "name another file with --database");

    let python = |name: &str, statement: &str| {
        let program = "import sqlite3, sys; it = sqlite3.connect(sys.argv[1]); it.execute(sys.argv[2]); it.commit()";
        let mut python = Command::new("python3");
        python.args(["-c", program]).arg(path(name)).arg(statement);
        assert!(python.status().unwrap().success(), "{statement}");
    };
    python("mail.db", "CREATE TABLE mails (subject TEXT)");
    for version in ["0", "3", "99"] {
        python("mail.db", &format!("PRAGMA user_version = {version}"));
        let before = fs::read(path("mail.db")).unwrap();
        let output = serve(&builder, &path("mail.db"), &FREE);
        refused(
            &output,
            "the file is another program's database",
            "name another file with --database",
        );
        assert!(fs::read(path("mail.db")).unwrap() == before, "it is left as it is");
    }

    drop(builder.clone().database(path("newer.db")).start());
    python("newer.db", "PRAGMA user_version = 99");
    let (why, remedy) = ("written by a newer version", "use that version");
    refused(&serve(&builder, &path("newer.db"), &FREE), why, remedy);
    for verb in ["executions", "verify"] {
        let output = builder.cli([verb, "--database", path("newer.db").to_str().unwrap()]);
        refused(&output, why, remedy);
    }
}

#[test]
fn one_database_under_two_names_has_one_owner() {
    let builder = engine!();
    let engine = builder.start();
    let link = builder.home().join("link.db");
    std::os::unix::fs::symlink(engine.builder().database_path(), &link).unwrap();
    let output = serve(&builder, &link, &FREE);
    refused(&output, "is in use", "--database");
}

#[test]
fn a_log_that_another_program_writes_to_ends_the_engine() {
    let builder = engine!();
    let engine = builder.start();
    let program = "import sqlite3, sys; it = sqlite3.connect(sys.argv[1]);
it.execute('INSERT INTO events SELECT seq + 1, at, kind, NULL, NULL, NULL, actor, detail, hash FROM events ORDER BY seq DESC LIMIT 1');
it.commit()";
    let mut python = Command::new("python3");
    let python = python.args(["-c", program]).arg(engine.builder().database_path());
    assert!(python.status().unwrap().success());
    let user = serde_json::json!({"username": "ada"});
    let call =
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "create_user", "params": user});
    assert!(engine.try_rpc_text(&call.to_string()).is_err(), "no answer arrives");
    let (status, builder) = engine.wait();
    assert!(!status.success(), "{status}");
    // The new engine appends to what is there, and `verify` names the row.
    let engine = builder.start();
    engine.rpc("create_user", &user);
    let database = engine.builder().database_path().as_os_str();
    let verified = engine.builder().cli(["verify".as_ref(), "--database".as_ref(), database]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
}

#[test]
fn a_full_disk() {
    let builder = engine!();
    let disk = builder.home().join("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=40k", "tmpfs"]).arg(&disk);
    if !mount.output().is_ok_and(|done| done.status.success()) {
        return testkit::untested("a full disk: this user may not mount a tmpfs");
    }
    let output = serve(&builder, &disk.join("engine.db"), &FREE);
    let unmounted = Command::new("umount").arg("-l").arg(&disk).status();
    refused(&output, "the disk is full", "free some space");
    assert!(unmounted.unwrap().success());
}
