//! Connections whose two ends have agreed to speak something else than HTTP.

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::sync::CancellationToken;

use crate::front::link::Slot;

/// Copies bytes between two connections that have agreed to speak something else. `_slot` is the
/// client's.
pub(crate) async fn join(
    client: OnUpgrade,
    upstream: OnUpgrade,
    closing: CancellationToken,
    _slot: Slot,
) {
    let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return };
    let (mut client, mut upstream) = (wrapped(client), wrapped(upstream));
    let copy = copy_bidirectional(&mut client, &mut upstream);
    let _ = closing.run_until_cancelled(copy).await;
}

fn wrapped(io: Upgraded) -> TokioIo<Upgraded> {
    TokioIo::new(io)
}
