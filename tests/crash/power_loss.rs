//! Power losses: engines live, fail and start again under a recorder. From what it wrote down, thousands of
//! disks are made that a power loss at some moment may have left, and each must hold what was acknowledged
//! until then.
//!
//! A disk that fails is made again by its number: `POWER_LOSS=HISTORY:NUMBER` checks only that one.
#![expect(clippy::print_stdout, reason = "it reports what it counted")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use store::model::ExecutionStatus;
use store::{Options, Store};
use testkit::{
    Builder, Engine, Foreign, Gate, History, Random, Recorder, Request, Shim, Syncs, Upstream,
    all_at_once, engine, engine_with_failpoints,
};

/// How many disks are made of each history. All are checked by the store in this process …
const DISKS: usize = 680;
/// … and one in so many by the engine itself: it gets the same calls again.
const BY_ENGINE: usize = 40;
const CALLERS: usize = 4;

/// What somebody outside saw, and when.
struct Seen {
    /// In the journal: what happened before it is what it rests on.
    at: u64,
    /// The key of the call, which is its body too.
    key: String,
    /// The answer's body; `None` if the upstream got the request.
    answer: Option<Vec<u8>>,
}

/// An engine under the recorder, and what was seen of it.
struct Story {
    builder: Builder,
    shim: Shim,
    recorder: Arc<Recorder>,
    upstream: Upstream,
    seen: Arc<Mutex<Vec<Seen>>>,
    hold: Gate,
    calls: usize,
}

impl Story {
    fn begin(builder: Builder) -> Self {
        let shim = Shim::build(builder.home());
        let recorder = Arc::new(Recorder::build(builder.home()));
        let builder = recorder.preload(builder, &shim);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hold = Gate::new();
        let upstream = {
            let (seen, recorder, hold) = (Arc::clone(&seen), Arc::clone(&recorder), hold.clone());
            Upstream::start(move |request, exchange| {
                let key = String::from_utf8_lossy(&request.body).into_owned();
                let at = recorder.moment();
                seen.lock().unwrap().push(Seen { at, key, answer: None });
                if request.target() == "/held" {
                    hold.wait();
                }
                exchange.answer(200, &[], &answer_to(&request.body));
            })
        };
        Self { builder, shim, recorder, upstream, seen, hold, calls: 0 }
    }

    fn request(&self, path: &str, key: &str) -> Request {
        Request::post(&self.upstream.url(path), key).key(key)
    }

    /// Makes a call, and notes the answer if there is one.
    fn call(&self, engine: &Engine, key: &str) -> bool {
        let Ok(answer) = self.request("/", key).try_via(engine.proxy) else { return false };
        if answer.status != 200 || !answer.whole {
            return false;
        }
        let at = self.recorder.moment();
        let seen = Seen { at, key: key.to_owned(), answer: Some(answer.body) };
        self.seen.lock().unwrap().push(seen);
        true
    }

    /// Makes `each` new calls by each of some callers at once. Returns how many were answered.
    fn calls(&mut self, engine: &Engine, each: usize) -> usize {
        let first = self.calls;
        self.calls += each * CALLERS;
        let story = &*self;
        let answered = all_at_once(CALLERS, |caller| {
            let keys = (0..each).map(|n| format!("call-{}", first + n * CALLERS + caller));
            keys.filter(|key| story.call(engine, key)).count()
        });
        answered.into_iter().sum()
    }

    /// Makes calls until an fsync has failed and the engine has ended.
    fn fail(&mut self, engine: Engine) {
        self.shim.fail_nth(1);
        assert_eq!(self.calls(&engine, 2), 0, "answered although nothing can be synced");
        let (status, _) = engine.wait();
        assert_eq!(status.code(), Some(70), "{status}");
        self.shim.stop_failing();
    }

    /// The start refuses, with the remedy.
    fn refuses(&self, remedy: &str) {
        let Err((status, log)) = self.builder.try_start() else { panic!("it started") };
        assert!(!status.success());
        assert!(log.contains(remedy), "{log}");
    }

    /// The rest of a life: starts, works, is killed and stopped.
    fn goes_on(&mut self) {
        let engine = self.builder.start();
        assert_eq!(self.calls(&engine, 5), 5 * CALLERS);
        engine.kill();
        let engine = self.builder.start();
        assert_eq!(self.calls(&engine, 5), 5 * CALLERS);
        engine.terminate();
        assert!(engine.wait().0.success());
    }
}

fn answer_to(body: &[u8]) -> Vec<u8> {
    [b"did ", body].concat()
}

/// Starts, kills and clean stops, with calls in flight.
fn plain() -> Story {
    let mut story = Story::begin(engine!());
    let engine = story.builder.start();
    assert_eq!(story.calls(&engine, 5), 5 * CALLERS);
    let held = story.request("/held", "held");
    let proxy = engine.proxy;
    let waits = std::thread::spawn(move || held.try_via(proxy).is_ok_and(|answer| answer.whole));
    story.upstream.wait_for_hits(5 * CALLERS + 1);
    engine.kill();
    assert!(!waits.join().unwrap());
    story.hold.open();
    story.goes_on();
    story.goes_on();
    story
}

/// Its fsync fails, and the next start has no space to move the log into the database. It works on the log that
/// is left, which it has synced, and is killed.
fn without_space(builder: Builder) -> Story {
    let mut story = Story::begin(builder);
    let engine = story.builder.start();
    story.calls(&engine, 5);
    story.fail(engine);
    story.recorder.set_full(true);
    let engine = story.builder.start();
    assert_eq!(story.calls(&engine, 5), 5 * CALLERS);
    engine.kill();
    story.recorder.set_full(false);
    story.goes_on();
    story
}

/// Its fsync fails, and the next start finds another program that reads the database.
fn beside_a_reader(builder: Builder, refuses: bool) -> Story {
    let mut story = Story::begin(builder.arg("--wait-for-others").arg("1"));
    let engine = story.builder.start();
    story.calls(&engine, 5);
    story.fail(engine);
    // It remembers the log as it could be read.
    let read = ["BEGIN", "SELECT count(*) FROM sqlite_schema"];
    let reader = Foreign::hold(story.builder.database_path(), &read);
    if refuses {
        story.refuses(&format!("(process {}); stop it", reader.pid()));
    } else {
        let engine = story.builder.start();
        story.calls(&engine, 5);
        engine.kill();
    }
    // Closing it would move the log, and no engine can see to what another program does.
    reader.kill();
    story.goes_on();
    story
}

/// Makes disks of a history and checks them. Returns what is wrong, by the number of the disk.
struct Checker<'a> {
    name: &'static str,
    story: &'a Story,
    history: History,
    /// Sorted by moment.
    seen: Vec<Seen>,
}

impl<'a> Checker<'a> {
    fn of(name: &'static str, story: &'a Story) -> Self {
        let mut seen = std::mem::take(&mut *story.seen.lock().unwrap());
        seen.sort_by_key(|seen| seen.at);
        Self { name, story, history: story.recorder.history(), seen }
    }

    /// Moments of power losses, ascending: anywhere, and right after something was acknowledged.
    fn cuts(&self, count: usize) -> Vec<u64> {
        let mut random = Random::new(1);
        let moments = self.history.moments();
        let mut pick = |from: &[u64]| from[random.below(from.len() as u64) as usize];
        let seen: Vec<_> = self.seen.iter().map(|seen| seen.at).collect();
        let mut cuts: Vec<_> =
            (0..count).map(|n| pick(if n % 3 == 0 { &seen } else { &moments })).collect();
        cuts.sort_unstable();
        cuts
    }

    /// Checks `count` disks by `check`, up to the `most`-th that fails.
    fn check(
        &self,
        syncs: Syncs,
        count: usize,
        most: usize,
        check: impl Fn(usize, &Path, &[Seen]) -> Result<(), String>,
    ) -> Vec<String> {
        let only = std::env::var("POWER_LOSS").ok();
        let cuts = self.cuts(count);
        let mut bad = Vec::new();
        self.history.play(syncs, &cuts, |number, disk| {
            let name = format!("{}:{number}", self.name);
            if bad.len() >= most || only.as_ref().is_some_and(|only| *only != name) {
                return;
            }
            // Shown if the store ends this process.
            println!("disk {name} at {}", cuts[number]);
            let folder = tempfile::tempdir().unwrap();
            let database = folder.path().join("engine.db");
            disk.after_power_loss(number as u64, &database);
            let before = self.seen.partition_point(|seen| seen.at <= cuts[number]);
            if let Err(why) = check(number, &database, &self.seen[..before]) {
                bad.push(format!("{name}: {why}"));
            }
        });
        bad
    }

    /// Checks as many as a history has, in this process and by the engine.
    fn run(&self) {
        let bad = self.check(Syncs::Honest, DISKS, usize::MAX, |number, database, seen| {
            if number % BY_ENGINE == 0 {
                self.by_engine(database, seen)
            } else {
                by_store(database, seen)
            }
        });
        let failed = self.history.failed_syncs();
        println!("{}: {DISKS} disks, {failed} syncs failed, {} bad", self.name, bad.len());
        assert!(bad.is_empty(), "{bad:#?}");
    }

    /// The engine starts on it, verifies it, and answers the same calls again without sending one.
    fn by_engine(&self, database: &Path, seen: &[Seen]) -> Result<(), String> {
        let engine = engine!().database(database).try_start();
        let engine = engine.map_err(|(status, log)| format!("no start: {status} {log}"))?;
        for Seen { key, answer, .. } in seen {
            let before = self.story.upstream.hits_with(key.as_bytes());
            let path = if key == "held" { "/held" } else { "/" };
            let again = engine.send(&self.story.request(path, key));
            if self.story.upstream.hits_with(key.as_bytes()) != before {
                return Err(format!("{key} was sent again: {again:?}"));
            }
            match answer {
                Some(answer) if again.word() != "replayed" || again.body != *answer => {
                    return Err(format!("{key} is not replayed: {again:?}"));
                }
                None if !["replayed", "in-doubt"].contains(&again.word()) => {
                    return Err(format!("{key} is neither replayed nor in doubt: {again:?}"));
                }
                _ => {}
            }
        }
        let builder = engine.kill();
        verified(&builder, database)
    }
}

/// `verify` finds nothing.
fn verified(builder: &Builder, database: &Path) -> Result<(), String> {
    let verified = builder.cli(["verify", "--database", database.to_str().unwrap()]);
    if verified.status.success() { Ok(()) } else { Err(format!("verify: {verified:?}")) }
}

/// The store opens it, verifies it and has all that was seen.
fn by_store(database: &Path, seen: &[Seen]) -> Result<(), String> {
    let options = Options { reserve_bytes: 0, ..Options::new(database) };
    let store = Store::open(&options).map_err(|error| format!("no start: {error}"))?;
    let reader = store.reader();
    for Seen { key, answer, .. } in seen {
        let found =
            reader.execution_by_key(key, None).map_err(|error| format!("{key}: {error}"))?;
        let Some(found) = found else { return Err(format!("{key} is gone")) };
        let output = found.output.map(|output| serde_json::to_value(output).unwrap());
        let body = output.and_then(|output| Some(output["body"].as_str()?.to_owned()));
        match answer {
            None if [ExecutionStatus::InDoubt, ExecutionStatus::Completed]
                .contains(&found.status) => {}
            Some(answer)
                if found.status == ExecutionStatus::Completed
                    && body.as_deref().map(str::as_bytes) == Some(answer) => {}
            _ => return Err(format!("{key} is {:?} with {body:?}", found.status)),
        }
    }
    let report = reader.verify(None).map_err(|error| format!("verify: {error}"))?;
    if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings)) }
}

#[test]
fn a_power_loss_keeps_what_was_acknowledged() {
    Checker::of("plain", &plain()).run();
}

#[test]
fn a_start_after_a_failed_fsync_without_space_loses_nothing() {
    Checker::of("without-space", &without_space(engine!())).run();
}

#[test]
fn a_start_after_a_failed_fsync_beside_a_reader_refuses_and_loses_nothing() {
    Checker::of("beside-a-reader", &beside_a_reader(engine!(), true)).run();
}

/// The verdict of `verify` alone and of the calls' presence, by the binary: on these disks the store may end
/// its process.
fn by_verbs(database: &Path, seen: &[Seen]) -> Result<(), String> {
    match engine!().database(database).try_start() {
        Ok(engine) => drop(engine.kill()),
        Err((status, log)) => return Err(format!("no start: {status} {log}")),
    }
    verified(&engine!(), database)?;
    by_store(database, seen)
}

#[test]
fn the_checker_would_see_a_disk_that_lies() {
    let story = plain();
    let checker = Checker::of("lies", &story);
    let bad = checker.check(Syncs::Lies, 40, 3, |_, database, seen| by_verbs(database, seen));
    println!("{bad:#?}");
    assert_eq!(bad.len(), 3);
}

#[test]
fn the_checker_would_see_a_start_that_trusts_the_log() {
    let trusting = || engine_with_failpoints!().env("STATE_ENGINE_TEST_TRUST_LOG", "1");
    for (name, story) in [
        ("trusting-without-space", without_space(trusting())),
        ("trusting-beside-a-reader", beside_a_reader(trusting(), false)),
    ] {
        let bad = Checker::of(name, &story)
            .check(Syncs::Honest, 200, 1, |_, database, seen| by_verbs(database, seen));
        println!("{bad:#?}");
        assert_eq!(bad.len(), 1, "{name}");
    }
}
