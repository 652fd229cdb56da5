//! The decisions about calls: whether they may run, and how they ended.
//!
//! Each decision takes the rows that were read and returns the answer for the caller and a [`plan::Plan`]: what
//! is to be written, logged and updated in memory. Decisions do not depend on a database: a backend reads what
//! each step needs and applies the plan, all in one transaction.

pub(crate) mod answer;
pub(crate) mod brief;
pub(crate) mod checks;
pub(crate) mod claim;
pub(crate) mod context;
pub(crate) mod doubt;
pub(crate) mod event;
pub(crate) mod execute;
pub(crate) mod execution;
pub(crate) mod finish;
pub(crate) mod guard;
pub(crate) mod plan;
pub(crate) mod repeat;
pub(crate) mod settle;
pub(crate) mod start;
mod upstream_key;
