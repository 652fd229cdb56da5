//! SQLite: every statement, what rows mean, how connections are opened. The only place with SQL.

pub(crate) mod answers;
pub(crate) mod connection;
pub(crate) mod duplicates;
pub(crate) mod entities;
pub(crate) mod entity;
pub(crate) mod error;
pub(crate) mod ids;
pub(crate) mod meta;
pub(crate) mod migrations;
pub(crate) mod queries;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod scope;
pub(crate) mod transaction;
