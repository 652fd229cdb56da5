//! What a start waits for, and what it refuses.

use std::fs;
use std::thread;

use rustix::io::Errno;
use testkit::{Builder, Foreign, Request, Shim, Upstream, engine, wait_until};

#[test]
fn a_start_after_a_kill_waits_for_programs_that_have_the_database_open() {
    let upstream = Upstream::echo();
    for statements in [
        &["BEGIN", "SELECT count(*) FROM sqlite_schema"][..],
        &["BEGIN IMMEDIATE"],
        // It only has it open: it still remembers what an engine said of the log.
        &["SELECT count(*) FROM sqlite_schema"],
        &["BEGIN", "SELECT count(*) FROM events"],
    ] {
        let engine = engine!().start();
        let call = Request::post(&upstream.url("/"), statements.join("; "));
        engine.send(&call).assert_is(200, "executed");
        let builder = engine.kill();
        let foreign = Foreign::hold(builder.database_path(), statements);
        let who = format!("(process {}): waiting up to 60 s", foreign.pid());
        let log = || fs::read_to_string(builder.home().join("engine.log")).unwrap_or_default();
        let engine = thread::scope(|scope| {
            let start = scope.spawn(|| builder.start());
            wait_until("the start says for whom it waits", || log().contains(&who).then_some(()));
            assert!(!start.is_finished());
            foreign.kill();
            start.join().unwrap()
        });
        engine.send(&call).assert_is(200, "replayed");
    }
}

#[test]
fn a_start_refuses_a_folder_that_cannot_be_synced() {
    let refuses = |builder: &Builder| {
        let Err((status, log)) = builder.try_start() else { panic!("it started") };
        assert!(!status.success() && log.contains("cannot be synced"), "{status} {log}");
    };
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let builder = shim.preload(builder);
    for place in ["new/engine.db", "new/in/new/engine.db", "engine.db"] {
        let builder = builder.clone().database(builder.home().join(place));
        shim.fail_folders(true);
        refuses(&builder);
        shim.fail_folders(false);
        let engine = builder.start();
        shim.fail_folders(true);
        // A database that was there: its log is new.
        let builder = engine.kill();
        refuses(&builder);
    }
}

#[test]
fn a_request_that_cannot_be_spooled_is_refused_with_the_reason() {
    let upstream = Upstream::echo();
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let engine = shim.preload(builder).start();
    let call = Request::post(&upstream.url("/"), vec![b'x'; 300 * 1024]);
    for (errno, status, code) in [
        (Errno::NOSPC, 507, "store-full"),
        (Errno::DQUOT, 507, "store-full"),
        (Errno::MFILE, 503, "queue-full"),
        (Errno::NFILE, 503, "queue-full"),
        (Errno::ROFS, 500, "internal"),
        (Errno::ACCESS, 500, "internal"),
        (Errno::IO, 500, "internal"),
    ] {
        shim.fail_spool(errno.raw_os_error());
        engine.send(&call).assert_problem(status, code);
    }
    assert_eq!(upstream.hits(), 0);
    shim.fail_spool(0);
    engine.send(&call).assert_is(200, "executed");
}

#[test]
fn an_answer_that_cannot_be_spooled_is_kept() {
    let answer = vec![b'a'; 1 << 20];
    let body = answer.clone();
    let upstream = Upstream::start(move |_, exchange| exchange.answer(200, &[], &body));
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let engine = shim.preload(builder).start();
    for errno in [Errno::NOSPC, Errno::MFILE, Errno::IO] {
        shim.fail_spool(errno.raw_os_error());
        let call = Request::post(&upstream.url("/"), errno.raw_os_error().to_string());
        for word in ["executed", "replayed"] {
            let got = engine.send(&call);
            got.assert_is(200, word);
            assert_eq!(got.body, answer);
        }
    }
}
