//! Resolves the user, session and goal of a proxied call, by id or name.

use rusqlite::{Connection, OptionalExtension};
use store_core::call::{Scope, ScopeRequest};
use store_core::model::{NewUser, SessionStatus, Timestamp};
use store_core::{DEFAULT_SESSION, DEFAULT_USER, Error, PROXY_GOAL};
use uuid::Uuid;

use crate::decide::checks::check_name;
use crate::sqlite::entities::{self, GoalRow};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{ids, queries, rows};

struct Owner {
    row: i64,
    id: Uuid,
}

struct Found {
    row: i64,
    id: Uuid,
    created_at: Timestamp,
    named: bool,
    owner: Owner,
}

/// The scope of a request; `None` if a part of it does not exist yet.
pub(crate) fn find(conn: &Connection, request: &ScopeRequest) -> Result<Option<Scope>, Fail> {
    let Some(session) = find_session(conn, request)? else { return Ok(None) };
    let goal = find_goal(conn, request, &session)?;
    Ok(goal.map(|goal| scope(&session, goal)))
}

/// The scope of a request. Creates the user `local`, sessions by name and the session's own goal.
pub(crate) fn find_or_create(
    tx: &mut Transaction<'_>,
    request: &ScopeRequest,
) -> Result<Scope, Fail> {
    let session = match find_session(tx.conn, request)? {
        Some(session) => session,
        None => create_session(tx, request)?,
    };
    if let Some(goal) = find_goal(tx.conn, request, &session)? {
        return Ok(scope(&session, goal));
    }
    let goal = GoalRow {
        user: session.owner.row,
        session: session.row,
        of_proxy: true,
        title: PROXY_GOAL,
        description: None,
    };
    let goal = entities::insert_goal(tx, &goal)?;
    Ok(scope(&session, goal))
}

/// The goal that the request names, which must exist, or the session's own.
fn find_goal(
    conn: &Connection,
    request: &ScopeRequest,
    session: &Found,
) -> Result<Option<(i64, Uuid)>, Fail> {
    if let Some(id) = request.goal {
        return Ok(Some((goal_of(conn, id, session.row)?, id)));
    }
    Ok(conn
        .prepare_cached(queries::GOAL_OF_PROXY)?
        .query_row([session.row], |row| Ok((row.get(0)?, rows::uuid(row, 1)?)))
        .optional()?)
}

fn scope(session: &Found, (goal, goal_id): (i64, Uuid)) -> Scope {
    Scope {
        user_id: session.owner.id,
        session_id: session.id,
        goal_id,
        session_created: session.created_at,
        named: session.named,
        user: session.owner.row,
        session: session.row,
        goal,
    }
}

/// The user that the request names, if it names one.
fn requested_user(conn: &Connection, request: &ScopeRequest) -> Result<Option<Owner>, Fail> {
    let Some(user) = &request.user else { return Ok(None) };
    let found = match Uuid::try_parse(user) {
        Ok(id) => Some(Owner { row: ids::user(conn, id)?, id }),
        Err(_) => user_by_name(conn, user)?,
    };
    found.map(Some).ok_or_else(|| Error::NotFound { what: "user", id: user.clone() }.into())
}

fn user_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<Owner>> {
    conn.prepare_cached(queries::USER_ID_BY_NAME)?
        .query_row([name], |row| Ok(Owner { row: row.get(0)?, id: rows::uuid(row, 1)? }))
        .optional()
}

/// The session of a request; `None` if it does not exist yet. Then it cannot have the named goal either.
fn find_session(conn: &Connection, request: &ScopeRequest) -> Result<Option<Found>, Fail> {
    match (look_for_session(conn, request)?, request.goal) {
        (None, Some(goal)) => Err(unknown_goal(goal).into()),
        (found, _) => Ok(found),
    }
}

fn look_for_session(conn: &Connection, request: &ScopeRequest) -> Result<Option<Found>, Fail> {
    let requested = requested_user(conn, request)?;
    let name = request.session.as_deref().unwrap_or(DEFAULT_SESSION);
    if let Ok(id) = Uuid::try_parse(name) {
        return session_by_id(conn, id, requested.as_ref()).map(Some);
    }
    let owner = match requested {
        Some(owner) => Some(owner),
        None => user_by_name(conn, DEFAULT_USER)?,
    };
    let Some(owner) = owner else { return Ok(None) };
    let found = conn
        .prepare_cached(queries::SESSION_BY_NAME)?
        .query_row(rusqlite::params![owner.row, name], |row| {
            Ok((row.get(0)?, rows::uuid(row, 1)?, rows::time(row, 2)?))
        })
        .optional()?;
    Ok(found.map(|(row, id, created_at)| Found {
        row,
        id,
        created_at,
        named: name != DEFAULT_SESSION,
        owner,
    }))
}

fn session_by_id(conn: &Connection, id: Uuid, requested: Option<&Owner>) -> Result<Found, Fail> {
    let found = conn
        .prepare_cached(queries::SESSION_SCOPE)?
        .query_row([id.as_bytes()], |row| {
            let name: Option<String> = row.get(4)?;
            let found = Found {
                row: row.get(0)?,
                id,
                owner: Owner { row: row.get(1)?, id: rows::uuid(row, 2)? },
                named: name.as_deref() != Some(DEFAULT_SESSION),
                created_at: rows::time(row, 6)?,
            };
            Ok((found, rows::word(row, 5, SessionStatus::from_number)?))
        })
        .optional()?;
    let Some((found, status)) = found else {
        return Err(Error::NotFound { what: "session", id: id.to_string() }.into());
    };
    if requested.is_some_and(|requested| requested.row != found.owner.row) {
        return Err(Error::Foreign(format!("session {id} belongs to another user")).into());
    }
    match status {
        SessionStatus::Active | SessionStatus::Paused => Ok(found),
        SessionStatus::Completed | SessionStatus::Failed | SessionStatus::Abandoned => {
            Err(Error::SessionEnded(id).into())
        }
    }
}

fn create_session(tx: &mut Transaction<'_>, request: &ScopeRequest) -> Result<Found, Fail> {
    let owner = match requested_user(tx.conn, request)? {
        Some(owner) => owner,
        None => {
            if let Some(owner) = user_by_name(tx.conn, DEFAULT_USER)? {
                owner
            } else {
                let new =
                    NewUser { username: DEFAULT_USER.to_owned(), display_name: None, email: None };
                let id = entities::create_user(tx, &new)?;
                Owner { row: ids::user(tx.conn, id)?, id }
            }
        }
    };
    let name = request.session.as_deref().unwrap_or(DEFAULT_SESSION);
    check_name("session", name)?;
    let (row, id) = entities::insert_session(tx, owner.row, None, Some(name))?;
    Ok(Found { row, id, created_at: tx.now(), named: name != DEFAULT_SESSION, owner })
}

/// A goal of the session. A goal of another session is reported as unknown.
fn goal_of(conn: &Connection, id: Uuid, session: i64) -> Result<i64, Fail> {
    match ids::goal(conn, id)? {
        (goal, of, _) if of == session => Ok(goal),
        _ => Err(unknown_goal(id).into()),
    }
}

fn unknown_goal(id: Uuid) -> Error {
    Error::NotFound { what: "goal", id: id.to_string() }
}
