//! What is decided about a request, from its head and body: pure, without I/O.
//!
//! The crate `proxy` reads requests from sockets, asks this crate, and does what it says.

pub mod duration;
pub mod error;
pub mod http;
pub mod identity;
pub mod masking;
pub mod mcp;
pub mod policy;
pub mod received;
pub mod settings;
