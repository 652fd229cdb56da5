//! Targets, header fields and bodies of requests and answers.

pub mod address;
pub mod charset;
pub mod coding;
pub mod first_bytes;
pub mod forms;
pub mod head;
pub mod hop_by_hop;
pub mod host_pattern;
pub mod meaning;
pub mod next_hop;
pub mod own_fields;
pub mod payment;
pub mod request_form;
pub mod route;
pub mod target;
