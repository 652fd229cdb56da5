//! Each method, good and bad, v0.1's and the added ones.

use serde_json::Value;
use testkit::engine;

use crate::transcript::Transcript;

const NOBODY: &str = "00000000-0000-7000-8000-00000000dead";

/// A transcript that begins with a user, a session and a goal.
struct Scene {
    t: Transcript,
    user: String,
    session: String,
    goal: String,
}

impl Scene {
    fn new() -> Self {
        let mut t = Transcript::new(&engine!());
        let user = t.good("a user", "create_user", r#"{"username":"ada"}"#);
        let user = t.name(&user["id"], "ada");
        let params = format!(r#"{{"user_id":"{user}"}}"#);
        let session = t.good("a session", "create_session", &params);
        let session = t.name(&session["id"], "session");
        let params = format!(r#"{{"user_id":"{user}","session_id":"{session}","title":"greet"}}"#);
        let goal = t.good("a goal", "create_goal", &params);
        let goal = t.name(&goal["id"], "goal");
        Self { t, user, session, goal }
    }

    /// The params of a tool call, with further ones behind.
    fn call(&self, input: &str, more: &str) -> String {
        let Self { user, session, goal, .. } = self;
        format!(
            r#"{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"send_email","tool_input":{input}{more}}}"#
        )
    }

    /// An execution under a lease, as (id, lease).
    fn leased(&mut self, name: &str) -> (String, String) {
        let more = format!(r#","idempotency_key":"{name}","lease":true"#);
        let params = self.call(r#"{"to":"a"}"#, &more);
        let got = self.t.good("a lease", "execute_tool_idempotent", &params);
        let id = self.t.name(&got["id"], name);
        (id, self.t.name(&got["lease"], &format!("lease of {name}")))
    }
}

/// An id of something that is not there.
fn id(id: &str) -> String {
    format!(r#"{{"id":"{id}"}}"#)
}

#[test]
fn users() {
    let mut t = Transcript::new(&engine!());
    let whole = r#"{"username":"ada","display_name":"Ada L.","email":"ada@example.org"}"#;
    let ada = t.good("all fields", "create_user", whole);
    let ada = t.name(&ada["id"], "ada");
    let bob = r#"{"username":"bob","display_name":null,"email":null,"shoe_size":44}"#;
    let bob = t.good("null is absent, unknown params are ignored", "create_user", bob);
    t.name(&bob["id"], "bob");
    t.bad("a taken name", -32003, "create_user", r#"{"username":"ada"}"#);
    t.bad("no name", -32602, "create_user", r#"{"email":"x"}"#);
    t.bad("an empty name", -32602, "create_user", r#"{"username":""}"#);
    t.bad("a wrong type", -32602, "create_user", r#"{"username":7}"#);
    t.bad("params by position", -32602, "create_user", r#"["ada"]"#);
    let long = format!(r#"{{"username":"{}"}}"#, "é".repeat(256));
    t.bad("a name of 256 characters", -32018, "create_user", &long);
    t.good("by id", "get_user", &id(&ada));
    t.bad("unknown", -32002, "get_user", &id(NOBODY));
    t.bad("no id at all", -32602, "get_user", r#"{"id":"ada"}"#);
    t.good("by name", "find_user", r#"{"username":"ada"}"#);
    t.good("a name nobody has", "find_user", r#"{"username":"Ada"}"#);
    t.bad("no name to find", -32602, "find_user", "{}");
    t.golden("users");
}

#[test]
fn sessions() {
    let mut t = Transcript::new(&engine!());
    let user = t.good("a user", "create_user", r#"{"username":"ada"}"#);
    let user = t.name(&user["id"], "ada");
    let of_user = format!(r#"{{"user_id":"{user}"}}"#);
    t.good("none yet", "get_active_session", &of_user);
    let first = t.good("plain", "create_session", &of_user);
    let first_id = t.name(&first["id"], "first");
    let named = format!(r#"{{"user_id":"{user}","channel_id":null,"name":"nightly"}}"#);
    let second = t.good("with a name", "create_session", &named);
    let second_id = t.name(&second["id"], "second");
    let nobody = format!(r#"{{"user_id":"{NOBODY}"}}"#);
    t.bad("of nobody", -32002, "create_session", &nobody);
    t.bad("without a user", -32602, "create_session", "{}");
    t.good("by id", "get_session", &id(&first_id));
    t.bad("unknown", -32002, "get_session", &id(NOBODY));
    t.good("the newest activity", "get_active_session", &of_user);
    t.bad("of no id", -32602, "get_active_session", r#"{"user_id":1}"#);

    let mut changed = second.clone();
    changed["status"] = "paused".into();
    changed["user_id"] = NOBODY.into();
    changed["metadata"] = serde_json::json!({"name": "other", "k": [1, 2.50]});
    let update = |session: &Value| format!(r#"{{"session":{session}}}"#);
    t.good("owner and name stay as they are", "update_session", &update(&changed));
    t.good("as changed", "get_session", &id(&second_id));
    t.good("the other one is left", "get_active_session", &of_user);
    let stale = format!(
        r#"{{"session":{{"id":"{second_id}","status":"active"}},"if_updated_at":"2020-01-01T00:00:00Z"}}"#
    );
    t.bad("changed meanwhile", -32003, "update_session", &stale);
    changed["status"] = "asleep".into();
    t.bad("an unknown status", -32602, "update_session", &update(&changed));
    t.bad("unknown", -32002, "update_session", &update(&serde_json::json!({"id": NOBODY})));
    t.good("of a user, newest first", "list_sessions", &of_user);
    t.good("of all users", "list_sessions", "{}");
    t.bad("a wrong type", -32602, "list_sessions", r#"{"user_id":[]}"#);
    t.golden("sessions");
}

#[test]
fn goals() {
    let Scene { mut t, user, session, goal } = Scene::new();
    let make = |title: &str| {
        format!(
            r#"{{"user_id":"{user}","session_id":"{session}","title":"{title}","description":"why"}}"#
        )
    };
    let urgent = t.good("with a description", "create_goal", &make("urgent"));
    let urgent_id = t.name(&urgent["id"], "urgent");
    let nowhere = format!(r#"{{"user_id":"{user}","session_id":"{NOBODY}","title":"x"}}"#);
    t.bad("of an unknown session", -32002, "create_goal", &nowhere);
    let other = t.good("another user", "create_user", r#"{"username":"bob"}"#);
    let other = t.name(&other["id"], "bob");
    let foreign = format!(r#"{{"user_id":"{other}","session_id":"{session}","title":"x"}}"#);
    t.bad("of another's session", -32003, "create_goal", &foreign);
    t.bad("without a title", -32602, "create_goal", &format!(r#"{{"user_id":"{user}"}}"#));
    t.good("by id", "get_goal", &id(&goal));
    t.bad("unknown", -32002, "get_goal", &id(NOBODY));

    let mut changed = urgent.clone();
    changed["priority"] = "critical".into();
    changed["status"] = "in_progress".into();
    changed["session_id"] = NOBODY.into();
    changed["description"] = Value::Null;
    changed["result"] = serde_json::json!({"n": 1});
    t.good("as a whole", "update_goal", &format!(r#"{{"goal":{changed}}}"#));
    t.good("as changed", "get_goal", &id(&urgent_id));
    let wrong = format!(r#"{{"goal":{{"id":"{goal}","priority":"top"}}}}"#);
    t.bad("an unknown priority", -32602, "update_goal", &wrong);
    let unknown = format!(r#"{{"goal":{{"id":"{NOBODY}","title":"x"}}}}"#);
    t.bad("unknown", -32002, "update_goal", &unknown);
    let of_session = format!(r#"{{"session_id":"{session}"}}"#);
    t.good("by priority, then oldest first", "list_pending_goals", &of_session);
    let done = format!(r#"{{"goal":{{"id":"{goal}","status":"completed"}}}}"#);
    t.good("one is done", "update_goal", &done);
    t.good("no longer pending", "list_pending_goals", &of_session);
    t.good("all of them", "list_goals", &of_session);
    t.bad("of nothing", -32602, "list_pending_goals", "{}");
    t.bad("of nothing", -32602, "list_goals", "{}");
    t.golden("goals");
}

#[test]
fn executions() {
    let mut s = Scene::new();
    let create = s.call(r#"{"to":"a"}"#, "");
    let plain = s.t.good("without a key", "create_tool_execution", &create);
    let plain_id = s.t.name(&plain["id"], "plain");
    let foreign = create.replace(&s.goal, NOBODY);
    s.t.bad("of an unknown goal", -32002, "create_tool_execution", &foreign);
    s.t.bad("without input", -32602, "create_tool_execution", r#"{"tool_name":"t"}"#);

    let keyed = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"welcome-1""#);
    let first = s.t.good("new", "execute_tool_idempotent", &keyed);
    s.t.name(&first["id"], "keyed");
    let spaced = s.call(r#"{ "to" : "\u0061" }"#, r#","idempotency_key":"welcome-1""#);
    s.t.good("again, written otherwise", "execute_tool_idempotent", &spaced);
    let other = s.call(r#"{"to":"b"}"#, r#","idempotency_key":"welcome-1""#);
    s.t.good("another input", "execute_tool_idempotent", &other);
    let strict = other.replace(r#""welcome-1""#, r#""welcome-1","on_mismatch":"error""#);
    s.t.bad("another input, refused", -32004, "execute_tool_idempotent", &strict);
    let derived = s.t.good("a derived key", "execute_tool_idempotent", &create);
    s.t.name(&derived["id"], "derived");
    s.t.good("the same derived key", "execute_tool_idempotent", &create);
    let empty = s.call("1", r#","idempotency_key":"""#);
    s.t.bad("an empty key", -32602, "execute_tool_idempotent", &empty);
    let long = s.call("1", &format!(r#","idempotency_key":"{}""#, "k".repeat(256)));
    s.t.bad("a key of 256 characters", -32018, "execute_tool_idempotent", &long);

    s.t.good("by id", "get_tool_execution", &id(&plain_id));
    s.t.bad("unknown", -32002, "get_tool_execution", &id(NOBODY));
    s.t.good("by key", "find_by_idempotency_key", r#"{"key":"welcome-1"}"#);
    s.t.good("an unknown key", "find_by_idempotency_key", r#"{"key":"welcome-2"}"#);
    let of_user = format!(r#"{{"key":"welcome-1","user_id":"{}"}}"#, s.user);
    s.t.good("by key and user", "find_by_idempotency_key", &of_user);
    s.t.bad("without a key", -32602, "find_by_idempotency_key", "{}");
    let (user, session, goal) = s.t.engine.goal("bob");
    let bobs = keyed.replace(&s.user, &user).replace(&s.session, &session).replace(&s.goal, &goal);
    let holder = s.t.good("another user, another execution", "execute_tool_idempotent", &bobs);
    s.t.name(&holder["id"], "keyed of bob");
    let two = r#"{"key":"welcome-1"}"#;
    s.t.bad("two users hold it", -32003, "find_by_idempotency_key", two);
    let foreign = keyed.replace(&s.goal, &goal);
    s.t.bad("a goal of another session", -32003, "execute_tool_idempotent", &foreign);

    let mut changed = first.clone();
    changed["status"] = "running".into();
    changed["tool_name"] = "rm".into();
    changed["tool_input"] = 7.into();
    let update = |changed: &Value| format!(r#"{{"execution":{changed}}}"#);
    s.t.good("begun; its call stays", "update_tool_execution", &update(&changed));
    changed["status"] = "completed".into();
    changed["output"] = serde_json::json!({"id": 9});
    changed["completed_at"] = "2026-02-23T12:48:34.5Z".into();
    s.t.good("done", "update_tool_execution", &update(&changed));
    s.t.good("replayed", "execute_tool_idempotent", &keyed);
    changed["status"] = "pending".into();
    s.t.bad("back to pending", -32014, "update_tool_execution", &update(&changed));
    changed["status"] = "lost".into();
    s.t.bad("an unknown status", -32602, "update_tool_execution", &update(&changed));
    let unknown = format!(r#"{{"execution":{{"id":"{NOBODY}","status":"running"}}}}"#);
    s.t.bad("unknown", -32002, "update_tool_execution", &unknown);

    let of_goal = format!(r#"{{"goal_id":"{}"}}"#, s.goal);
    s.t.good("oldest first", "list_tool_executions", &of_goal);
    s.t.bad("of nothing", -32602, "list_tool_executions", "{}");
    let page = format!(r#"{{"session_id":"{}","limit":1}}"#, s.session);
    s.t.good("the first of the session", "list_session_executions", &page);
    let rest = format!(r#"{{"session_id":"{}","after":"{plain_id}"}}"#, s.session);
    s.t.good("those behind it", "list_session_executions", &rest);
    s.t.bad("no page", -32602, "list_session_executions", &page.replace(":1}", ":0}"));
    let first_page = s.t.good("two a page", "list_executions", r#"{"limit":2}"#);
    let cursor = first_page["next"].as_str().unwrap();
    let next = format!(r#"{{"limit":2,"cursor":"{cursor}"}}"#);
    s.t.good("the last page", "list_executions", &next);
    s.t.good("by state", "list_executions", r#"{"status":"completed","origin":"api"}"#);
    s.t.bad("no cursor of ours", -32602, "list_executions", r#"{"cursor":"x"}"#);
    s.t.bad("an unknown state", -32602, "list_executions", r#"{"status":"lost"}"#);
    s.t.golden("executions");
}

#[test]
fn leases() {
    let mut s = Scene::new();
    let (ran, lease) = s.leased("ran");
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"ran","lease":true"#);
    s.t.good("somebody runs it", "execute_tool_idempotent", &params);
    let mine = params.replace("\"ran\"", "\"retried\",\"claim_id\":\"c-1\"");
    let once = s.t.good("with a claim_id", "execute_tool_idempotent", &mine);
    s.t.name(&once["id"], "retried");
    s.t.name(&once["lease"], "lease of retried");
    let again = s.t.good("its holder asks again", "execute_tool_idempotent", &mine);
    assert_eq!(again["lease"], once["lease"]);
    let update = format!(r#"{{"execution":{{"id":"{ran}","status":"completed"}}}}"#);
    s.t.bad("not by update", -32017, "update_tool_execution", &update);
    let extend = format!(r#"{{"lease":"{lease}","lease_ms":30000}}"#);
    s.t.good("longer", "extend_lease", &extend);
    s.t.bad("too long", -32602, "extend_lease", &extend.replace("30000", "3600001"));
    s.t.bad("no lease of ours", -32602, "extend_lease", r#"{"lease":"x"}"#);
    let wait = format!(r#"{{"id":"{ran}","timeout_ms":1}}"#);
    s.t.good("still running", "await_tool_execution", &wait);
    s.t.bad("too long a wait", -32602, "await_tool_execution", &wait.replace(":1}", ":300001}"));
    s.t.bad("of nothing", -32002, "await_tool_execution", &wait.replace(&ran, NOBODY));

    let finish =
        |outcome: &str, more: &str| format!(r#"{{"lease":"{lease}","outcome":"{outcome}"{more}}}"#);
    let executed = finish("executed", r#","output":{"n":1.50}"#);
    s.t.good("it ran", "finish_tool_execution", &executed);
    s.t.good("told again", "finish_tool_execution", &executed);
    s.t.bad("told otherwise", -32013, "finish_tool_execution", &finish("not_executed", ""));
    s.t.bad("an unknown word", -32602, "finish_tool_execution", &finish("perhaps", ""));
    s.t.good("its result for others", "execute_tool_idempotent", &params);
    s.t.bad("the lease is spent", -32017, "extend_lease", &extend);

    let (failed, lease) = s.leased("failed");
    let error = format!(r#"{{"lease":"{lease}","outcome":"executed","error":"bounced"}}"#);
    s.t.good("it ran and failed", "finish_tool_execution", &error);
    let (free, lease) = s.leased("free");
    let not = format!(r#"{{"lease":"{lease}","outcome":"not_executed","error":"no route"}}"#);
    s.t.good("it did not run", "finish_tool_execution", &not);
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"free","lease":true"#);
    let again = s.t.good("so it may run again", "execute_tool_idempotent", &params);
    s.t.name(&again["lease"], "second lease of free");

    let (doubt, lease) = s.leased("doubt");
    let unknown = format!(r#"{{"lease":"{lease}","outcome":"unknown"}}"#);
    s.t.good("nobody knows", "finish_tool_execution", &unknown);
    let params = s.call(r#"{"to":"a"}"#, r#","idempotency_key":"doubt","lease":true"#);
    s.t.good("nobody may run it", "execute_tool_idempotent", &params);
    let verdict = |attempt: u32| {
        format!(
            r#"{{"id":"{doubt}","attempt":{attempt},"verdict":"executed","output":"sent","evidence":"seen in the outbox"}}"#
        )
    };
    s.t.bad("another attempt", -32013, "resolve_tool_execution", &verdict(2));
    s.t.bad(
        "no reason",
        -32602,
        "resolve_tool_execution",
        &verdict(1).replace("seen in the outbox", ""),
    );
    s.t.good("a verdict", "resolve_tool_execution", &verdict(1));
    s.t.bad("what is settled", -32013, "resolve_tool_execution", &id_of_settled(&failed));
    s.t.bad("unknown", -32002, "resolve_tool_execution", &id_of_settled(NOBODY));

    let of = format!(r#"{{"execution_id":"{doubt}"}}"#);
    s.t.good("the log of the doubt", "list_events", &of);
    s.t.bad("no page", -32602, "list_events", r#"{"limit":1001}"#);
    s.t.good("counts", "get_stats", "{}");
    assert_ne!(free, ran);
    s.t.golden("leases");
}

fn id_of_settled(id: &str) -> String {
    format!(r#"{{"id":"{id}","attempt":1,"verdict":"not_executed","evidence":"x"}}"#)
}

#[test]
fn memories() {
    let mut t = Transcript::new(&engine!());
    let user = t.good("a user", "create_user", r#"{"username":"ada"}"#);
    let user = t.name(&user["id"], "ada");
    let plain = format!(r#"{{"user_id":"{user}","content":"likes tea"}}"#);
    let memory = t.good("plain", "create_memory", &plain);
    let memory_id = t.name(&memory["id"], "tea");
    let tagged = format!(
        r#"{{"user_id":"{user}","content":"born 1815","importance":"high","tags":["fact","fact"]}}"#
    );
    let born = t.good("with tags", "create_memory", &tagged);
    t.name(&born["id"], "born");
    t.bad("of nobody", -32002, "create_memory", &plain.replace(&user, NOBODY));
    t.bad("a wrong tag", -32602, "create_memory", &tagged.replace(r#"["fact","#, "[1,"));
    t.good("by id", "get_memory", &id(&memory_id));
    t.bad("unknown", -32002, "get_memory", &id(NOBODY));
    let changed = format!(
        r#"{{"memory":{{"id":"{memory_id}","memory_type":"long_term","embedding":[0.10,1e3],"tags":[],"expires_at":"2030-01-01T00:00:00+02:00"}}}}"#
    );
    t.good("changed", "update_memory", &changed);
    t.good("as changed", "get_memory", &id(&memory_id));
    t.bad("an unknown type", -32602, "update_memory", &changed.replace("long_term", "eternal"));
    t.bad("unknown", -32002, "update_memory", &changed.replace(&memory_id, NOBODY));
    let of_user = format!(r#"{{"user_id":"{user}"}}"#);
    t.good("newest first", "list_memories", &of_user);
    t.good("one", "list_memories", &format!(r#"{{"user_id":"{user}","limit":1}}"#));
    t.bad(
        "a wrong limit",
        -32602,
        "list_memories",
        &format!(r#"{{"user_id":"{user}","limit":-1}}"#),
    );
    t.golden("memories");
}

#[test]
fn channels() {
    let mut t = Transcript::new(&engine!());
    let user = t.good("a user", "create_user", r#"{"username":"ada"}"#);
    let user = t.name(&user["id"], "ada");
    let params = format!(
        r##"{{"user_id":"{user}","channel_type":"chat","channel_name":"team","channel_identifier":"#team"}}"##
    );
    let channel = t.good("new", "create_channel", &params);
    let channel_id = t.name(&channel["id"], "team");
    t.bad("of nobody", -32002, "create_channel", &params.replace(&user, NOBODY));
    t.bad("an unknown type", -32602, "create_channel", &params.replace("chat", "pigeon"));
    t.good("by id", "get_channel", &id(&channel_id));
    t.bad("unknown", -32002, "get_channel", &id(NOBODY));
    let mut changed = channel.clone();
    changed["status"] = "paused".into();
    changed["config"] = serde_json::json!({"z": 1, "a": 2});
    changed["last_message_at"] = "2026-02-23T12:48:34Z".into();
    t.good("changed", "update_channel", &format!(r#"{{"channel":{changed}}}"#));
    t.good("as changed", "get_channel", &id(&channel_id));
    changed["channel_name"] = "n".repeat(256).into();
    t.bad("too long a name", -32018, "update_channel", &format!(r#"{{"channel":{changed}}}"#));
    let unknown = format!(r#"{{"channel":{{"id":"{NOBODY}"}}}}"#);
    t.bad("unknown", -32002, "update_channel", &unknown);
    t.good("of a user", "list_channels", &format!(r#"{{"user_id":"{user}"}}"#));
    t.bad("of nobody said", -32602, "list_channels", "{}");
    t.golden("channels");
}

#[test]
fn overviews() {
    let mut scene = Scene::new();
    let (greeted, lease) = scene.leased("greeting");
    let finish = format!(r#"{{"lease":"{lease}","outcome":"executed","output":{{"sent":1.0}}}}"#);
    scene.t.good("it ran", "finish_tool_execution", &finish);
    let (lost, lease) = scene.leased("lost");
    let finish = format!(r#"{{"lease":"{lease}","outcome":"unknown"}}"#);
    scene.t.good("nobody knows", "finish_tool_execution", &finish);
    let Scene { mut t, user, session, goal } = scene;

    t.good("all sessions", "list_session_summaries", "{}");
    let filter = format!(r#"{{"user_id":"{user}","status":"active","text":"GREET","limit":9}}"#);
    t.good("by filter", "list_session_summaries", &filter);
    t.good("none fits", "list_session_summaries", r#"{"text":"100%"}"#);
    t.bad("an unknown status", -32602, "list_session_summaries", r#"{"status":"gone"}"#);
    t.bad("no cursor of ours", -32602, "list_session_summaries", r#"{"cursor":"x"}"#);
    t.good("one", "get_session_summary", &id(&session));
    t.bad("unknown", -32002, "get_session_summary", &id(NOBODY));

    t.good("newest first", "search_executions", r#"{"limit":1}"#);
    let filter = format!(
        r#"{{"session_id":"{session}","goal_id":"{goal}","status":"completed","origin":"api","tool":"EMAIL","text":"\"to\""}}"#
    );
    t.good("by filter", "search_executions", &filter);
    t.good("with duplicates alone", "search_executions", r#"{"duplicated":true}"#);
    t.bad("of no session", -32002, "search_executions", &format!(r#"{{"session_id":"{NOBODY}"}}"#));
    t.bad("no cursor of ours", -32602, "search_executions", r#"{"cursor":"x"}"#);
    t.bad(
        "too long a text",
        -32018,
        "search_executions",
        &format!(r#"{{"text":"{}"}}"#, "x".repeat(256)),
    );

    t.good("all that is kept", "get_execution_detail", &id(&greeted));
    let cut = format!(r#"{{"id":"{lost}","text_bytes":5}}"#);
    t.good("texts cut", "get_execution_detail", &cut);
    t.bad("unknown", -32002, "get_execution_detail", &id(NOBODY));
    t.good("the log of one", "list_events", &format!(r#"{{"execution_id":"{lost}"}}"#));
    t.golden("overviews");
}
