//! Connections whose two ends have agreed to speak something else than HTTP.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::sync::CancellationToken;

use super::link::ConnectionSlot;

/// Copies bytes both ways until one end closes, or `closing` is cancelled. `_slot` is the client's.
pub(crate) async fn join(
    client: OnUpgrade,
    upstream: OnUpgrade,
    closing: CancellationToken,
    _slot: Arc<ConnectionSlot>,
) {
    let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let copy = copy_bidirectional(&mut client, &mut upstream);
    let _ = closing.run_until_cancelled(copy).await;
}
