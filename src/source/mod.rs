//! Where a command reads from: the server that owns the database, else the file itself.

pub(crate) mod history;
pub(crate) mod named;
pub(crate) mod settle;
mod word;

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use store::model::{ExecutionFilter, ExecutionStatus, Origin, Timestamp};
use store::{LockHolder, Reader};
use uuid::Uuid;

pub(crate) use self::word::Word;
use crate::api::Code;
use crate::client::{self, ApiClient};
use crate::config::Target;
use crate::shown;

/// How many executions to request at once; fewer if they do not fit into one answer.
const PAGE: usize = 100;

/// The status of a `running` execution whose engine has stopped.
pub(crate) const RUNNING_UNWATCHED: &str = "running (engine stopped: outcome unknown)";

/// Entities in the JSON of the API, from either source.
pub(crate) enum Source {
    /// A running server.
    Server(Box<ApiClient>),
    /// The file, if no server is running: the outcome of `running` executions is unknown.
    File(Reader),
}

/// A page of executions, and the cursor of the next one.
#[derive(Debug, Deserialize)]
pub(crate) struct ExecutionPage {
    pub(crate) items: Vec<Box<RawValue>>,
    pub(crate) next: Option<String>,
}

impl Source {
    /// Finds the owner of the database of `target` by its lock.
    pub(crate) fn find(target: &Target) -> anyhow::Result<Self> {
        let database = target.database()?;
        Ok(match server_of(&database, target)? {
            Some(client) => Self::Server(Box::new(client)),
            None => Self::File(open(&database)?),
        })
    }

    /// Whether no server is running.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The session, or `None` if it does not exist.
    pub(crate) fn session(&self, id: Uuid) -> anyhow::Result<Option<Box<RawValue>>> {
        let session = match self {
            Self::Server(client) => optional_result(client.call("get_session", &IdParams { id })),
            Self::File(reader) => optional_entity(reader.session(id)),
        }?;
        Ok(session.map(shown::document))
    }

    /// All goals of a session, oldest first.
    pub(crate) fn goals(&self, session_id: Uuid) -> anyhow::Result<Vec<Box<RawValue>>> {
        let goals = match self {
            Self::Server(client) => {
                parse_items(&client.call("list_goals", &SessionIdParams { session_id })?)
            }
            Self::File(reader) => to_texts(&reader.goals(session_id)?),
        }?;
        Ok(all_shown(goals))
    }

    /// Up to a page of the executions of a session after `after`, oldest first; empty at the end.
    pub(crate) fn executions_of_session(
        &self,
        session_id: Uuid,
        after: Option<Uuid>,
    ) -> anyhow::Result<Vec<Box<RawValue>>> {
        let executions = match self {
            Self::Server(client) => parse_items(&with_fitting_limit(PAGE, |limit| {
                let params = SessionPageParams { session_id, limit, after };
                client.call("list_session_executions", &params)
            })?),
            Self::File(reader) => to_texts(&reader.executions_of_session(session_id, PAGE, after)?),
        }?;
        Ok(all_shown(executions))
    }

    /// Up to `limit` executions that match `filter`, newest first.
    pub(crate) fn executions(
        &self,
        filter: &ExecutionFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> anyhow::Result<ExecutionPage> {
        let limit = limit.min(PAGE);
        let page: ExecutionPage = match self {
            Self::Server(client) => {
                let page = with_fitting_limit(limit, |limit| {
                    client.call("list_executions", &FilterPageParams::new(filter, limit, cursor))
                })?;
                serde_json::from_str(page.get()).context("unexpected answer from the server")?
            }
            Self::File(reader) => {
                let page = reader.executions(filter, limit, cursor)?;
                ExecutionPage { items: to_texts(&page.items)?, next: page.next }
            }
        };
        Ok(ExecutionPage { items: all_shown(page.items), ..page })
    }
}

fn all_shown(entities: Vec<Box<RawValue>>) -> Vec<Box<RawValue>> {
    entities.into_iter().map(shown::document).collect()
}

/// A client of the server that holds the lock of `database`; `None` if nobody holds it.
pub(crate) fn server_of(database: &Path, target: &Target) -> anyhow::Result<Option<ApiClient>> {
    let holder = Reader::lock_holder(database);
    holder.map(|holder| client_of(&holder, target)).transpose()
}

/// A client of the server that `holder` describes.
fn client_of(holder: &LockHolder, target: &Target) -> anyhow::Result<ApiClient> {
    if holder.api.is_empty() {
        bail!(client::Error::Unreachable {
            url: format!("process {}", holder.pid),
            cause: "it is still starting; try again".to_owned(),
        });
    }
    ApiClient::new(&holder.api, target.token().as_ref())
}

/// The execution, or `None` if the server does not know it.
fn execution(client: &ApiClient, id: Uuid) -> anyhow::Result<Option<Box<RawValue>>> {
    optional_result(client.call("get_tool_execution", &IdParams { id }))
}

/// Opens an existing database for reading only. Refuses one that misses records.
pub(crate) fn open(database: &Path) -> anyhow::Result<Reader> {
    let reader = open_unchecked(database)?;
    reader.check_whole()?;
    Ok(reader)
}

/// As [`open`], also if records are missing.
pub(crate) fn open_unchecked(database: &Path) -> anyhow::Result<Reader> {
    if !database.exists() {
        bail!(
            "no database at {}: start the server, or name a different file with --database",
            database.display()
        );
    }
    Ok(Reader::open(database)?)
}

#[derive(Serialize)]
struct IdParams {
    id: Uuid,
}

#[derive(Serialize)]
struct SessionIdParams {
    session_id: Uuid,
}

#[derive(Serialize)]
struct SessionPageParams {
    session_id: Uuid,
    limit: usize,
    after: Option<Uuid>,
}

#[derive(Serialize)]
struct FilterPageParams<'a> {
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    goal_id: Option<Uuid>,
    status: Option<&'static str>,
    tool_name: Option<&'a str>,
    origin: Option<&'static str>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: usize,
    cursor: Option<&'a str>,
}

impl<'a> FilterPageParams<'a> {
    fn new(filter: &'a ExecutionFilter, limit: usize, cursor: Option<&'a str>) -> Self {
        Self {
            user_id: filter.user_id,
            session_id: filter.session_id,
            goal_id: filter.goal_id,
            status: filter.status.map(ExecutionStatus::as_str),
            tool_name: filter.tool_name.as_deref(),
            origin: filter.origin.map(Origin::as_str),
            after: filter.after,
            before: filter.before,
            limit,
            cursor,
        }
    }
}

/// Halves the limit until the answer fits.
fn with_fitting_limit(
    mut limit: usize,
    call: impl Fn(usize) -> Result<Box<RawValue>, client::Error>,
) -> Result<Box<RawValue>, client::Error> {
    loop {
        match call(limit) {
            Err(error) if error.is_too_large() && limit > 1 => limit /= 2,
            answer => return answer,
        }
    }
}

fn optional_result(
    answer: Result<Box<RawValue>, client::Error>,
) -> anyhow::Result<Option<Box<RawValue>>> {
    match answer {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn optional_entity<T: Serialize>(
    entity: Result<T, store::Error>,
) -> anyhow::Result<Option<Box<RawValue>>> {
    match entity {
        Ok(entity) => Ok(Some(to_raw_value(&entity)?)),
        Err(store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_items(list: &RawValue) -> anyhow::Result<Vec<Box<RawValue>>> {
    serde_json::from_str(list.get()).context("unexpected answer from the server")
}

fn to_texts<T: Serialize>(entities: &[T]) -> anyhow::Result<Vec<Box<RawValue>>> {
    Ok(entities.iter().map(to_raw_value).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use jsonrpsee::types::error::OVERSIZED_RESPONSE_CODE;

    use super::*;

    #[test]
    fn pages_shrink_until_they_fit() {
        let requested = std::cell::RefCell::new(Vec::new());
        let too_large = || client::Error::Refused {
            number: OVERSIZED_RESPONSE_CODE,
            code: None,
            message: String::new(),
        };
        let answer = with_fitting_limit(100, |limit| {
            requested.borrow_mut().push(limit);
            if limit > 12 { Err(too_large()) } else { Ok(RawValue::NULL.to_owned()) }
        });
        assert!(answer.is_ok());
        assert_eq!(*requested.borrow(), [100, 50, 25, 12]);
        assert!(with_fitting_limit(1, |_| Err(too_large())).is_err());
    }
}
