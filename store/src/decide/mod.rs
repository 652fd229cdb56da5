//! What becomes of a call: may it run, and how did it end.

pub(crate) mod claim;
pub(crate) mod doubt;
pub(crate) mod event;
pub(crate) mod execute;
pub(crate) mod made;
pub(crate) mod settle;
