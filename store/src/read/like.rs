//! The newest call that is like another one, for people who want to know why the two are not one.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use store_core::Error;
use store_core::call::Call;
use store_core::key::Digest;
use store_core::model::Json;
use uuid::Uuid;

use crate::read::reader::Reader;
use crate::sqlite::{queries, rows};

/// A recorded call with the session, method, host and path of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct LikeCall {
    /// Its execution.
    pub execution_id: Uuid,
    /// Its request as it is stored.
    pub input: Json,
    /// The key that it was claimed under.
    pub key: Option<String>,
    /// It has the credentials of the other one.
    pub same_principal: bool,
    /// It has the `Agent-Repeat` of the other one, or neither has one.
    pub same_repeat: bool,
}

/// A recorded call, and the newest like it.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedCall {
    /// The request of the call as it is stored.
    pub input: Json,
    /// The key that it was claimed under.
    pub key: Option<String>,
    /// The newest call before it that is like it.
    pub like: LikeCall,
}

/// What calls are found by.
struct Search<'a> {
    session: i64,
    /// Only rows before this one.
    before: i64,
    tool: &'a str,
    input: &'a Json,
    principal: Value,
    repeat: Value,
}

/// The part of a stored request that a search needs.
#[derive(Deserialize)]
struct RequestLine {
    method: String,
    url: String,
}

impl Reader {
    /// The request of an execution as it is stored. `None`: there is no such execution.
    pub fn stored_input(&self, id: Uuid) -> Result<Option<Json>, Error> {
        self.one(queries::EXECUTION_INPUT, [id.as_bytes()], |row| rows::json(row, 0))
    }

    /// The newest call that is like `call`, of the newest 200 of its session. One of the same tool
    /// comes before others.
    pub fn newest_like(&self, call: &Call) -> Result<Option<LikeCall>, Error> {
        let blob = |digest: &Digest| Value::Blob(digest.short().to_vec());
        let search = Search {
            session: call.scope.session,
            before: i64::MAX,
            tool: &call.tool_name,
            input: &call.input,
            principal: blob(&call.digests.principal),
            repeat: call.digests.repeat.as_ref().map_or(Value::Null, blob),
        };
        self.with(|conn| Ok(search.newest(conn)?))
    }

    /// The proxied calls among the newest 500 executions.
    pub fn recent_calls(&self) -> Result<Vec<RecentCall>, Error> {
        self.many(queries::RECENT_CALLS, [], |row| {
            Ok(RecentCall {
                rule: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                input: rows::json(row, 1)?,
                status: row.get(2)?,
                answer: row.get(3)?,
            })
        })
    }

    /// A proxied call with the newest like it that was recorded before. `None`: there is none.
    pub fn compared(&self, id: Uuid) -> Result<Option<ComparedCall>, Error> {
        self.snapshot(|conn| {
            let row = conn
                .prepare_cached(queries::EXECUTION_TO_COMPARE)?
                .query_row([id.as_bytes()], |row| {
                    let (input, key) = (rows::json(row, 3)?, row.get(4)?);
                    let (tool, at): (String, i64) = (row.get(2)?, row.get(0)?);
                    let session: i64 = row.get(1)?;
                    Ok((at, session, tool, input, key, row.get(5)?, row.get(6)?))
                })
                .optional()?;
            let (before, session, tool, input, key, principal, repeat) =
                row.ok_or_else(|| Error::NotFound { what: "execution", id: id.to_string() })?;
            let search = Search { session, before, tool: &tool, input: &input, principal, repeat };
            let like = search.newest(conn)?;
            Ok(like.map(|like| ComparedCall { input, key, like }))
        })
    }
}

/// A proxied call, for people who want to know what a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentCall {
    /// The rule that decided.
    pub rule: String,
    /// Its request as it is stored.
    pub input: Json,
    /// The status of its answer, if one came.
    pub status: Option<u16>,
    /// The body of that answer, if it has at most 64 KiB.
    pub answer: Option<Vec<u8>>,
}

impl Search<'_> {
    fn newest(&self, conn: &Connection) -> rusqlite::Result<Option<LikeCall>> {
        let Ok(line) = self.input.decode::<RequestLine>() else { return Ok(None) };
        let path = line.url.split('?').next().unwrap_or_default();
        let found = params![
            self.session,
            self.before,
            line.method,
            path,
            self.tool,
            self.principal,
            self.repeat
        ];
        conn.prepare_cached(queries::EXECUTION_LIKE)?
            .query_row(found, |row| {
                Ok(LikeCall {
                    execution_id: rows::uuid(row, 0)?,
                    input: rows::json(row, 1)?,
                    key: row.get(2)?,
                    same_principal: row.get(3)?,
                    same_repeat: row.get(4)?,
                })
            })
            .optional()
    }
}
