//! Each metric of `/metrics` moves when what it counts happens. If no case here moves a metric, the test
//! fails.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::{
    Builder, Client, Engine, Gate, Request, Shim, Upstream, all_at_once, engine, wait_until,
};

/// The metrics that have moved, by their names in `# TYPE`.
#[derive(Default)]
struct Moved(RefCell<BTreeSet<String>>);

impl Moved {
    fn read(&self, engine: &Engine, name: &str, suffix: &str, labels: &[&str]) -> f64 {
        self.0.borrow_mut().insert(name.to_owned());
        engine.metric(&format!("state_engine_{name}{suffix}"), labels)
    }

    fn gauge(&self, engine: &Engine, name: &str) -> f64 {
        self.read(engine, name, "", &[])
    }

    /// Waits until a gauge rises from zero, then does what makes it fall again.
    fn rises(&self, engine: &Engine, name: &str, release: impl FnOnce()) {
        wait_until(name, || (self.gauge(engine, name) > 0.0).then_some(()));
        release();
        self.falls(engine, name);
    }

    fn falls(&self, engine: &Engine, name: &str) {
        wait_until(name, || (self.gauge(engine, name) == 0.0).then_some(()));
    }

    /// `act` increases each of these: name, suffix, a label.
    #[track_caller]
    fn counts(&self, engine: &Engine, counters: &[(&str, &str, &str)], act: impl FnOnce()) {
        let all = || -> Vec<f64> {
            let read = |(name, suffix, label): &(&str, &str, &str)| {
                self.read(engine, name, suffix, &[label])
            };
            counters.iter().map(read).collect()
        };
        let before = all();
        act();
        for ((before, after), counter) in before.into_iter().zip(all()).zip(counters) {
            assert!(after > before, "{counter:?}: {before}, then {after}");
        }
    }

    /// The proxy answers `act` with this decision, a word of `Idempotency-Status`.
    #[track_caller]
    fn decides(&self, engine: &Engine, decision: &str, act: impl FnOnce()) {
        let label = format!("decision=\"{decision}\"");
        let counters = [
            ("calls", "_total", &*label),
            ("call_duration_seconds", "_count", &*label),
            ("proxy_requests", "_total", &*label),
        ];
        self.counts(engine, &counters, act);
    }
}

fn upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request, exchange| match request.target() {
        "/held" => {
            gate.wait();
            exchange.answer(200, &[], b"at last");
        }
        "/missing" => exchange.answer(404, &[], b""),
        "/broken" => exchange.answer(500, &[], b""),
        _ => exchange.answer(200, &[], &request.body),
    })
}

#[test]
fn every_metric_moves() {
    let moved = Moved::default();
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let gate = Gate::new();
    let (upstream, passed) = (upstream(&gate), Upstream::echo());
    let engine = shim.preload(builder).arg("--pass").arg(passed.addr.to_string()).start();

    outcomes_of_calls(&moved, &engine, &upstream, &passed);
    running_and_waiting_calls(&moved, &engine, &upstream, &gate);
    requests_to_both_listeners(&moved, &engine, &upstream);
    the_writer(&moved, &engine, &upstream, &shim);
    the_clock(&moved, &engine, &upstream, &shim);
    let names = names(&engine);
    the_files(&moved, engine);
    a_call_that_may_not_wait(&moved);
    a_full_store(&moved);

    let unmoved: Vec<_> = names.difference(&moved.0.borrow()).cloned().collect();
    assert_eq!(unmoved, ["build"], "it is constant; all others have a case here");
}

fn names(engine: &Engine) -> BTreeSet<String> {
    let metrics = engine.metrics();
    let version = concat!("state_engine_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(metrics.contains(version), "{metrics}");
    let named = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE state_engine_"));
    named.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn outcomes_of_calls(moved: &Moved, engine: &Engine, upstream: &Upstream, passed: &Upstream) {
    let send = |request: Request| drop(engine.send(&request));
    let post = |path: &str| Request::post(&upstream.url(path), "x");
    moved.decides(engine, "executed", || send(post("/act")));
    moved.decides(engine, "replayed", || send(post("/act")));
    moved.decides(engine, "not-executed", || send(post("/missing")));
    moved.decides(engine, "in-doubt", || send(post("/broken")));
    moved.decides(engine, "bypassed", || send(Request::post(&passed.url("/"), "x")));
    send(post("/named").key("order-7"));
    moved.decides(engine, "key-reuse", || {
        send(Request::post(&upstream.url("/named"), "other").key("order-7"));
    });
    assert!(moved.gauge(engine, "calls_unresolved") > 0.0);
    moved.counts(engine, &[("upstream_duration_seconds", "_count", "")], || send(post("/again")));
}

fn running_and_waiting_calls(moved: &Moved, engine: &Engine, upstream: &Upstream, gate: &Gate) {
    let held = Request::post(&upstream.url("/held"), "x");
    let ask = || {
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(held.to_proxy()).unwrap();
        client
    };
    let mut leader = ask();
    wait_until("it runs", || (moved.gauge(engine, "claims_in_flight") > 0.0).then_some(()));
    let mut follower = ask();
    moved.decides(engine, "coalesced", || {
        moved.rises(engine, "duplicates_waiting", || gate.open());
        leader.answer("POST").unwrap().assert_is(200, "executed");
        follower.answer("POST").unwrap().assert_is(200, "coalesced");
    });
    moved.falls(engine, "claims_in_flight");
}

fn requests_to_both_listeners(moved: &Moved, engine: &Engine, upstream: &Upstream) {
    let proxied = |decision: &'static str, act: &dyn Fn()| {
        let label = format!("decision=\"{decision}\"");
        moved.counts(engine, &[("proxy_requests", "_total", &label)], act);
    };
    proxied("passed", &|| drop(engine.send(&Request::get(&upstream.url("/")))));
    proxied("malformed", &|| drop(engine.send(&Request::get("http://:1/"))));
    proxied("tunnel", &|| {
        let authority = upstream.addr.to_string();
        let (mut tunnel, _) = Client::tunnel(engine.proxy, &authority, "").unwrap();
        // Not HTTP: a blind tunnel, which is counted once it has ended.
        tunnel.write([0x16, 3, 1, 0, 1]).unwrap();
        drop(tunnel);
        let label = "decision=\"tunnel\"";
        wait_until("the tunnel ends", || {
            (moved.read(engine, "proxy_requests", "_total", &[label]) > 0.0).then_some(())
        });
    });
    let called = |result: &'static str, method: &str, params: &serde_json::Value| {
        let label = format!("result=\"{result}\"");
        moved.counts(engine, &[("api_requests", "_total", &label)], || {
            drop(engine.try_rpc(method, params));
        });
    };
    called("ok", "create_user", &json!({"username": "ada"}));
    called("error", "create_user", &json!({"username": "ada"}));
    moved.counts(engine, &[("api_refused", "_total", "code=\"FOREIGN_HOST\"")], || {
        let foreign =
            Request::get(&format!("http://{}/readyz", engine.api)).header("Host", "a.example");
        assert_eq!(engine.http(&foreign).status, 421);
    });
}

fn the_writer(moved: &Moved, engine: &Engine, upstream: &Upstream, shim: &Shim) {
    let post = |body: &str| Request::post(&upstream.url("/act"), body);
    let counters = [("events", "_total", ""), ("store_commit_seconds", "_count", "")];
    moved.counts(engine, &counters, || drop(engine.send(&post("y"))));
    shim.delay_us(100_000);
    let seen = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (proxy, seen) = (engine.proxy, &seen);
        // Calls are in the queue only while they wait for a commit. Make calls until the queue was seen.
        scope.spawn(move || {
            for round in (0..50).take_while(|_| !seen.load(Ordering::Relaxed)) {
                all_at_once(8, |n| drop(post(&format!("slow {round} {n}")).via(proxy)));
            }
        });
        moved.rises(engine, "store_queue_depth", || {
            seen.store(true, Ordering::Relaxed);
            shim.delay_us(0);
        });
    });
}

fn the_clock(moved: &Moved, engine: &Engine, upstream: &Upstream, shim: &Shim) {
    assert!(moved.gauge(engine, "clock_jumped") == 0.0);
    shim.wall_ahead(Duration::from_secs(86_400));
    engine.post(&upstream.url("/act"), "tomorrow").assert_is(200, "executed");
    assert!(moved.gauge(engine, "clock_jumped") > 0.0);
    shim.wall_ahead(Duration::ZERO);
}

/// Writes are in the WAL. A shutdown moves them into the database file.
fn the_files(moved: &Moved, engine: Engine) {
    let (log, file) =
        (moved.gauge(&engine, "wal_size_bytes"), moved.gauge(&engine, "store_size_bytes"));
    assert!(log > 0.0);
    engine.terminate();
    let engine = engine.wait().1.start();
    assert!(moved.gauge(&engine, "wal_size_bytes") < log);
    assert!(moved.gauge(&engine, "store_size_bytes") > file);
}

fn a_call_that_may_not_wait(moved: &Moved) {
    let gate = Gate::new();
    let upstream = upstream(&gate);
    let engine = engine!().arg("--max-wait").arg("0s").start();
    let held = Request::post(&upstream.url("/held"), "x");
    let mut leader = Client::connect(engine.proxy).unwrap();
    leader.write(held.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    moved.decides(&engine, "in-progress", || engine.send(&held).assert_is(409, "in-progress"));
    gate.open();
    leader.answer("POST").unwrap().assert_is(200, "executed");
}

fn a_full_store(moved: &Moved) {
    let upstream =
        Upstream::start(|_, exchange| exchange.answer(200, &[], &vec![b'b'; 256 * 1024]));
    let builder: Builder = engine!();
    let engine = builder.arg("--max-page-count").arg("2000").start();
    assert!(moved.gauge(&engine, "ready") > 0.0);
    let full = (0..100).find(|n| engine.post(&upstream.url("/big"), &n.to_string()).status == 507);
    assert!(full.is_some(), "the store is never full");
    assert!(moved.gauge(&engine, "store_full") > 0.0);
    assert!(moved.gauge(&engine, "ready") == 0.0);
}
