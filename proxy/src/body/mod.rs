//! Bodies: as they come, buffered, and on their way out.

pub(crate) mod buffer;
pub(crate) mod channel;
pub(crate) mod incoming;
pub(crate) mod memory;
pub(crate) mod pieces;
pub(crate) mod quota;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod spool;
pub(crate) mod stall_timer;
mod window;
