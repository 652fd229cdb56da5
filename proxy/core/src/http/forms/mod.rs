//! Canonical forms of request bodies: which bytes mean the same to every reader.

mod aws_chunked;
pub mod digest;
mod gzip;
pub mod kind;
mod multipart;
pub(crate) mod selection;
pub mod urlencoded;
