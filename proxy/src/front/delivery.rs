//! Whether answers arrive (docs/SEMANTICS.md, "What a duplicate gets").
//!
//! An answer arrived if its client sends another request on the same connection afterwards, or closes
//! the connection properly, or leaves it open and idle for a while. It did not arrive if the client
//! hung up before it was written, or the connection broke. A call whose answer did not arrive is
//! remembered by its content in the store, also while it still runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::call::CallDigests;
use store::{Delivery, Repeat, Store};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::link::ClientLink;
use super::peer::Peer;

/// How long an identical call waits for the fate of the answer before it, where only proof counts
/// (`repeat = "delivered"`). A client that closes a connection and opens another one may be served
/// on the new one first. A client that has timed out keeps the old one open, or resets it.
const GRACE: Duration = Duration::from_millis(100);

/// How long a call waits for the fate of an answer whose connection the client has closed: the time
/// in which a busy machine reads what the system knows already.
const CLOSED_GRACE: Duration = Duration::from_secs(2);

/// An answer on an open and idle connection has arrived after this time. A client that gives up
/// closes its connection.
const ARRIVED_AFTER: Duration = Duration::from_secs(1);

/// What answers are looked up by: a digest of the content of their calls, or of the recipient.
type Tag = [u8; 16];

/// The answers that are owed or on their way.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<HashMap<Tag, Vec<Arc<OwedAnswer>>>>);

/// The client of a call, as long as the call is answered.
#[derive(Debug)]
pub(crate) struct Caller {
    peer: Peer,
    /// Its connection carries many requests at once: it can give one up and keep the connection.
    multiplexed: bool,
    /// It does not wait for this answer any more.
    left: CancellationToken,
}

/// A client that waits for an answer. If it is dropped before its end, the client has left.
pub(crate) struct Waiting(Option<Arc<Caller>>);

/// An answer that is owed to a client, or on its way.
#[derive(Debug)]
struct OwedAnswer {
    execution_id: Uuid,
    /// The number of the call among identical ones, if its rule counts them.
    repeat: Option<Delivery>,
    tags: Vec<Tag>,
    client: Arc<Caller>,
    /// When it was handed to the connection.
    given: Mutex<Option<Instant>>,
    /// The store knows its fate.
    noted: AtomicBool,
    known: CancellationToken,
}

/// An answer that is owed to a client, or on its way. If it is dropped, it did not arrive.
pub(crate) struct PendingDelivery {
    answer: Arc<OwedAnswer>,
    all: Arc<Deliveries>,
    store: Store,
}

impl fmt::Debug for PendingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}

/// How it is known that an answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The client acted on it: it sent another request, or closed its local connection.
    Certain,
    /// Nothing speaks against it.
    Likely,
}

impl Caller {
    /// Whether the client still wants its answer. Its connection may live on where it does not
    /// (HTTP/2).
    fn is_there(&self) -> bool {
        !self.left.is_cancelled() && self.peer.is_open()
    }

    /// Whether the client still waits for a call. On a connection with many requests at once the
    /// end of one is known a moment after the next one began.
    async fn still_waits(&self) -> bool {
        if self.multiplexed && self.is_there() {
            let _ = timeout(GRACE, self.left.cancelled()).await;
        }
        self.is_there()
    }
}

impl Waiting {
    pub(crate) fn new(link: &ClientLink) -> (Self, Arc<Caller>) {
        let client = Arc::new(Caller {
            peer: link.slot.peer.clone(),
            multiplexed: link.turn.is_multiplexed(),
            left: CancellationToken::new(),
        });
        (Self(Some(Arc::clone(&client))), client)
    }

    /// The client has what it waited for.
    pub(crate) fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.left.cancel();
        }
    }
}

/// The contents by which the store may find a call, each once.
fn contents(digests: &CallDigests) -> Vec<Tag> {
    let mut tags = vec![digests.content.short()];
    for other in [&digests.ruled, &digests.literal] {
        if !tags.contains(&other.short()) {
            tags.push(other.short());
        }
    }
    tags
}

impl Deliveries {
    /// Registers an answer that is owed to `client` from now on.
    pub(crate) fn begin(
        self: &Arc<Self>,
        store: &Store,
        client: &Arc<Caller>,
        execution_id: Uuid,
        digests: &CallDigests,
        repeat: Option<Delivery>,
    ) -> PendingDelivery {
        let mut tags = contents(digests);
        tags.extend(repeat.as_ref().map(|delivery| delivery.repeat.tag()));
        let answer = Arc::new(OwedAnswer {
            execution_id,
            repeat,
            tags,
            client: Arc::clone(client),
            given: Mutex::default(),
            noted: AtomicBool::new(false),
            known: CancellationToken::new(),
        });
        let mut pending = self.lock();
        for tag in &answer.tags {
            pending.entry(*tag).or_default().push(Arc::clone(&answer));
        }
        drop(pending);
        PendingDelivery { answer, all: Arc::clone(self), store: store.clone() }
    }

    /// Finds out what is known about the answers to calls of this content, before a call is claimed: the
    /// store then knows it as well.
    pub(crate) async fn settle(&self, store: &Store, digests: &CallDigests) {
        for answer in self.of(&contents(digests)) {
            if answer.given_at().is_some() {
                if !answer.client.is_there() {
                    let _ = timeout(CLOSED_GRACE, answer.known.cancelled()).await;
                }
            } else if !answer.client.still_waits().await && answer.note() {
                store.undelivered(answer.execution_id);
            }
        }
    }

    /// Waits a moment until the answers to this recipient have arrived or were lost. If that is not
    /// known then, the call is a retry.
    pub(crate) async fn settle_repeat(&self, repeat: &Repeat) {
        let all_known = async {
            for answer in self.of(&[repeat.tag()]) {
                answer.known.cancelled().await;
            }
        };
        let _ = timeout(GRACE, all_known).await;
    }

    /// Notes the answers that lie on idle connections for a while. To be called every second.
    pub(crate) fn sweep(&self, store: &Store) {
        let all: Vec<_> = self.lock().values().flatten().map(Arc::clone).collect();
        for answer in all {
            let is_old = answer.given_at().is_some_and(|given| given.elapsed() >= ARRIVED_AFTER);
            if is_old && answer.client.is_there() && answer.note() {
                store.arrived(answer.execution_id);
            }
        }
    }

    fn of(&self, tags: &[Tag]) -> Vec<Arc<OwedAnswer>> {
        let pending = self.lock();
        tags.iter().filter_map(|tag| pending.get(tag)).flatten().map(Arc::clone).collect()
    }

    /// Whether another client is owed the same answer, and its fate is open.
    fn is_owed_elsewhere(&self, answer: &Arc<OwedAnswer>) -> bool {
        self.of(&answer.tags[..1]).iter().any(|other| {
            !Arc::ptr_eq(other, answer)
                && other.execution_id == answer.execution_id
                && !other.noted.load(Ordering::Acquire)
        })
    }

    fn remove(&self, answer: &Arc<OwedAnswer>) {
        let mut pending = self.lock();
        for tag in &answer.tags {
            let Some(answers) = pending.get_mut(tag) else { continue };
            answers.retain(|other| !Arc::ptr_eq(other, answer));
            if answers.is_empty() {
                pending.remove(tag);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tag, Vec<Arc<OwedAnswer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwedAnswer {
    fn given_at(&self) -> Option<Instant> {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for the first one who notes the answer's fate.
    fn note(&self) -> bool {
        !self.noted.swap(true, Ordering::AcqRel)
    }
}

impl PendingDelivery {
    /// The answer is handed to the connection.
    pub(crate) fn give(&self) {
        let mut given = self.answer.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.get_or_insert_with(Instant::now);
    }

    /// The answer arrived.
    pub(crate) fn arrived(self, proof: Proof) {
        if self.answer.note() {
            self.store.arrived(self.answer.execution_id);
        }
        if proof == Proof::Certain
            && let Some(delivery) = &self.answer.repeat
        {
            self.store.delivered(delivery.clone());
        }
    }

    /// It says nothing about the call whether this answer arrives.
    pub(crate) fn forget(self) {
        self.answer.note();
    }

    /// Whether the client is there, as far as the system knows.
    pub(crate) fn is_awaited(&self) -> bool {
        self.answer.client.is_there()
    }

    /// Whether it still matters if the answer arrives.
    pub(crate) fn matters(&self) -> bool {
        self.answer.repeat.is_some() || !self.answer.noted.load(Ordering::Acquire)
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        // The same answer may be on its way to a client that has tried again: then its fate counts.
        if self.answer.note() && !self.all.is_owed_elsewhere(&self.answer) {
            self.store.undelivered(self.answer.execution_id);
        }
        // Removed only now: a call that does not find it here finds its fate in the store.
        self.answer.known.cancel();
        self.all.remove(&self.answer);
    }
}
