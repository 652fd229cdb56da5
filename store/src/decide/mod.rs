//! What becomes of a call: may it run, and how did it end.
//!
//! Each decision takes what was read and returns the answer for the caller and a [`plan::Plan`]: what is to be
//! written, logged and done in memory. It knows no database: a backend reads what the decision asks for, step by
//! step, inside one transaction, and applies the plan in it.

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
pub(crate) mod plan;
pub(crate) mod repeat;
pub(crate) mod settle;
pub(crate) mod start;
