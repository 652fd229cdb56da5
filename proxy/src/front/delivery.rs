//! Answers of which it matters whether they arrive: rules with `repeat = "delivered"`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::key::HolderKey;
use store::{Delivery, Repeat};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a call waits for the fate of the answer before it. A client that closes a connection
/// and opens another one may be served on the new one first. A client that has timed out keeps the
/// old one open, or resets it.
const GRACE: Duration = Duration::from_millis(100);

/// Who gets the answers: the first call's key, and the run of the agent.
type Recipient = (HolderKey, Option<String>);

/// The answers that were given and of which it is not known yet whether they arrived, by recipient.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<HashMap<Recipient, CancellationToken>>);

/// An answer on its way. Its fate is known when this is dropped.
pub(crate) struct PendingDelivery {
    delivery: Delivery,
    settled: CancellationToken,
    all: Arc<Deliveries>,
}

impl fmt::Debug for PendingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.delivery.fmt(f)
    }
}

fn recipient(repeat: &Repeat) -> Recipient {
    (repeat.first, repeat.run.clone())
}

impl Deliveries {
    /// Registers an answer that is about to be given.
    pub(crate) fn begin(self: &Arc<Self>, delivery: Delivery) -> PendingDelivery {
        let settled = CancellationToken::new();
        self.lock().insert(recipient(&delivery.repeat), settled.clone());
        PendingDelivery { delivery, settled, all: Arc::clone(self) }
    }

    /// Waits a moment until the last answer to this recipient has arrived or was lost. If that is
    /// not known then, the call is a retry.
    pub(crate) async fn settle(&self, repeat: &Repeat) {
        let pending = self.lock().get(&recipient(repeat)).cloned();
        if let Some(settled) = pending {
            let _ = timeout(GRACE, settled.cancelled()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Recipient, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingDelivery {
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        self.settled.cancel();
        let mut pending = self.all.lock();
        let recipient = recipient(&self.delivery.repeat);
        // A later answer to the same recipient may have taken the place.
        if pending.get(&recipient).is_some_and(CancellationToken::is_cancelled) {
            pending.remove(&recipient);
        }
    }
}
