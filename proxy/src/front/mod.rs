//! The side of the clients: their connections, tunnels and limits.

mod confirm;
mod connection;
mod copy;
pub(crate) mod delivery;
mod dispatch;
mod head_io;
mod idle_timeout;
pub(crate) mod limited;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod peer;
mod rewind;
pub(crate) mod tls_intercept;
mod tunnel;
pub(crate) mod tunnel_places;
pub(crate) mod turn;
pub(crate) mod upgrade;
