//! Reads entities from rows. The order of columns is defined in queries.rs.

use std::collections::BTreeMap;

use rusqlite::Row;
use rusqlite::types::Type;
use store_core::model::{
    Channel, ChannelStatus, ChannelType, EffectClass, Event, Execution, ExecutionStatus,
    ExecutionSummary, Goal, GoalStatus, Importance, Json, Memory, MemoryType, Origin, Priority,
    Session, SessionStatus, SessionSummary, Timestamp, User,
};
use store_core::state::Knowledge;
use uuid::Uuid;

type Result<T> = rusqlite::Result<T>;

/// The error for a column that this version cannot read: written by a newer version, or damaged.
fn unreadable(index: usize, kind: Type, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, kind, format!("unreadable {what}").into())
}

pub(crate) fn uuid(row: &Row<'_>, index: usize) -> Result<Uuid> {
    row.get::<_, [u8; 16]>(index).map(Uuid::from_bytes)
}

pub(crate) fn optional_uuid(row: &Row<'_>, index: usize) -> Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(index)?.map(Uuid::from_bytes))
}

pub(crate) fn time(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    row.get(index).map(Timestamp::from_micros)
}

pub(crate) fn optional_time(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(Timestamp::from_micros))
}

pub(crate) fn json(row: &Row<'_>, index: usize) -> Result<Json> {
    Json::stored(row.get(index)?).map_err(|_| unreadable(index, Type::Text, "JSON"))
}

fn optional_json(row: &Row<'_>, index: usize) -> Result<Option<Json>> {
    row.get::<_, Option<String>>(index)?
        .map(|text| Json::stored(text).map_err(|_| unreadable(index, Type::Text, "JSON")))
        .transpose()
}

pub(crate) fn word<T>(row: &Row<'_>, index: usize, from: fn(i64) -> Option<T>) -> Result<T> {
    from(row.get(index)?).ok_or_else(|| unreadable(index, Type::Integer, "word"))
}

pub(crate) fn optional_word<T>(
    row: &Row<'_>,
    index: usize,
    from: fn(i64) -> Option<T>,
) -> Result<Option<T>> {
    row.get::<_, Option<i64>>(index)?
        .map(|number| from(number).ok_or_else(|| unreadable(index, Type::Integer, "word")))
        .transpose()
}

pub(crate) fn user(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: uuid(row, 0)?,
        username: row.get(1)?,
        display_name: row.get(2)?,
        email: row.get(3)?,
        metadata: json(row, 4)?,
        active: row.get(5)?,
        created_at: time(row, 6)?,
        updated_at: time(row, 7)?,
    })
}

/// Reads a session from column `at` on.
pub(crate) fn session(row: &Row<'_>, at: usize) -> Result<Session> {
    let metadata = json(row, at + 5)?;
    let name: Option<String> = row.get(at + 3)?;
    Ok(Session {
        id: uuid(row, at)?,
        user_id: uuid(row, at + 1)?,
        channel_id: optional_uuid(row, at + 2)?,
        metadata: match name {
            None => metadata,
            Some(name) => {
                named(&metadata, &name).ok_or_else(|| unreadable(at + 5, Type::Text, "metadata"))?
            }
        },
        status: word(row, at + 4, SessionStatus::from_number)?,
        context: json(row, at + 6)?,
        last_activity_at: time(row, at + 7)?,
        created_at: time(row, at + 8)?,
        updated_at: time(row, at + 9)?,
    })
}

/// Adds a session's name as the first member of its metadata, in place of a stored member of that name.
fn named(metadata: &Json, name: &str) -> Option<Json> {
    let members: Vec<(String, Json)> = members(metadata)?;
    let shown = std::iter::once(("name".to_owned(), Json::of(name)))
        .chain(members.into_iter().filter(|(member, _)| member != "name"))
        .map(|(member, value)| format!("{}:{}", Json::of(&member).as_str(), value.as_str()))
        .collect::<Vec<_>>()
        .join(",");
    Json::stored(format!("{{{shown}}}")).ok()
}

/// The members of an object in order, each value as its text.
fn members(object: &Json) -> Option<Vec<(String, Json)>> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, Json)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(object.as_str());
    serde::Deserializer::deserialize_map(&mut deserializer, Members).ok()
}

pub(crate) fn goal(row: &Row<'_>) -> Result<Goal> {
    Ok(Goal {
        id: uuid(row, 0)?,
        user_id: uuid(row, 1)?,
        session_id: uuid(row, 2)?,
        parent_goal_id: optional_uuid(row, 3)?,
        title: row.get(4)?,
        description: row.get(5)?,
        status: word(row, 6, GoalStatus::from_number)?,
        priority: word(row, 7, Priority::from_number)?,
        context: json(row, 8)?,
        result: optional_json(row, 9)?,
        started_at: optional_time(row, 10)?,
        completed_at: optional_time(row, 11)?,
        created_at: time(row, 12)?,
        updated_at: time(row, 13)?,
    })
}

pub(crate) fn memory(row: &Row<'_>) -> Result<Memory> {
    let tags: String = row.get(8)?;
    Ok(Memory {
        id: uuid(row, 0)?,
        user_id: uuid(row, 1)?,
        memory_type: word(row, 2, MemoryType::from_number)?,
        importance: word(row, 3, Importance::from_number)?,
        content: row.get(4)?,
        embedding: optional_json(row, 5)?,
        source_session_id: optional_uuid(row, 6)?,
        source_tool_execution_id: optional_uuid(row, 7)?,
        tags: serde_json::from_str(&tags).map_err(|_| unreadable(8, Type::Text, "tags"))?,
        expires_at: optional_time(row, 9)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
    })
}

pub(crate) fn channel(row: &Row<'_>) -> Result<Channel> {
    Ok(Channel {
        id: uuid(row, 0)?,
        user_id: uuid(row, 1)?,
        channel_type: word(row, 2, ChannelType::from_number)?,
        channel_name: row.get(3)?,
        channel_identifier: row.get(4)?,
        status: word(row, 5, ChannelStatus::from_number)?,
        metadata: json(row, 6)?,
        config: json(row, 7)?,
        last_message_at: optional_time(row, 8)?,
        created_at: time(row, 9)?,
        updated_at: time(row, 10)?,
    })
}

/// Reads an execution and its row number. The reader adds the output of a proxied one.
pub(crate) fn execution(row: &Row<'_>) -> Result<(i64, Execution)> {
    let status = word(row, 7, ExecutionStatus::from_number)?;
    let attempt: u32 = row.get(15)?;
    let outcome = outcome(status, optional_word(row, 16, Knowledge::from_number)?);
    let execution = Execution {
        id: uuid(row, 1)?,
        goal_id: uuid(row, 2)?,
        session_id: uuid(row, 3)?,
        user_id: uuid(row, 4)?,
        tool_name: row.get(5)?,
        tool_input: json(row, 6)?,
        status,
        output: optional_json(row, 8)?,
        error: row.get(9)?,
        idempotency_key: row.get(10)?,
        started_at: optional_time(row, 11)?,
        completed_at: optional_time(row, 12)?,
        created_at: time(row, 13)?,
        updated_at: time(row, 14)?,
        attempt,
        outcome,
        origin: word(row, 17, Origin::from_number)?,
        effect: word(row, 18, EffectClass::from_number)?,
        leased: attempt > 0,
        rule: row.get(19)?,
    };
    Ok((row.get(0)?, execution))
}

/// What is known about the effect, from the status and the column `known` of a failure.
const fn outcome(status: ExecutionStatus, known: Option<Knowledge>) -> Option<Knowledge> {
    match status {
        ExecutionStatus::Completed => Some(Knowledge::Executed),
        ExecutionStatus::InDoubt => Some(Knowledge::Unknown),
        ExecutionStatus::Failed => known,
        ExecutionStatus::Pending | ExecutionStatus::Running | ExecutionStatus::Cancelled => None,
    }
}

/// Reads the summary of an execution and its row number. The reader adds what only the log knows.
pub(crate) fn execution_summary(row: &Row<'_>) -> Result<(i64, ExecutionSummary)> {
    let status = word(row, 6, ExecutionStatus::from_number)?;
    let summary = ExecutionSummary {
        id: uuid(row, 1)?,
        goal_id: uuid(row, 2)?,
        session_id: uuid(row, 3)?,
        user_id: uuid(row, 4)?,
        tool_name: row.get(5)?,
        status,
        attempt: row.get(7)?,
        outcome: outcome(status, optional_word(row, 8, Knowledge::from_number)?),
        origin: word(row, 9, Origin::from_number)?,
        effect: word(row, 10, EffectClass::from_number)?,
        rule: row.get(11)?,
        idempotency_key: row.get(12)?,
        error: row.get(13)?,
        preview: row.get::<_, Option<String>>(14)?.unwrap_or_default(),
        answer_status: row.get(15)?,
        last_event: row.get(16)?,
        duplicates: row.get::<_, i64>(17)?.unsigned_abs(),
        duplicate_times: Vec::new(),
        started_at: optional_time(row, 18)?,
        sent_at: optional_time(row, 19)?,
        first_byte_at: None,
        completed_at: optional_time(row, 20)?,
        created_at: time(row, 21)?,
        updated_at: time(row, 22)?,
    };
    Ok((row.get(0)?, summary))
}

/// Reads the summary of a session, after its row number. The reader adds the counts.
pub(crate) fn session_summary(row: &Row<'_>) -> Result<SessionSummary> {
    Ok(SessionSummary {
        id: uuid(row, 1)?,
        user_id: uuid(row, 2)?,
        username: row.get(3)?,
        name: row.get(4)?,
        status: word(row, 5, SessionStatus::from_number)?,
        latest_goal: None,
        goals: BTreeMap::new(),
        executions: BTreeMap::new(),
        duplicates: 0,
        last_activity_at: time(row, 6)?,
        created_at: time(row, 7)?,
        updated_at: time(row, 8)?,
    })
}

pub(crate) fn event(row: &Row<'_>) -> Result<Event> {
    let hash: Vec<u8> = row.get(8)?;
    Ok(Event {
        seq: row.get(0)?,
        at: time(row, 1)?,
        kind: row.get_ref(2)?.as_str()?.into(),
        execution_id: optional_uuid(row, 3)?,
        session_id: optional_uuid(row, 4)?,
        attempt: row.get(5)?,
        actor: row.get_ref(6)?.as_str()?.into(),
        detail: json(row, 7)?,
        hash: store_core::key::hex(&hash),
        previous: row.get::<_, Option<Vec<u8>>>(9)?.map(|hash| store_core::key::hex(&hash)),
    })
}
