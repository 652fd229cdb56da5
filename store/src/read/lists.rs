//! Lists, read in pages so that no read transaction lasts long.

use rusqlite::params;
use store_core::Error;
use store_core::model::{
    Channel, Event, Execution, ExecutionFilter, ExecutionStatus, Goal, Memory, Origin, Page,
    Session, Timestamp,
};
use uuid::Uuid;

use crate::read::output;
use crate::read::reader::Reader;
use crate::sqlite::{ids, queries, rows};

/// How many rows one read transaction reads.
const PAGE: usize = 200;

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    /// All sessions of one user or of all users, newest first.
    pub fn sessions(&self, user_id: Option<Uuid>) -> Result<Vec<Session>, Error> {
        let user = user_id.map(|id| self.with(|conn| ids::user(conn, id))).transpose()?;
        let mut all = Vec::new();
        let mut before = i64::MAX;
        loop {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, rows::session(row, 1)?));
            let page = match user {
                None => self.many(queries::SESSIONS_ALL, params![before, limit(PAGE)], row)?,
                Some(user) => {
                    self.many(queries::SESSIONS_OF_USER, params![before, limit(PAGE), user], row)?
                }
            };
            let Some((last, _)) = page.last() else { return Ok(all) };
            before = *last;
            all.extend(page.into_iter().map(|(_, session)| session));
        }
    }

    /// All goals of a session, oldest first.
    pub fn goals(&self, session_id: Uuid) -> Result<Vec<Goal>, Error> {
        self.with(|conn| ids::session(conn, session_id).map(drop))?;
        self.many(queries::GOALS_OF_SESSION, [session_id.as_bytes()], rows::goal)
    }

    /// A session's goals that are pending or in progress, critical ones first, then oldest first.
    pub fn pending_goals(&self, session_id: Uuid) -> Result<Vec<Goal>, Error> {
        self.with(|conn| ids::session(conn, session_id).map(drop))?;
        self.many(queries::GOALS_PENDING, [session_id.as_bytes()], rows::goal)
    }

    /// A user's memories, newest first.
    pub fn memories(&self, user_id: Uuid, at_most: usize) -> Result<Vec<Memory>, Error> {
        self.with(|conn| ids::user(conn, user_id).map(drop))?;
        self.many(
            queries::MEMORIES_OF_USER,
            params![user_id.as_bytes(), limit(at_most)],
            rows::memory,
        )
    }

    /// A user's channels, newest first.
    pub fn channels(&self, user_id: Uuid) -> Result<Vec<Channel>, Error> {
        self.with(|conn| ids::user(conn, user_id).map(drop))?;
        self.many(queries::CHANNELS_OF_USER, [user_id.as_bytes()], rows::channel)
    }

    /// All executions of a goal, oldest first. Bodies of answers are shown up to 64 KiB.
    pub fn executions_of_goal(&self, goal_id: Uuid) -> Result<Vec<Execution>, Error> {
        let (goal, _, _) = self.with(|conn| ids::goal(conn, goal_id))?;
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = self.page(queries::EXECUTIONS_OF_GOAL, params![goal, after, limit(PAGE)])?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            after = *last;
            all.extend(page.into_iter().map(|(_, execution)| execution));
        }
    }

    /// A page of a session's executions after `after`, oldest first.
    pub fn executions_of_session(
        &self,
        session_id: Uuid,
        at_most: usize,
        after: Option<Uuid>,
    ) -> Result<Vec<Execution>, Error> {
        let session = self.with(|conn| ids::session(conn, session_id))?;
        let after = match after {
            None => 0,
            Some(id) => self
                .one(queries::BRIEF_BY_UUID, [id.as_bytes()], |row| row.get::<_, i64>(0))?
                .ok_or_else(|| Error::NotFound { what: "execution", id: id.to_string() })?,
        };
        let page =
            self.page(queries::EXECUTIONS_OF_SESSION, params![session.id, after, limit(at_most)])?;
        Ok(page.into_iter().map(|(_, execution)| execution).collect())
    }

    /// A page of the executions that pass a filter, newest first.
    pub fn executions(
        &self,
        filter: &ExecutionFilter,
        at_most: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Execution>, Error> {
        let before = match cursor {
            None => i64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| Error::Invalid {
                field: "cursor",
                message: "not a cursor of this list".to_owned(),
            })?,
        };
        let in_doubt = filter.status == Some(ExecutionStatus::InDoubt);
        let sql = match (filter.goal_id, filter.session_id) {
            (Some(_), _) => queries::EXECUTIONS_FILTERED_GOAL,
            (None, Some(_)) if in_doubt => queries::EXECUTIONS_FILTERED_SESSION_IN_DOUBT,
            (None, Some(_)) => queries::EXECUTIONS_FILTERED_SESSION,
            (None, None) if in_doubt => queries::EXECUTIONS_FILTERED_IN_DOUBT,
            (None, None) => queries::EXECUTIONS_FILTERED,
        };
        let page = self.page(
            sql,
            params![
                before,
                limit(at_most),
                filter.user_id.as_ref().map(Uuid::as_bytes),
                filter.session_id.as_ref().map(Uuid::as_bytes),
                filter.goal_id.as_ref().map(Uuid::as_bytes),
                filter.status.map(ExecutionStatus::number),
                filter.tool_name,
                filter.origin.map(Origin::number),
                filter.after.map(Timestamp::as_micros),
                filter.before.map(Timestamp::as_micros),
            ],
        )?;
        let next =
            (page.len() == at_most).then(|| page.last().map(|(row, _)| row.to_string())).flatten();
        Ok(Page { items: page.into_iter().map(|(_, execution)| execution).collect(), next })
    }

    fn page(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<(i64, Execution)>, Error> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map(params, rows::execution)?;
            let mut page = Vec::new();
            for row in found {
                let row = row?;
                page.push((row.0, output::complete(conn, row, output::IN_LISTS)?));
            }
            Ok(page)
        })
    }

    /// A page of the log after `after`, oldest first: of an execution, of a session with its executions, or of
    /// everything.
    pub fn events(
        &self,
        execution_id: Option<Uuid>,
        session_id: Option<Uuid>,
        after: Option<i64>,
        at_most: usize,
    ) -> Result<Vec<Event>, Error> {
        let (after, at_most) = (after.unwrap_or(0), limit(at_most));
        match (execution_id, session_id) {
            (Some(id), _) => self.many(
                queries::EVENTS_OF_EXECUTION,
                params![after, at_most, id.as_bytes()],
                rows::event,
            ),
            (None, Some(id)) => self.many(
                queries::EVENTS_OF_SESSION,
                params![after, at_most, id.as_bytes()],
                rows::event,
            ),
            (None, None) => self.many(queries::EVENTS_ALL, params![after, at_most], rows::event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::options::Options;

    #[tokio::test]
    async fn a_page_is_read_by_an_index_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("e.db"))).unwrap();
        for (sql, index) in [
            (queries::EXECUTIONS_FILTERED, "INTEGER PRIMARY KEY (rowid<?)"),
            (queries::EXECUTIONS_FILTERED_GOAL, "executions_by_goal (goal=? AND rowid<?)"),
            (queries::EXECUTIONS_FILTERED_SESSION, "executions_by_session (session=? AND rowid<?)"),
            (
                queries::EXECUTIONS_FILTERED_SESSION_IN_DOUBT,
                "executions_unusual (session=? AND status=? AND rowid<?)",
            ),
            (queries::EXECUTIONS_FILTERED_IN_DOUBT, "executions_in_doubt (status=? AND rowid<?)"),
            (queries::SEARCH_IN_DOUBT, "executions_in_doubt (status=? AND rowid>? AND rowid<?)"),
        ] {
            let explained = format!("EXPLAIN QUERY PLAN {sql}");
            let plan = store.reader().with(|conn| {
                let mut statement = conn.prepare(&explained)?;
                let lines = statement.raw_query().mapped(|row| row.get::<_, String>(3));
                Ok(lines.collect::<Result<Vec<_>, _>>()?)
            });
            let plan = plan.unwrap().join("; ");
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{plan}");
        }
        store.close().await;
    }
}
