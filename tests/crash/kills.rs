//! The process is killed by SIGKILL at a failpoint, at least fifty times, and started again:
//!
//! - after the claim is on disk, before the request is sent;
//! - after the request is sent, before the answer arrives;
//! - after the answer has arrived, before it is on disk;
//! - after the answer is on disk, before the caller has it.
//!
//! Each time three calls race to the failpoint. An answer that a caller got must still be true. A call
//! without an answer may have run once, and never twice. No proxied call stays `running`.
#![expect(clippy::print_stdout, reason = "it reports what it counted")]

use std::fs;

use serde_json::{Value, json};
use testkit::{Builder, Engine, Request, Response, Upstream, all_at_once, engine_with_failpoints};

const KILLS: usize = 50;
const RACING: usize = 3;

struct Story {
    point: &'static str,
    upstream: Upstream,
    builder: Builder,
    ids: [String; 3],
    /// What the retries of unanswered calls got.
    doubts: usize,
    replays: usize,
    fresh: usize,
    acknowledged: usize,
}

impl Story {
    fn begin(point: &'static str) -> Self {
        let upstream = Upstream::start(|request, exchange| {
            let body = [b"did ", request.body.as_slice()].concat();
            exchange.answer(200, &[("X-Tool", "mail")], &body);
        });
        let engine = engine_with_failpoints!().start();
        let (user, session, goal) = engine.goal("ada");
        let builder = engine.kill();
        Self {
            point,
            upstream,
            builder,
            ids: [user, session, goal],
            doubts: 0,
            replays: 0,
            fresh: 0,
            acknowledged: 0,
        }
    }

    fn log(&self) -> std::path::PathBuf {
        self.builder.home().join("failpoints.log")
    }

    fn call(&self, round: usize, caller: usize) -> Request {
        Request::post(&self.upstream.url("/send"), format!("round {round} caller {caller}"))
            .header("Agent-Session", &self.ids[1])
    }

    /// Runs calls into the failpoint, and checks the store that is left.
    fn round(&mut self, round: usize) {
        let passage = round % RACING + 1;
        let armed = self
            .builder
            .clone()
            .env("STATE_ENGINE_FAILPOINT", format!("{}:{passage}", self.point))
            .env("STATE_ENGINE_FAILPOINT_LOG", self.log());
        let engine = armed.start();
        let proxy = engine.proxy;
        let (answers, finished) = std::thread::scope(|scope| {
            let by_api = scope.spawn(|| self.finish_by_api(&engine, round));
            let answers = all_at_once(RACING, |caller| self.call(round, caller).try_via(proxy));
            (answers, by_api.join().unwrap())
        });
        let (status, _) = engine.wait();
        assert!(!status.success(), "it was to be killed: {status}");

        let engine = self.builder.start();
        let running = engine.executions(&json!({"origin": "proxy", "status": "running"}));
        assert!(running.is_empty(), "left running: {running:#?}");
        if let Some((id, output)) = finished {
            let kept = engine.rpc("get_tool_execution", &json!({"id": id}));
            assert_eq!((&kept["status"], &kept["output"]), (&json!("completed"), &output));
        }
        for (caller, answer) in answers.into_iter().enumerate() {
            let answer = answer.ok().filter(|answer| answer.whole);
            self.check(&engine, &self.call(round, caller), answer.as_ref());
        }
        engine.kill();
    }

    /// Makes a leased call. Returns its id and output if the finish was acknowledged.
    fn finish_by_api(&self, engine: &Engine, round: usize) -> Option<(String, Value)> {
        let [user, session, goal] = &self.ids;
        let ask = |method: &str, params: Value| {
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            let answer = engine.try_rpc_text(&call.to_string()).ok()?;
            answer.whole.then(|| answer.json()["result"].clone())
        };
        let claimed = ask(
            "execute_tool_idempotent",
            json!({
                "user_id": user, "session_id": session, "goal_id": goal, "tool_name": "t",
                "tool_input": {"round": round}, "lease": true,
            }),
        )?;
        assert_eq!(claimed["claim"], "execute", "{claimed}");
        let output = json!({"round": round});
        let finish = json!({"lease": claimed["lease"], "outcome": "executed", "output": output});
        let finished = ask("finish_tool_execution", finish)?;
        Some((finished["id"].as_str()?.to_owned(), output))
    }

    fn check(&mut self, engine: &Engine, request: &Request, answer: Option<&Response>) {
        let before = self.upstream.hits_with(&request.body);
        let retry = engine.send(request);
        let expected = [b"did ", request.body.as_slice()].concat();
        match (answer, retry.word()) {
            (Some(answer), word) => {
                assert_eq!((answer.status, &answer.body), (200, &expected), "{answer:?}");
                assert_eq!(word, "replayed", "an acknowledged result is lost: {retry:?}");
                self.acknowledged += 1;
            }
            (None, "replayed") => self.replays += 1,
            (None, "in-doubt") => {
                retry.assert_problem(424, "in-doubt");
                self.doubts += 1;
            }
            (None, "executed") => {
                assert_eq!(before, 0, "it ran again: {request:?}");
                self.fresh += 1;
            }
            (None, _) => panic!("{retry:?}"),
        }
        if retry.status == 200 {
            assert_eq!(retry.body, expected);
        }
        assert!(self.upstream.hits_with(&request.body) <= 1, "a second effect: {request:?}");
    }

    fn run(mut self) {
        for round in 0..KILLS {
            self.round(round);
        }
        let log = fs::read_to_string(self.log()).unwrap();
        let landed = log.lines().filter(|line| *line == self.point).count();
        println!(
            "{}: killed there {landed} times; of {} calls {} were acknowledged and kept, of the \
             others {} are in doubt, {} were replayed, {} had not begun",
            self.point,
            KILLS * RACING,
            self.acknowledged,
            self.doubts,
            self.replays,
            self.fresh,
        );
        assert!(landed >= KILLS, "{landed} of {KILLS} kills landed");
        let stopped = self.builder.cli([
            "verify",
            "--database",
            self.builder.database_path().to_str().unwrap(),
        ]);
        assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
        match self.point {
            "before-reply" => assert!(self.replays >= KILLS, "what was on disk is replayed"),
            _ => assert!(self.doubts >= KILLS, "what may have run is in doubt"),
        }
    }
}

#[test]
fn killed_after_the_claim() {
    Story::begin("after-claim").run();
}

#[test]
fn killed_after_the_send() {
    Story::begin("after-send").run();
}

#[test]
fn killed_between_answer_and_commit() {
    Story::begin("before-commit").run();
}

#[test]
fn killed_between_commit_and_reply() {
    Story::begin("before-reply").run();
}

#[test]
fn a_plain_build_has_no_failpoints() {
    let upstream = Upstream::echo();
    let engine = testkit::engine!().env("STATE_ENGINE_FAILPOINT", "after-claim").start();
    engine.post(&upstream.url("/"), "x").assert_is(200, "executed");
}
