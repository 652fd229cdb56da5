//! The transparent door.

mod error;
