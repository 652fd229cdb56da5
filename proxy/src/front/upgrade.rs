//! Connections whose two ends have agreed to speak something else than HTTP.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::copy::copy_both_ways;
use super::link::ConnectionSlot;

/// Copies bytes both ways until the ends close, or `closing` is cancelled. `idle`: how long one end
/// may be silent after the other has closed. `_slot` is the client's.
pub(crate) async fn join(
    client: OnUpgrade,
    upstream: OnUpgrade,
    closing: CancellationToken,
    idle: Duration,
    _slot: Arc<ConnectionSlot>,
) {
    let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return };
    let copy = copy_both_ways(TokioIo::new(client), TokioIo::new(upstream), idle);
    let _ = closing.run_until_cancelled(copy).await;
}
