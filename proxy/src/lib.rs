//! The transparent door.
#![expect(dead_code, reason = "the steps that use these parts are not here yet")]

mod error;
mod headers;
mod request;
