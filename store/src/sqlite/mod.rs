//! SQLite: statements, rows, connections and migrations. The only place with SQL.

pub(crate) mod answers;
pub(crate) mod apply;
pub(crate) mod claims;
pub(crate) mod connection;
pub(crate) mod duplicates;
pub(crate) mod entities;
pub(crate) mod entity_log;
pub(crate) mod error;
pub(crate) mod execution_rows;
pub(crate) mod executions;
pub(crate) mod facts;
pub(crate) mod ids;
pub(crate) mod meta;
pub(crate) mod migrations;
pub(crate) mod queries;
pub(crate) mod repeats;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod scope;
pub(crate) mod transaction;
