//! Reads, on their own connections: they never wait for the writer.

pub(crate) mod detail;
pub(crate) mod like;
pub(crate) mod lists;
pub(crate) mod named;
pub(crate) mod output;
pub(crate) mod overview;
pub(crate) mod reader;
pub(crate) mod search;
pub(crate) mod stats;
