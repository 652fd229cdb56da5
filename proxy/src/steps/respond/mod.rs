//! Step 6, the answer: stored, live or problem. The only folder with our status codes.

pub(crate) mod fields;
pub(crate) mod live;
pub(crate) mod own;
pub(crate) mod problem;
mod recode;
pub(crate) mod stored;
