//! Creates and changes users, sessions, goals, memories and channels inside the writer's transaction.

use rusqlite::params;
use store_core::Error;
use store_core::model::{
    ChannelUpdate, EventKind, GoalStatus, GoalUpdate, Importance, Json, MemoryUpdate, NewChannel,
    NewGoal, NewMemory, NewSession, NewUser, SessionStatus, SessionUpdate, Timestamp,
};
use uuid::Uuid;

use crate::decide::checks::{check_fresh, check_name};
use crate::sqlite::entity_log::{EntityDetail, Table, log_entity};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::{AfterCommit, Transaction};
use crate::sqlite::{ids, queries, rows};

/// Looks up an optional id.
fn optional<T>(
    id: Option<Uuid>,
    find: impl Fn(Uuid) -> Result<T, Fail>,
) -> Result<Option<T>, Fail> {
    id.map(find).transpose()
}

fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

fn about(id: Uuid) -> EntityDetail {
    EntityDetail { id: Some(id), ..EntityDetail::default() }
}

/// Creates a user. A taken name is a conflict.
pub(crate) fn create_user(tx: &mut Transaction<'_>, new: &NewUser) -> Result<Uuid, Fail> {
    check_name("username", &new.username)?;
    let id = Uuid::now_v7();
    let inserted = tx.conn.prepare_cached(queries::USER_INSERT)?.execute(params![
        id.as_bytes(),
        new.username,
        new.display_name,
        new.email,
        tx.now().as_micros()
    ]);
    match inserted {
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            Err(Error::Conflict(format!("a user named {:?} already exists", new.username)).into())
        }
        other => {
            other?;
            let row = tx.conn.last_insert_rowid();
            log_entity(tx, EventKind::UserCreated, Table::Users.at(row), about(id))?;
            Ok(id)
        }
    }
}

pub(crate) fn create_session(tx: &mut Transaction<'_>, new: &NewSession) -> Result<Uuid, Fail> {
    if let Some(name) = &new.name {
        check_name("name", name)?;
    }
    let user = ids::user(tx.conn, new.user_id)?;
    let channel = optional(new.channel_id, |id| ids::channel(tx.conn, id))?;
    if channel.is_some_and(|(_, owner)| owner != user) {
        return Err(Error::Foreign("the channel belongs to another user".to_owned()).into());
    }
    insert_session(tx, user, channel.map(|(id, _)| id), new.name.as_deref()).map(|(_, id)| id)
}

/// Inserts a session; returns its row and id.
pub(crate) fn insert_session(
    tx: &mut Transaction<'_>,
    user: i64,
    channel: Option<i64>,
    name: Option<&str>,
) -> Result<(i64, Uuid), Fail> {
    let id = Uuid::now_v7();
    tx.conn.prepare_cached(queries::SESSION_INSERT)?.execute(params![
        id.as_bytes(),
        user,
        channel,
        name,
        tx.now().as_micros()
    ])?;
    let row = tx.conn.last_insert_rowid();
    log_session(tx, row, EventKind::SessionCreated, SessionStatus::Active)?;
    tx.after(AfterCommit::ScopesChanged);
    Ok((row, id))
}

fn log_session(
    tx: &mut Transaction<'_>,
    row: i64,
    kind: EventKind,
    status: SessionStatus,
) -> rusqlite::Result<()> {
    let detail = EntityDetail { status: Some(status.to_string()), ..EntityDetail::default() };
    log_entity(tx, kind, Table::Sessions.at(row).of_session(row), detail)
}

pub(crate) fn update_session(
    tx: &mut Transaction<'_>,
    update: &SessionUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let found = ids::session(tx.conn, update.id)?;
    let now = tx
        .conn
        .prepare_cached(queries::SESSION_BY_UUID)?
        .query_row([update.id.as_bytes()], |row| rows::session(row, 0))?;
    check_fresh(now.updated_at, if_updated_at)?;
    let channel =
        optional(update.channel_id.unwrap_or(now.channel_id), |id| ids::channel(tx.conn, id))?;
    let status = update.status.unwrap_or(now.status);
    tx.conn.prepare_cached(queries::SESSION_UPDATE)?.execute(params![
        update.id.as_bytes(),
        channel.map(|(id, _)| id),
        status.number(),
        update.metadata.as_ref().unwrap_or(&now.metadata).as_str(),
        update.context.as_ref().unwrap_or(&now.context).as_str(),
        update.last_activity_at.unwrap_or(now.last_activity_at).as_micros(),
        tx.now().as_micros(),
    ])?;
    tx.conn.prepare_cached(queries::SESSION_LEFT)?.execute([found.id])?;
    log_session(tx, found.id, EventKind::SessionUpdated, status)?;
    tx.after(AfterCommit::ScopesChanged);
    Ok(())
}

pub(crate) fn create_goal(tx: &mut Transaction<'_>, new: &NewGoal) -> Result<Uuid, Fail> {
    if new.title.is_empty() {
        let message = "must not be empty".to_owned();
        return Err(Error::Invalid { field: "title", message }.into());
    }
    let session = ids::session_of(tx.conn, new.user_id, new.session_id)?;
    let goal = GoalRow {
        user: session.user,
        session: session.id,
        of_proxy: false,
        title: &new.title,
        description: new.description.as_deref(),
    };
    insert_goal(tx, &goal).map(|(_, id)| id)
}

/// A goal to be inserted.
pub(crate) struct GoalRow<'a> {
    pub(crate) user: i64,
    pub(crate) session: i64,
    /// The session's own goal, for proxied calls that name no goal.
    pub(crate) of_proxy: bool,
    pub(crate) title: &'a str,
    pub(crate) description: Option<&'a str>,
}

/// Inserts a goal; returns its row and id.
pub(crate) fn insert_goal(
    tx: &mut Transaction<'_>,
    goal: &GoalRow<'_>,
) -> Result<(i64, Uuid), Fail> {
    let id = Uuid::now_v7();
    tx.conn.prepare_cached(queries::GOAL_INSERT)?.execute(params![
        id.as_bytes(),
        goal.user,
        goal.session,
        goal.of_proxy,
        goal.title,
        goal.description,
        tx.now().as_micros()
    ])?;
    let row = tx.conn.last_insert_rowid();
    log_entity(
        tx,
        EventKind::GoalCreated,
        Table::Goals.at(row).of_session(goal.session),
        about(id),
    )?;
    Ok((row, id))
}

pub(crate) fn update_goal(
    tx: &mut Transaction<'_>,
    update: &GoalUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let (row, session, _) = ids::goal(tx.conn, update.id)?;
    let now = tx
        .conn
        .prepare_cached(queries::GOAL_BY_UUID)?
        .query_row([update.id.as_bytes()], rows::goal)?;
    check_fresh(now.updated_at, if_updated_at)?;
    let parent =
        optional(update.parent_goal_id.unwrap_or(now.parent_goal_id), |id| ids::goal(tx.conn, id))?;
    if parent.is_some_and(|(id, of, _)| of != session || id == row) {
        return Err(Error::Foreign(
            "the parent goal must be another goal of the same session".to_owned(),
        )
        .into());
    }
    let status = update.status.unwrap_or(now.status);
    let begun = (status == GoalStatus::InProgress).then_some(tx.now());
    let ended =
        matches!(status, GoalStatus::Completed | GoalStatus::Failed | GoalStatus::Cancelled)
            .then_some(tx.now());
    let description = update.description.clone().unwrap_or(now.description);
    let result = update.result.clone().unwrap_or(now.result);
    tx.conn.prepare_cached(queries::GOAL_UPDATE)?.execute(params![
        update.id.as_bytes(),
        parent.map(|(id, _, _)| id),
        update.title.as_ref().unwrap_or(&now.title),
        description,
        status.number(),
        update.priority.unwrap_or(now.priority).number(),
        update.context.as_ref().unwrap_or(&now.context).as_str(),
        result.as_ref().map(Json::as_str),
        micros(update.started_at.unwrap_or(now.started_at).or(begun)),
        micros(update.completed_at.unwrap_or(now.completed_at).or(ended)),
        tx.now().as_micros(),
    ])?;
    let detail = EntityDetail { status: Some(status.to_string()), ..about(update.id) };
    log_entity(tx, EventKind::GoalUpdated, Table::Goals.at(row).of_session(session), detail)?;
    tx.after(AfterCommit::ScopesChanged);
    Ok(())
}

pub(crate) fn create_memory(tx: &mut Transaction<'_>, new: &NewMemory) -> Result<Uuid, Fail> {
    let user = ids::user(tx.conn, new.user_id)?;
    let id = Uuid::now_v7();
    tx.conn.prepare_cached(queries::MEMORY_INSERT)?.execute(params![
        id.as_bytes(),
        user,
        new.importance.unwrap_or(Importance::Medium).number(),
        new.content,
        Json::of(&new.tags).as_str(),
        tx.now().as_micros()
    ])?;
    let row = tx.conn.last_insert_rowid();
    log_entity(tx, EventKind::MemoryCreated, Table::Memories.at(row), about(id))?;
    Ok(id)
}

pub(crate) fn update_memory(
    tx: &mut Transaction<'_>,
    update: &MemoryUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let row = ids::memory(tx.conn, update.id)?;
    let now = tx
        .conn
        .prepare_cached(queries::MEMORY_BY_UUID)?
        .query_row([update.id.as_bytes()], rows::memory)?;
    check_fresh(now.updated_at, if_updated_at)?;
    let embedding = update.embedding.clone().unwrap_or(now.embedding);
    let session = update.source_session_id.unwrap_or(now.source_session_id);
    let execution = update.source_tool_execution_id.unwrap_or(now.source_tool_execution_id);
    tx.conn.prepare_cached(queries::MEMORY_UPDATE)?.execute(params![
        update.id.as_bytes(),
        update.memory_type.unwrap_or(now.memory_type).number(),
        update.importance.unwrap_or(now.importance).number(),
        update.content.as_ref().unwrap_or(&now.content),
        embedding.as_ref().map(Json::as_str),
        session.as_ref().map(Uuid::as_bytes),
        execution.as_ref().map(Uuid::as_bytes),
        Json::of(update.tags.as_ref().unwrap_or(&now.tags)).as_str(),
        micros(update.expires_at.unwrap_or(now.expires_at)),
        tx.now().as_micros(),
    ])?;
    log_entity(tx, EventKind::MemoryUpdated, Table::Memories.at(row), about(update.id))?;
    Ok(())
}

pub(crate) fn create_channel(tx: &mut Transaction<'_>, new: &NewChannel) -> Result<Uuid, Fail> {
    check_name("channel_name", &new.channel_name)?;
    let user = ids::user(tx.conn, new.user_id)?;
    let id = Uuid::now_v7();
    tx.conn.prepare_cached(queries::CHANNEL_INSERT)?.execute(params![
        id.as_bytes(),
        user,
        new.channel_type.number(),
        new.channel_name,
        new.channel_identifier,
        tx.now().as_micros()
    ])?;
    let row = tx.conn.last_insert_rowid();
    log_entity(tx, EventKind::ChannelCreated, Table::Channels.at(row), about(id))?;
    Ok(id)
}

pub(crate) fn update_channel(
    tx: &mut Transaction<'_>,
    update: &ChannelUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let (row, _) = ids::channel(tx.conn, update.id)?;
    let now = tx
        .conn
        .prepare_cached(queries::CHANNEL_BY_UUID)?
        .query_row([update.id.as_bytes()], rows::channel)?;
    check_fresh(now.updated_at, if_updated_at)?;
    tx.conn.prepare_cached(queries::CHANNEL_UPDATE)?.execute(params![
        update.id.as_bytes(),
        update.channel_type.unwrap_or(now.channel_type).number(),
        update.channel_name.as_ref().unwrap_or(&now.channel_name),
        update.channel_identifier.as_ref().unwrap_or(&now.channel_identifier),
        update.status.unwrap_or(now.status).number(),
        update.metadata.as_ref().unwrap_or(&now.metadata).as_str(),
        update.config.as_ref().unwrap_or(&now.config).as_str(),
        micros(update.last_message_at.unwrap_or(now.last_message_at)),
        tx.now().as_micros(),
    ])?;
    log_entity(tx, EventKind::ChannelUpdated, Table::Channels.at(row), about(update.id))?;
    Ok(())
}
