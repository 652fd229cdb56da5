//! Tool errors that did not reach their caller, because it had left the stream of its answer. A
//! tool that answered with an error may be called again. A caller that never saw the error does not
//! call again: it retries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use proxy_core::mcp::caller::KeyAndInput;
use store::call::{AnswerBody, Settled};
use tokio::time::{Duration, Instant};

/// How long an error is remembered: the shortest window of a key.
const KEPT: Duration = Duration::from_mins(10);
/// How many errors are remembered: the newest.
const MOST: usize = 1_024;
/// The largest answer that is remembered, in bytes.
const LARGEST: usize = 64 * 1024;

/// How calls ended whose callers never saw it.
#[derive(Debug, Default)]
pub(crate) struct Undelivered(Mutex<VecDeque<(Instant, KeyAndInput, Arc<Settled>)>>);

impl Undelivered {
    /// Remembers how a call ended whose caller has left.
    pub(crate) fn remember(&self, which: KeyAndInput, settled: &Arc<Settled>) {
        let small = settled.answer.as_ref().is_some_and(
            |answer| matches!(&answer.body, AnswerBody::Kept(body) if body.len() <= LARGEST),
        );
        if !small {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back((Instant::now(), which, Arc::clone(settled)));
    }

    /// Takes out how such a call ended, for its first retry.
    pub(crate) fn take(&self, which: &KeyAndInput) -> Option<Arc<Settled>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.front().is_some_and(|(since, ..)| since.elapsed() > KEPT) {
            all.pop_front();
        }
        let at = all.iter().position(|(_, one, _)| one == which)?;
        all.remove(at).map(|(.., settled)| settled)
    }
}
