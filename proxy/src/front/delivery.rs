//! Answers of which it matters whether they arrive: rules with `repeat = "delivered"`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::key::HolderKey;
use store::{Delivery, Repeat};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For how long a call waits to hear what became of the answer before it. A client that closes a
/// connection and opens another one may be served on the new one first; one that has timed out keeps
/// the old one open, or resets it.
const GRACE: Duration = Duration::from_millis(100);

type Asker = (HolderKey, Option<String>);

/// The answers that were given and neither arrived nor were lost, by who asked.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<HashMap<Asker, CancellationToken>>);

/// One of them; when it is dropped, it is over.
pub(crate) struct Owed {
    delivery: Delivery,
    over: CancellationToken,
    all: Arc<Deliveries>,
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.delivery.fmt(f)
    }
}

fn asker(repeat: &Repeat) -> Asker {
    (repeat.first, repeat.run.clone())
}

impl Deliveries {
    /// An answer is about to be given.
    pub(crate) fn owe(self: &Arc<Self>, delivery: Delivery) -> Owed {
        let over = CancellationToken::new();
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(asker(&delivery.repeat), over.clone());
        Owed { delivery, over, all: Arc::clone(self) }
    }

    /// Waits, and not for long, until the last answer to this asker has arrived or was lost.
    pub(crate) async fn settle(&self, repeat: &Repeat) {
        let given =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asker(repeat)).cloned();
        if let Some(over) = given {
            // Where nothing is known the call is a retry.
            let _ = timeout(GRACE, over.cancelled()).await;
        }
    }
}

impl Owed {
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.over.cancel();
        let mut given = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asker = asker(&self.delivery.repeat);
        // A later answer to the same asker may have taken the place.
        if given.get(&asker).is_some_and(CancellationToken::is_cancelled) {
            given.remove(&asker);
        }
    }
}
