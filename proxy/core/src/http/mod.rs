//! Targets, header fields and bodies of requests and answers.

pub mod address;
pub mod charset;
pub mod coding;
pub(crate) mod field_words;
pub mod first_bytes;
pub mod forms;
pub mod head;
pub mod hop_by_hop;
pub mod host_pattern;
mod known_fields;
pub mod meaning;
pub mod next_hop;
pub mod own_fields;
pub mod payment;
pub mod request_form;
pub mod route;
pub(crate) mod signatures;
pub mod target;
pub mod trailers;
pub(crate) mod tries;
pub(crate) mod words;
pub mod written;
