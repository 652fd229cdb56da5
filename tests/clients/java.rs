//! Java under `run --java`: its clients send no proxy credentials, but are guarded in the run's session.

use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{Upstream, engine, here};

use crate::JSON;
use crate::intercepted::Secure;

#[test]
fn java_has_one_effect_in_the_runs_session_with_either_engine() {
    let there = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return testkit::untested("Java: it is not here");
    }
    let secure = Secure::start();
    let clear = Upstream::start(|_, exchange| exchange.answer(200, &[], b"done"));
    let idle = engine!()
        .env("STATE_ENGINE_INTERCEPT", "localhost")
        .env("STATE_ENGINE_UPSTREAM_CA", secure.ca.file());
    let running = [secure.builder().start(), secure.builder().arg("--require-token").start()];
    for running in [None].into_iter().chain(running.map(Some)) {
        let builder = running.as_ref().map_or(&idle, |engine| engine.builder()).clone();
        let (before, urls) = (secure.hits(), [clear.url("/act"), secure.url("/act")]);
        let mut run = builder.command();
        run.args(["run", "--session", "by java", "--java", "--database"]);
        run.arg(builder.database_path());
        run.args([
            "--",
            "sh",
            "-c",
            "for url in $1 $2; do for i in 1 2; do java -cp $0 Send $url \"$3\" || exit; done; done",
        ]);
        run.arg(here("target/java")).args(&urls).arg(JSON);
        let ran = run.stdin(Stdio::null()).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert_eq!(secure.hits() - before, 1, "{ran:?}");

        let engine = running.unwrap_or_else(|| builder.start());
        let executions = engine.proxied();
        for (execution, url) in executions.iter().zip(&urls) {
            assert_eq!(execution["tool_input"]["url"], **url);
            let session = engine.rpc("get_session", &json!({"id": execution["session_id"]}));
            assert_eq!(session["metadata"]["name"], "by java");
        }
        assert_eq!(executions.len(), 2, "{executions:#?}");
    }
    assert_eq!(clear.hits(), 3, "once for each engine");
}
