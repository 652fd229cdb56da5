//! A secret in each place of a call, in each shape: what SECURITY.md says is not in clear is not. Not in
//! the database's files, the log, the metrics, the dashboard's JSON, a search, nor what the command line
//! prints.

mod places;
mod shapes;
mod state_api;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::{Engine, Upstream, engine};

use self::places::{Answer, Kept, PLACES};
use self::shapes::{Canary, SHAPES, canary};

/// What was sent, and what is to be kept of it.
struct Sent {
    place: &'static str,
    shape: &'static str,
    kept: Kept,
    canary: Canary,
}

/// A tool that answers as the test says.
fn tool(next: &Arc<Mutex<Option<Answer>>>) -> Upstream {
    let next = Arc::clone(next);
    Upstream::start(move |_, exchange| {
        let Some(answer) = next.lock().unwrap().clone() else {
            return exchange.answer(200, &[("Content-Type", "text/plain")], b"done");
        };
        let fields: Vec<(&str, &str)> =
            answer.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match &answer.trailer {
            None => exchange.answer(answer.status, &fields, answer.body.as_bytes()),
            Some(trailer) => {
                exchange.begin_chunked(answer.status, &fields);
                exchange.chunk(&answer.body);
                exchange.end_chunked(&[("X-Note", trailer)]);
            }
        }
    })
}

#[test]
fn no_secret_is_in_clear_where_it_must_not_be() {
    let engine = engine!().env("STATE_ENGINE_LOG", "trace").start();
    let next = Arc::new(Mutex::new(None));
    let tool = tool(&next);
    let mut sent = Vec::new();
    for (at, place) in PLACES.iter().enumerate() {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            let canary = canary(shape, (at * SHAPES.len() + number) as u64);
            let (request, answer) =
                (place.call)(&tool.url(&format!("/act/{at}/{number}")), &canary);
            let is_answer = answer.is_some() && place.kept != Kept::Masked;
            *next.lock().unwrap() = answer;
            let first = engine.send(&request);
            assert!(first.status < 400 || is_answer, "{} {shape}: {}", place.name, first.text());
            if is_answer && first.status < 400 {
                let again = engine.send(&request);
                assert_eq!(again.word(), "replayed", "{} {shape}", place.name);
                assert_eq!(again.body, first.body, "{} {shape}", place.name);
            }
            sent.push(Sent { place: place.name, shape, kept: place.kept, canary });
        }
    }
    state_api::send(&engine, &mut sent);
    assert!(sent.len() >= 40 * 20, "{} canaries", sent.len());
    check(engine, &sent);
}

fn check(engine: Engine, sent: &[Sent]) {
    let index = Index::of(sent);
    let mut wrong = Vec::new();
    for (what, text) in shown(&engine) {
        wrong.extend(index.seen(&text).into_iter().map(|at| (at, what)));
    }
    // One of four of each place is looked for.
    for (at, one) in
        sent.iter().enumerate().filter(|(at, _)| (at + at / SHAPES.len()).is_multiple_of(4))
    {
        let params = json!({"text": one.canary.secret, "limit": 10});
        let found = engine.rpc("search_executions", &params);
        if found["items"].as_array().is_none_or(|items| !items.is_empty()) {
            wrong.push((at, "found by a search"));
        }
    }
    wrong.extend(index.seen(&engine.log()).into_iter().map(|at| (at, "log")));
    let builder = engine.kill();
    let stored = index.seen(&stored(builder.database_path()));
    for (at, one) in sent.iter().enumerate() {
        match (one.kept, stored.contains(&at)) {
            (Kept::Masked, true) => wrong.push((at, "stored")),
            (Kept::Whole(_), false) => wrong.push((at, "not stored, and should be")),
            _ => {}
        }
    }
    let lines = wrong.iter().map(|(at, what)| {
        let Sent { place, shape, canary, .. } = &sent[*at];
        format!("{place}, {shape}: {what}: {}", canary.text)
    });
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "{} in clear:\n{}", lines.len(), lines.join("\n"));
}

/// Finds all secrets in a text at once, by their first bytes.
struct Index(HashMap<[u8; 12], usize>);

impl Index {
    fn of(sent: &[Sent]) -> Self {
        let first = |one: &Sent| one.canary.secret.as_bytes()[..12].try_into().unwrap();
        let index: HashMap<_, _> =
            sent.iter().enumerate().map(|(at, one)| (first(one), at)).collect();
        assert_eq!(index.len(), sent.len(), "each is drawn once");
        Self(index)
    }

    fn seen(&self, text: &str) -> BTreeSet<usize> {
        text.as_bytes().windows(12).filter_map(|window| self.0.get(window).copied()).collect()
    }
}

/// Everything that a person can be shown, by what shows it.
fn shown(engine: &Engine) -> Vec<(&'static str, String)> {
    let mut shown = vec![("metrics", engine.metrics())];
    let page = |method: &str, shown: &mut String| -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let page = engine.rpc(method, &json!({"limit": 20, "cursor": cursor}));
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            cursor = page["next"].clone();
            if cursor.is_null() {
                *shown += &json!(items).to_string();
                return items;
            }
        }
    };
    let mut searched = String::new();
    let executions = page("search_executions", &mut searched);
    shown.push(("search_executions", searched));
    let mut sessions = String::new();
    let all_sessions = page("list_session_summaries", &mut sessions);
    shown.push(("list_session_summaries", sessions));
    let (mut details, mut compared) = (String::new(), String::new());
    for execution in &executions {
        let id = &execution["id"];
        for limit in [30, 65_536] {
            let params = json!({"id": id, "text_bytes": limit});
            details += &engine.rpc("get_execution_detail", &params).to_string();
        }
        if execution["origin"] == "proxy" {
            details += &engine.rpc("get_tool_execution", &json!({"id": id})).to_string();
        }
        compared += &engine.rpc("compare_execution", &json!({"id": id})).to_string();
    }
    shown.push(("get_execution_detail", details));
    shown.push(("compare_execution", compared));
    shown.push(("get_stats", engine.rpc("get_stats", &json!({})).to_string()));
    let cli = |args: &[&str]| {
        let database = engine.builder().database_path().to_str().unwrap();
        let output = engine.builder().cli(args.iter().chain(&["--database", database]));
        assert!(output.status.success(), "{args:?}: {output:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
    };
    shown.push(("verify", cli(&["verify"])));
    shown.push(("verify --json", cli(&["verify", "--json"])));
    shown.push(("executions", cli(&["executions", "--limit", "5000"])));
    shown.push(("executions --json", cli(&["executions", "--limit", "5000", "--json"])));
    let mut replays = [String::new(), String::new()];
    for session in &all_sessions {
        let id = session["id"].as_str().unwrap();
        replays[0] += &cli(&["replay", "--session", id]);
        replays[1] += &cli(&["replay", "--session", id, "--json"]);
    }
    let [replay, replay_json] = replays;
    shown.push(("replay", replay));
    shown.push(("replay --json", replay_json));
    shown
}

/// The bytes of the database's files.
fn stored(database: &Path) -> String {
    let files = ["", "-wal", "-shm"].map(|end| format!("{}{end}", database.display()));
    let bytes = files.iter().map(|file| fs::read(file).unwrap_or_default());
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}
