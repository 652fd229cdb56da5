//! Resolves ids to row numbers, and checks that they belong together.

use rusqlite::{Connection, OptionalExtension};
use store_core::Error;
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::decide::brief::Place;
use crate::sqlite::error::Fail;
use crate::sqlite::{queries, rows};

/// A session, by row numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionRow {
    pub(crate) id: i64,
    pub(crate) user: i64,
    pub(crate) created_at: Timestamp,
}

fn not_found(what: &'static str, id: Uuid) -> Fail {
    Error::NotFound { what, id: id.to_string() }.into()
}

pub(crate) fn user(conn: &Connection, id: Uuid) -> Result<i64, Fail> {
    conn.prepare_cached(queries::USER_ID)?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| not_found("user", id))
}

pub(crate) fn session(conn: &Connection, id: Uuid) -> Result<SessionRow, Fail> {
    conn.prepare_cached(queries::SESSION_ID)?
        .query_row([id.as_bytes()], |row| {
            Ok(SessionRow { id: row.get(0)?, user: row.get(1)?, created_at: rows::time(row, 2)? })
        })
        .optional()?
        .ok_or_else(|| not_found("session", id))
}

/// The rows of a goal, its session and its user.
pub(crate) fn goal(conn: &Connection, id: Uuid) -> Result<(i64, i64, i64), Fail> {
    conn.prepare_cached(queries::GOAL_ID)?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or_else(|| not_found("goal", id))
}

/// The rows of a channel and its user.
pub(crate) fn channel(conn: &Connection, id: Uuid) -> Result<(i64, i64), Fail> {
    conn.prepare_cached(queries::CHANNEL_ID)?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| not_found("channel", id))
}

pub(crate) fn memory(conn: &Connection, id: Uuid) -> Result<i64, Fail> {
    conn.prepare_cached(queries::MEMORY_ID)?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| not_found("memory", id))
}

/// A session, which must belong to the user.
pub(crate) fn session_of(
    conn: &Connection,
    user_id: Uuid,
    session_id: Uuid,
) -> Result<SessionRow, Fail> {
    let user = user(conn, user_id)?;
    let session = session(conn, session_id)?;
    if session.user != user {
        return Err(Error::Foreign(format!(
            "session {session_id} does not belong to user {user_id}"
        ))
        .into());
    }
    Ok(session)
}

/// The place of a call. The session must belong to the user, and the goal to the session.
pub(crate) fn place(
    conn: &Connection,
    user_id: Uuid,
    session_id: Uuid,
    goal_id: Uuid,
) -> Result<Place, Fail> {
    let session = session_of(conn, user_id, session_id)?;
    let (goal, of, _) = goal(conn, goal_id)?;
    if of != session.id {
        return Err(Error::Foreign(format!(
            "goal {goal_id} does not belong to session {session_id}"
        ))
        .into());
    }
    Ok(Place { user: session.user, session: session.id, goal, session_created: session.created_at })
}
