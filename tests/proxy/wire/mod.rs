//! Tools and clients whose HTTP is legal and unusual, or wrong in a way that has one meaning.

mod clients;
mod early;
mod heads;
mod hosts;
mod kept;
mod lines;
mod tunnels;
