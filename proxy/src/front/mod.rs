//! The side of the clients: their connections, tunnels and limits.

pub(crate) mod confirm;
pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod idle_timeout;
pub(crate) mod link;
pub(crate) mod listener;
mod rewind;
pub(crate) mod tls_intercept;
pub(crate) mod tunnel;
pub(crate) mod turn;
pub(crate) mod upgrade;
