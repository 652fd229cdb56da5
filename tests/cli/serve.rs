//! `serve` from start to end: addresses, the lock of a database, signals, files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use testkit::engine;

use crate::{Story, verb};

#[test]
fn addresses_beyond_the_loopback_are_refused_before_anything_is_touched() {
    let builder = engine!();
    assert_output!(verb(&builder, "serve --addr 0.0.0.0:0"), @"
    exit 2
    -- stderr
    error: --addr 0.0.0.0:0 can be reached by other machines: set a token with --token or STATE_ENGINE_TOKEN
    ");
    assert_output!(verb(&builder, "serve --addr 127.0.0.1:0 --proxy-addr 0.0.0.0:0"), @"
    exit 2
    -- stderr
    error: --proxy-addr 0.0.0.0:0 can be reached by other machines: add --require-token
    ");
    assert!(!builder.database_path().exists());
}

#[test]
fn one_process_owns_a_database() {
    let running = engine!().start();
    let second = verb(running.builder(), "serve --addr 127.0.0.1:0 --proxy-addr 127.0.0.1:0");
    assert_output!(second, @"
    exit 2
    -- stderr
    error: the database is in use by process [pid] (version 0.2.0, API http://127.0.0.1:[port]); stop it, or name another file with --database
    ");
}

#[test]
fn a_port_in_use_is_reported_and_the_store_is_closed_again() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("serve --no-proxy --addr {}", occupied.local_addr().unwrap());
    let builder = engine!().env("STATE_ENGINE_LOG", "error");
    assert_output!(verb(&builder, &line), @"
    exit 2
    -- stderr
    error: cannot listen on 127.0.0.1:[port] (choose another with --addr): Address already in use (os error 98)
    ");
    drop(builder.start());
}

#[test]
fn a_signal_ends_serve_cleanly() {
    let running = engine!().start();
    Story::record(&running);
    running.terminate();
    let (status, builder) = running.wait();
    assert_eq!(status.code(), Some(0), "{status}");
    let again = builder.start();
    assert_eq!(again.executions(&json!({})).len(), 5);
}

#[test]
fn only_the_owner_can_read_the_files() {
    let running = engine!().start();
    Story::record(&running);
    let folder = running.builder().database_path().parent().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        assert_eq!(
            mode(&entry.path()),
            if entry.path().is_dir() { 0o700 } else { 0o600 },
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    for name in ["engine.db", "engine.db-wal", "engine.db-shm", "engine.db.lock"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
}
