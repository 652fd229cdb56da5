//! Bodies: as they come, kept whole, and on their way out.

pub(crate) mod budget;
pub(crate) mod buffer;
pub(crate) mod outgoing;
pub(crate) mod spool;
pub(crate) mod stall_timer;
pub(crate) mod stream;
pub(crate) mod timed;
