//! The limits on slow and idle clients, for a listener beside the proxy.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::idle_timeout::{ClientTimeouts, IdleTimeout};
use super::turn::{Turn, TurnGuard};
use crate::config::Timeouts;

/// The exchanges on one HTTP/1.1 connection of a client.
#[derive(Debug, Clone)]
pub struct ClientTurns(Arc<Turn>);

/// One exchange: from a request's head to the end of its answer's body.
#[derive(Debug)]
pub struct ClientTurn {
    _guard: TurnGuard,
}

impl ClientTurns {
    /// A request's head is complete. To be held until the answer's body is dropped.
    #[must_use]
    pub fn begin(&self) -> ClientTurn {
        ClientTurn { _guard: self.0.begin() }
    }
}

/// Makes a client's HTTP/1.1 connection fail if it is idle, a request's head incomplete, or an answer
/// not taken, for longer than `timeouts` allow.
pub fn limit_client<I>(
    io: I,
    timeouts: &Timeouts,
) -> (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ClientTurns)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turn = Arc::<Turn>::default();
    let limited = IdleTimeout::new(io, Arc::clone(&turn), ClientTimeouts::of(timeouts));
    (limited, ClientTurns(turn))
}
