//! Users, sessions, goals, memories, channels and overviews.

use serde_json::Value;
use testkit::engine;

use super::{NOBODY, Scene, id};
use crate::transcript::Transcript;

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
    t.bad("no user given", -32602, "list_channels", "{}");
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
