//! Rules with `repeat = "delivered"` (docs/SEMANTICS.md, "Which execution a request means"): which of
//! several identical calls a request means.

use store_core::Error;
use store_core::key::{Encoder, HolderKey};

use crate::engine::job::Lane;
use crate::engine::write::Write;
use crate::sqlite::repeats::{self, Delivered};
use crate::store::Store;

/// A run of an agent, and a series of identical calls.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The key of the first call.
    pub first: HolderKey,
    /// The run of the agent. All requests without a run count as one run.
    pub run: Option<String>,
}

/// An answer that was delivered to a run.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The run, and the series of calls.
    pub repeat: Repeat,
    /// The number that [`Store::ordinal`] returned.
    pub ordinal: u32,
    /// The key of that call.
    pub holder: HolderKey,
}

impl Repeat {
    /// Equal for the same series of calls and run.
    pub fn tag(&self) -> [u8; 16] {
        Encoder::new("repeat-tag/v1")
            .field(self.first.as_bytes())
            .optional(self.run.as_ref())
            .finish()
            .short()
    }

    fn run_digest(&self) -> [u8; 16] {
        Encoder::new("repeat-run/v1").optional(self.run.as_ref()).finish().short()
    }
}

impl Store {
    /// Which of the identical calls a request means, from 1: the last one that its run requested, until its
    /// answer was delivered; then the next one. A new run starts with the first call, and adds new ones
    /// after it has passed all existing ones.
    ///
    /// When it returns, the number is on disk. A crash before the claim leaves a number that nobody holds;
    /// the same request gets it again.
    pub async fn ordinal(&self, repeat: &Repeat) -> Result<u32, Error> {
        let (key, run) = (repeat.first, repeat.run_digest());
        self.write(move |tx| repeats::ordinal(tx, &key, &run)).await
    }

    /// Records that an answer was delivered completely: its last byte was written, and the client then
    /// reused or closed the connection. Does not wait. If it is lost, or the call is not known to have
    /// run, the next identical call is a retry.
    pub fn delivered(&self, delivery: Delivery) {
        let run_digest = delivery.repeat.run_digest();
        let work = move |write: &mut Write<'_>| {
            let delivered = Delivered {
                first: &delivery.repeat.first,
                ordinal: delivery.ordinal,
                holder: &delivery.holder,
                run: delivery.repeat.run.as_deref(),
                run_digest,
            };
            repeats::delivered(&mut write.tx, &delivered)
        };
        if let Err(error) = self.0.writer.post(Lane::Deferred, work) {
            tracing::debug!(%error, "a delivery was not recorded");
        }
    }
}
