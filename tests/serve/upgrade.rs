//! A database of an earlier version: it opens, its calls are not sent again, and `verify` finds nothing.
//!
//! The fixture is the file that version 0.2.0 left at a clean shutdown. It had guarded two calls, lost the
//! answer to a third, and served three API calls, one of them with an unknown outcome.

use std::fs;
use std::io;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use testkit::{Builder, Request, Shim, engine};

/// A minute after the fixture's newest event, in seconds since 1970. Its keys are still held then.
const STOPPED: u64 = 1_796_030_853;

/// The last line of the log as `verify` of version 0.2.0 printed it.
const HEAD: &str = "21:5f828a64e3d5ea13769f1c29365e154b58101b96bfa3e206d9af658abe2aff3c";

/// The address of the fixture's tool. Nothing listens there now.
const TOOL: &str = "http://127.0.0.1:18099";

fn on_fixture() -> Builder {
    let builder = engine!();
    let database = builder.database_path();
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let packed = &include_bytes!("fixtures/v0.2.0.db.gz")[..];
    io::copy(&mut GzDecoder::new(packed), &mut fs::File::create(database).unwrap()).unwrap();
    let shim = Shim::build(builder.home());
    shim.wall_at(STOPPED);
    shim.preload(builder)
}

fn post(path: &str, to: &str) -> Request {
    let body = format!("{{\"to\":\"{to}\"}}");
    let request = Request::post_json(&format!("{TOOL}{path}"), body);
    request.header("User-Agent", "curl/7.88.1").header("Accept", "*/*")
}

#[test]
fn guarded_calls_of_version_0_2_0_are_not_sent_again() {
    let engine = on_fixture().start();
    let explicit = engine.send(&post("/send", "ann").key("order-7"));
    explicit.assert_is(200, "replayed");
    assert_eq!(explicit.text(), r#"{"sent":{"to":"ann"}}"#);
    let derived = engine.send(&post("/send", "bob").header("Agent-Session", "nightly"));
    derived.assert_is(200, "replayed");
    assert_eq!(derived.text(), r#"{"sent":{"to":"bob"}}"#);
    let lost = engine.send(&post("/lost", "eve").header("Agent-Session", "nightly"));
    lost.assert_problem(424, "in-doubt");
}

#[test]
fn api_calls_of_version_0_2_0_are_known() {
    let engine = on_fixture().start();
    let call = |key: Option<&str>| {
        engine.rpc(
            "execute_tool_idempotent",
            &json!({
                "user_id": "01a22bc7-0862-7213-bc1e-eb95cba94863",
                "session_id": "01a22bc7-0864-7649-b5ed-a0996a9695d7",
                "goal_id": "01a22bc7-0866-7263-8768-de318df0113d",
                "tool_name": "send_email",
                "tool_input": {"to": "ann", "cc": [1.5]},
                "idempotency_key": key,
                "lease": true,
            }),
        )
    };
    let known = |found: &Value, claim: &str, output: &Value| {
        assert_eq!(found["duplicate"], true, "{found}");
        assert_eq!(found["claim"], claim, "{found}");
        assert_eq!(&found["output"], output, "{found}");
    };
    known(&call(Some("ran")), "replay", &json!({"n": 1.5}));
    known(&call(None), "replay", &json!("derived"));
    known(&call(Some("unsure")), "in_doubt", &Value::Null);
}

#[test]
fn the_log_of_version_0_2_0_goes_on_behind_its_head() {
    let builder = on_fixture();
    let database = builder.database_path().to_str().unwrap().to_owned();
    let verify = || builder.cli(["verify", "--json", "--head", HEAD, "--database", &database]);
    let early = verify();
    let why = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && why.contains("start `serve` once"), "{why}");
    // The first start migrates, and goes on with the log.
    builder.start().kill();
    let verified = verify();
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(verified.status.success(), "{report}");
    assert_eq!((&report["executions"], &report["findings"]), (&json!(6), &json!([])));
    assert!(report["events"].as_u64() > Some(21), "{report}");
}
