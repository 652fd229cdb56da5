//! The transparent door.
#![expect(dead_code, unused_imports, reason = "the steps that use these parts are not here yet")]

mod error;
mod forms;
mod headers;
mod key;
mod policy;
mod request;
mod stored;

pub use policy::PassRule;
