//! Rules with `repeat = "delivered"` (docs/SEMANTICS.md, "Which execution a request means"): which of
//! several identical calls a request means.

use store_core::Error;
use store_core::key::{Encoder, HolderKey};

use crate::engine::job::Lane;
use crate::engine::write::Write;
use crate::sqlite::repeats::{self, Delivered};
use crate::store::Store;

/// Who asks for which of identical calls.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The place of the first call's key.
    pub first: HolderKey,
    /// The run of the agent; all that name none are one.
    pub run: Option<String>,
}

/// An answer on its way to the run that asked.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Who asked.
    pub repeat: Repeat,
    /// What [`Store::ordinal`] told.
    pub ordinal: u32,
    /// The place of that call's key.
    pub holder: HolderKey,
}

impl Repeat {
    fn run_digest(&self) -> [u8; 16] {
        Encoder::new("repeat-run/v1").optional(self.run.as_ref()).finish().short()
    }
}

impl Store {
    /// Which of the identical calls a request means, from 1: the one that its run asked for last,
    /// until the answer to that was delivered; then the next one. A run that has not asked before
    /// begins with the first, and makes new ones once it has passed those that were there.
    ///
    /// The answer is on disk; a crash between this and the claim leaves a number that nobody holds,
    /// which the same request gets again.
    pub async fn ordinal(&self, repeat: &Repeat) -> Result<u32, Error> {
        let (key, run) = (repeat.first, repeat.run_digest());
        self.write(move |tx| repeats::ordinal(tx, &key, &run)).await
    }

    /// The answer was delivered whole: the last byte was written, and the client then went on with
    /// the connection, or closed it. Nobody waits for this; where it is lost, or the call is not
    /// known to have run, the next identical call is a retry.
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
        if let Err(error) = self.0.writer.post(Lane::Ordinary, work) {
            tracing::debug!(%error, "a delivery was not recorded");
        }
    }
}
