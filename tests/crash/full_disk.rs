//! A full disk: new calls are refused before anything is sent, calls in flight are recorded, and what cannot be
//! recorded is said to be so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::json;
use testkit::{
    Builder, Engine, Exchange, Gate, Received, Request, Upstream, all_at_once, engine, wait_until,
};

/// Fills the store until a new call is refused. Returns the number of accepted calls.
fn fill(engine: &Engine, upstream: &Upstream) -> usize {
    for n in 0..2_000 {
        let answer = engine.post(&upstream.url("/big"), &n.to_string());
        if answer.status != 200 {
            answer.assert_problem(507, "store-full");
            return n;
        }
    }
    panic!("the disk is never full");
}

/// On a full disk, new calls of every class are refused, and calls in flight are recorded.
fn full_disk(builder: &Builder, restart: &Builder) {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| match request.target() {
        "/held" => {
            held.wait();
            exchange.answer(200, &[], &[b'h'; 1_000]);
        }
        _ => exchange.answer(200, &[], &vec![b'b'; 256 * 1024]),
    });
    let engine = builder.start();
    let in_flight = Request::post(&upstream.url("/held"), "x");
    let proxy = engine.proxy;
    let waiting = {
        let in_flight = in_flight.clone();
        std::thread::spawn(move || in_flight.via(proxy))
    };
    upstream.wait_for_hits(1);
    let got_in = fill(&engine, &upstream);
    assert!(got_in > 0, "nothing fitted");
    let hits = upstream.hits();
    for request in [
        Request::post(&upstream.url("/new"), "x"),
        Request::new("PUT", &upstream.url("/new")).body("x"),
        Request::post(&upstream.url("/new"), "x").key("k"),
    ] {
        engine.send(&request).assert_problem(507, "store-full");
    }
    assert_eq!(upstream.hits(), hits, "refused before dispatch");
    assert_eq!(engine.send(&Request::get(&upstream.url("/read"))).status, 200, "reads pass");
    engine.post(&upstream.url("/big"), "0").assert_is(200, "replayed");
    let refused = engine.try_rpc("create_user", &json!({"username": "eve"})).unwrap_err();
    assert_eq!(
        (refused.code, &refused.data["code"]),
        (-32015, &json!("STORE_FULL")),
        "{refused:?}"
    );

    gate.open();
    waiting.join().unwrap().assert_is(200, "executed");
    engine.kill();
    let engine = restart.start();
    engine.send(&in_flight).assert_is(200, "replayed");
    engine.post(&upstream.url("/big"), "0").assert_is(200, "replayed");
    assert!(engine.executions(&json!({"origin": "proxy", "status": "running"})).is_empty());
    let database = restart.database_path().to_str().unwrap();
    let verified = restart.cli(["verify", "--database", database]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn a_store_at_its_page_limit_refuses_new_calls_and_records_those_in_flight() {
    let builder = engine!();
    full_disk(&builder.clone().arg("--max-page-count").arg("2000"), &builder);
}

#[test]
fn a_full_disk_refuses_new_calls_and_records_those_in_flight() {
    let builder = engine!();
    let Some(disk) = SmallDisk::mount(&builder.home().join("disk"), "100m") else {
        return testkit::untested("a disk that is full: this user may not mount a tmpfs");
    };
    let builder = builder.clone().database(disk.path.join("store").join("engine.db"));
    full_disk(&builder, &builder);
}

/// A tmpfs of a fixed size.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let option = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

const MIB: usize = 1 << 20;

/// Takes all of a disk that is left.
fn take_all(disk: &SmallDisk, name: &str) -> PathBuf {
    let path = disk.path.join(name);
    let mut file = fs::File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
    }
    path
}

/// Answers of many sizes and forms, by the path.
fn answer(request: &Received, exchange: &mut Exchange) {
    let body = request.body.repeat(2 * MIB / request.body.len());
    match request.target() {
        "/whole" => exchange.answer(200, &[("Content-Type", "application/json")], &body),
        "/stream" => exchange.answer(200, &[("Content-Type", "text/event-stream")], &body),
        "/small" => exchange.answer(200, &[], &request.body),
        _ => {
            exchange.begin_chunked(200, &[]);
            body.chunks(100_000).for_each(|piece| exchange.chunk(piece));
            exchange.end_chunked(&[]);
        }
    }
}

#[test]
fn large_answers_in_flight_on_a_full_disk_are_kept() {
    let builder = engine!();
    let Some(disk) = SmallDisk::mount(&builder.home().join("disk"), "100m") else {
        return testkit::untested("large answers on a full disk: no tmpfs for this user");
    };
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        held.wait();
        answer(request, exchange);
    });
    let builder = builder.clone().database(disk.path.join("engine.db"));
    let engine = builder.start();
    let paths = ["/whole", "/stream", "/grows", "/small"];
    let call = |n: usize| Request::post(&upstream.url(paths[n]), format!("call {n}"));
    let proxy = engine.proxy;
    let answers = thread::scope(|scope| {
        scope.spawn(|| {
            upstream.wait_for_hits(paths.len());
            take_all(&disk, "filler");
            gate.open();
        });
        all_at_once(paths.len(), |n| call(n).via(proxy))
    });
    for answer in &answers {
        assert!(answer.status == 200 && answer.whole, "{:?}", answer.head);
    }
    let engine = engine.kill_and_restart();
    for (n, answer) in answers.iter().enumerate() {
        let again = engine.send(&call(n));
        assert_eq!((again.status, again.word()), (200, "replayed"));
        assert!(again.body == answer.body, "{:?}", again.head);
    }
    assert_eq!(upstream.hits(), paths.len());
}

#[test]
fn an_outcome_without_space_is_reported_as_unrecorded_and_recorded_later() {
    let builder = engine!();
    let Some(disk) = SmallDisk::mount(&builder.home().join("disk"), "80m") else {
        return testkit::untested("outcomes without space: no tmpfs for this user");
    };
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        held.wait();
        answer(request, exchange);
    });
    let engine = builder.clone().database(disk.path.join("engine.db")).start();
    let calls =
        ["/whole", "/grows", "/stream"].map(|path| Request::post(&upstream.url(path), path));
    let proxy = engine.proxy;
    let filler = thread::scope(|scope| {
        let filler = scope.spawn(|| {
            upstream.wait_for_hits(calls.len());
            // The reserve too, as by another program that was faster.
            fs::remove_file(disk.path.join("engine.db.reserve")).unwrap();
            let filler = take_all(&disk, "filler");
            gate.open();
            filler
        });
        for answer in all_at_once(calls.len(), |n| calls[n].try_via(proxy).unwrap()) {
            if answer.status == 200 {
                assert!(!answer.whole, "{:?}", answer.head);
                continue;
            }
            answer.assert_problem(502, "upstream-failed");
            assert!(answer.text().contains("recorded as soon as there is"), "{}", answer.text());
        }
        filler.join().unwrap()
    });
    fs::remove_file(filler).unwrap();
    for call in &calls {
        wait_until("it is recorded", || (engine.send(call).word() == "replayed").then_some(()));
    }
    assert_eq!(upstream.hits(), calls.len());
}

/// Answers of 2 MB in flight fill the disk. The engine is killed and started, then space is made.
#[test]
fn small_disks_accept_calls_again_and_their_engines_start() {
    let builder = engine!();
    let upstream = Upstream::start(answer);
    for size in ["80m", "85m", "90m", "95m", "100m"] {
        let Some(disk) = SmallDisk::mount(&builder.home().join(size), size) else {
            return testkit::untested("small full disks: no tmpfs for this user");
        };
        let builder = builder.clone().database(disk.path.join("engine.db"));
        let engine = builder.start();
        let ballast = disk.path.join("ballast");
        let file = fs::File::create(&ballast).unwrap();
        let all = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, all, 0, 24 * MIB as u64).unwrap();
        drop(file);
        let proxy = engine.proxy;
        let answered = all_at_once(8, |caller| {
            let mut answered = Vec::new();
            for n in 0..40 {
                let body = format!("{size} {caller} {n}");
                match Request::post(&upstream.url("/whole"), body.clone()).via(proxy).status {
                    200 => answered.push(body),
                    507 => break,
                    status => panic!("{status}"),
                }
            }
            answered
        });
        let kept: Vec<_> = answered.into_iter().flatten().collect();
        let engine = engine.kill_and_restart();
        fs::remove_file(&ballast).unwrap();
        let new = Request::post(&upstream.url("/small"), size);
        wait_until("a new call is accepted", || (engine.send(&new).status == 200).then_some(()));
        assert!(!kept.is_empty());
        for body in &kept {
            engine.post(&upstream.url("/whole"), body).assert_is(200, "replayed");
        }
        engine.kill();
    }
}
