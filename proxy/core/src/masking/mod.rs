//! What is kept of a request, with its secrets masked.

mod form;
pub mod input;
mod json;
pub mod url;
pub(crate) mod words;
