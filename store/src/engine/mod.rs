//! The engine of a database: its lock, the writer and its threads, and what is kept in memory.

pub(crate) mod caches;
pub(crate) mod checkpoint;
pub(crate) mod cut;
pub(crate) mod duplicates;
pub(crate) mod fatal;
pub(crate) mod head_file;
pub(crate) mod holder;
pub(crate) mod housekeeping;
pub(crate) mod inherit;
pub(crate) mod job;
pub(crate) mod live;
pub(crate) mod lock;
pub(crate) mod new_call_predictor;
pub(crate) mod open;
pub(crate) mod outcomes;
pub(crate) mod remains;
pub(crate) mod replays;
pub(crate) mod reserve;
pub(crate) mod run;
pub(crate) mod scopes;
pub(crate) mod status;
pub(crate) mod timer;
pub(crate) mod unconfirmed;
pub(crate) mod watch;
pub(crate) mod write;
pub(crate) mod writer;
