//! The `OpenRPC` document that `rpc.discover` answers: the table of methods, over `schemas.json`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use store::model::Json;

/// A method as clients see it. Types are names of `schemas.json`; `[T]` is a list, `T?` may be null.
struct Method {
    name: &'static str,
    summary: &'static str,
    required: &'static [(&'static str, &'static str)],
    optional: &'static [(&'static str, &'static str)],
    result: &'static str,
}

const fn method(
    name: &'static str,
    summary: &'static str,
    required: &'static [(&'static str, &'static str)],
    optional: &'static [(&'static str, &'static str)],
    result: &'static str,
) -> Method {
    Method { name, summary, required, optional, result }
}

const ID: &[(&str, &str)] = &[("id", "Uuid")];
const OF_USER: &[(&str, &str)] = &[("user_id", "Uuid")];
const OF_SESSION: &[(&str, &str)] = &[("session_id", "Uuid")];
const IF_UPDATED_AT: &[(&str, &str)] = &[("if_updated_at", "Timestamp")];
const TOOL_CALL: &[(&str, &str)] = &[
    ("user_id", "Uuid"),
    ("session_id", "Uuid"),
    ("goal_id", "Uuid"),
    ("tool_name", "Name"),
    ("tool_input", "Any"),
];

const METHODS: &[Method] = &[
    method(
        "create_user",
        "Makes a user; a second one of the same username is a CONFLICT.",
        &[("username", "Name")],
        &[("display_name", "Label"), ("email", "Label")],
        "User",
    ),
    method("get_user", "A user by id.", ID, &[], "User"),
    method("find_user", "The user of that name, or null.", &[("username", "Name")], &[], "User?"),
    method(
        "create_session",
        "Begins a session. Proxied calls find it by its name.",
        OF_USER,
        &[("channel_id", "Uuid"), ("name", "Name")],
        "Session",
    ),
    method("get_session", "A session by id.", ID, &[], "Session"),
    method(
        "get_active_session",
        "The user's active session with the latest activity.",
        OF_USER,
        &[],
        "Session?",
    ),
    method(
        "list_sessions",
        "Sessions, newest first; without a user, of all users.",
        &[],
        OF_USER,
        "[Session]",
    ),
    method(
        "update_session",
        "Stores the changed members of a session.",
        &[("session", "Session")],
        IF_UPDATED_AT,
        "Null",
    ),
    method(
        "create_goal",
        "Makes a goal of a session.",
        &[("user_id", "Uuid"), ("session_id", "Uuid"), ("title", "Text")],
        &[("description", "Text")],
        "Goal",
    ),
    method("get_goal", "A goal by id.", ID, &[], "Goal"),
    method(
        "update_goal",
        "Stores the changed members of a goal.",
        &[("goal", "Goal")],
        IF_UPDATED_AT,
        "Null",
    ),
    method(
        "list_pending_goals",
        "Goals that are pending or in progress: critical ones first, then the oldest.",
        OF_SESSION,
        &[],
        "[Goal]",
    ),
    method("list_goals", "All goals of a session.", OF_SESSION, &[], "[Goal]"),
    method(
        "create_tool_execution",
        "Records a tool call without a key.",
        TOOL_CALL,
        &[],
        "ToolExecution",
    ),
    method(
        "execute_tool_idempotent",
        "The execution that holds the key, new or old; with lease: true it says who may run it.",
        TOOL_CALL,
        &[
            ("idempotency_key", "Name"),
            ("lease", "Bool"),
            ("lease_ms", "LeaseMs"),
            ("wait_ms", "WaitMs"),
            ("claim_id", "Name"),
            ("on_mismatch", "OnMismatch"),
        ],
        "ExecutedTool",
    ),
    method("get_tool_execution", "An execution by id.", ID, &[], "ToolExecution"),
    method(
        "find_by_idempotency_key",
        "The present holder of a key; a CONFLICT where several users or namespaces hold it.",
        &[("key", "Name")],
        OF_USER,
        "ToolExecution?",
    ),
    method(
        "update_tool_execution",
        "Stores the changed members of an execution that was never leased.",
        &[("execution", "ToolExecution")],
        IF_UPDATED_AT,
        "Null",
    ),
    method(
        "list_tool_executions",
        "The executions of a goal, oldest first.",
        &[("goal_id", "Uuid")],
        &[],
        "[ToolExecution]",
    ),
    method(
        "finish_tool_execution",
        "Records the outcome of a leased execution. May be repeated.",
        &[("lease", "Text"), ("outcome", "Outcome")],
        &[("output", "Any"), ("error", "Text")],
        "ToolExecution",
    ),
    method(
        "extend_lease",
        "Keeps a lease, and revives an execution in doubt of that attempt that nobody settled.",
        &[("lease", "Text")],
        &[("lease_ms", "LeaseMs")],
        "ToolExecution",
    ),
    method(
        "resolve_tool_execution",
        "Settles an execution that is in doubt at that attempt; STALE where it is not.",
        &[("id", "Uuid"), ("attempt", "Count"), ("verdict", "Verdict"), ("evidence", "Evidence")],
        &[("output", "Any")],
        "ToolExecution",
    ),
    method(
        "await_tool_execution",
        "Waits until an execution is over or in doubt; after the timeout, as it is then.",
        &[("id", "Uuid"), ("timeout_ms", "WaitMs")],
        &[],
        "ToolExecution",
    ),
    method(
        "list_session_executions",
        "The executions of a session, oldest first; after: the id of the last one seen.",
        OF_SESSION,
        &[("limit", "PageSize"), ("after", "Uuid")],
        "[ToolExecution]",
    ),
    method(
        "list_executions",
        "Executions by filter, newest first, page by page.",
        &[],
        &[
            ("user_id", "Uuid"),
            ("session_id", "Uuid"),
            ("goal_id", "Uuid"),
            ("status", "ExecutionStatus"),
            ("tool_name", "Name"),
            ("origin", "Origin"),
            ("after", "Timestamp"),
            ("before", "Timestamp"),
            ("limit", "PageSize"),
            ("cursor", "Text"),
        ],
        "ExecutionPage",
    ),
    method(
        "create_memory",
        "Keeps a text about a user.",
        &[("user_id", "Uuid"), ("content", "Text")],
        &[("importance", "Importance"), ("tags", "[Text]")],
        "Memory",
    ),
    method("get_memory", "A memory by id.", ID, &[], "Memory"),
    method(
        "update_memory",
        "Stores the changed members of a memory.",
        &[("memory", "Memory")],
        IF_UPDATED_AT,
        "Null",
    ),
    method(
        "list_memories",
        "Memories of a user, newest first; 50 unless limit says otherwise.",
        OF_USER,
        &[("limit", "Count")],
        "[Memory]",
    ),
    method(
        "create_channel",
        "Makes a channel of a user.",
        &[
            ("user_id", "Uuid"),
            ("channel_type", "ChannelType"),
            ("channel_name", "Name"),
            ("channel_identifier", "Label"),
        ],
        &[],
        "Channel",
    ),
    method("get_channel", "A channel by id.", ID, &[], "Channel"),
    method(
        "update_channel",
        "Stores the changed members of a channel.",
        &[("channel", "Channel")],
        IF_UPDATED_AT,
        "Null",
    ),
    method("list_channels", "Channels of a user, newest first.", OF_USER, &[], "[Channel]"),
    method(
        "list_events",
        "The audit log, oldest first; after: the number of the last event seen.",
        &[],
        &[
            ("execution_id", "Uuid"),
            ("session_id", "Uuid"),
            ("after", "Integer"),
            ("limit", "PageSize"),
        ],
        "[Event]",
    ),
    method(
        "list_session_summaries",
        "Sessions with counts of what they did, the latest activity first, page by page.",
        &[],
        &[
            ("user_id", "Uuid"),
            ("status", "SessionStatus"),
            ("text", "Label"),
            ("limit", "PageSize"),
            ("cursor", "Text"),
        ],
        "SessionSummaryPage",
    ),
    method("get_session_summary", "One session with its counts.", ID, &[], "SessionSummary"),
    method(
        "search_executions",
        "Executions without bodies, newest first. A page may be short and yet have a cursor.",
        &[],
        &[
            ("user_id", "Uuid"),
            ("session_id", "Uuid"),
            ("goal_id", "Uuid"),
            ("status", "ExecutionStatus"),
            ("origin", "Origin"),
            ("tool", "Label"),
            ("text", "Label"),
            ("duplicated", "Bool"),
            ("after", "Timestamp"),
            ("before", "Timestamp"),
            ("limit", "PageSize"),
            ("cursor", "Text"),
        ],
        "ExecutionSummaryPage",
    ),
    method(
        "get_execution_detail",
        "All that is kept of an execution, with its events; texts up to text_bytes (65,536).",
        ID,
        &[("text_bytes", "Count")],
        "ExecutionDetail",
    ),
    method("get_activity", "Tool calls of the last hour, by the minute.", &[], &[], "Activity"),
    method("get_stats", "Counts over the whole store.", &[], &[], "Stats"),
    method("rpc.discover", "This document.", &[], &[], "OpenRpc"),
];

/// The document, as its text.
pub(crate) fn document() -> Json {
    static DOCUMENT: LazyLock<Json> = LazyLock::new(|| Json::of(&build()));
    DOCUMENT.clone()
}

fn build() -> Value {
    let schemas: Value = serde_json::from_str(include_str!("schemas.json"))
        .expect("schemas.json is checked by a test");
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "openclaw-state-engine",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT" },
        },
        "methods": METHODS.iter().map(describe).collect::<Vec<_>>(),
        "components": { "schemas": schemas },
    })
}

fn describe(method: &Method) -> Value {
    let param = |required: bool| {
        move |&(name, kind): &(&str, &str)| {
            let schema = if required { schema(kind) } else { or_null(&schema(kind)) };
            json!({ "name": name, "required": required, "schema": schema })
        }
    };
    let required = method.required.iter().map(param(true));
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": required.chain(method.optional.iter().map(param(false))).collect::<Vec<_>>(),
        "result": { "name": "result", "schema": schema(method.result) },
    })
}

fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        or_null(&schema(kind))
    } else if let Some(kind) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        json!({ "type": "array", "items": schema(kind) })
    } else {
        Map::from_iter([("$ref".to_owned(), format!("#/components/schemas/{kind}").into())]).into()
    }
}

fn or_null(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target.strip_prefix("#/components/schemas/").unwrap());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let document = build();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let defined: BTreeSet<_> =
            document["components"]["schemas"].as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(used, defined);
    }

    #[test]
    fn words_are_those_of_the_model() {
        use store::model as m;
        let schemas = &build()["components"]["schemas"];
        let words = |name: &str| {
            let words = schemas[name]["enum"].as_array().unwrap();
            words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        macro_rules! same {
            ($($kind:ty => $name:literal),+ $(,)?) => {$(
                let model: BTreeSet<_> =
                    <$kind>::ALL.iter().map(|word| word.as_str().to_owned()).collect();
                assert_eq!(words($name), model, $name);
            )+};
        }
        same! {
            m::SessionStatus => "SessionStatus",
            m::GoalStatus => "GoalStatus",
            m::Priority => "Priority",
            m::ExecutionStatus => "ExecutionStatus",
            m::Origin => "Origin",
            m::EffectClass => "EffectClass",
            m::MemoryType => "MemoryType",
            m::Importance => "Importance",
            m::ChannelType => "ChannelType",
            m::ChannelStatus => "ChannelStatus",
            store::state::Knowledge => "Outcome",
        }
    }
}
