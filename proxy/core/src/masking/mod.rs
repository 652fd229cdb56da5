//! What is kept of a request, with its secrets masked.

mod form;
pub mod input;
mod json;
pub(crate) mod mask;
pub mod url;
mod words;
