//! A cache of the answers of completed calls, bounded by bytes: a duplicate needs no read.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store_core::call::{AnswerBody, Settled};
use store_core::key::HolderKey;
use store_core::model::Timestamp;

/// How many bytes of answers are cached.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// The size of an entry without its body and headers, in bytes, roughly.
const OVERHEAD: u64 = 512;

/// A completed call.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    pub(crate) fingerprint: [u8; 16],
    pub(crate) settled: Arc<Settled>,
    /// When its key is free again; `None`: never.
    pub(crate) free_at: Option<Timestamp>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<HolderKey, Replay> for Bytes {
    fn weight(&self, _: &HolderKey, replay: &Replay) -> u64 {
        let Some(answer) = &replay.settled.answer else { return OVERHEAD };
        let body = match &answer.body {
            AnswerBody::Kept(body) => body.len() as u64,
            AnswerBody::Stored(_) | AnswerBody::Dropped { .. } => 0,
        };
        let headers: usize =
            answer.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        OVERHEAD + body + headers as u64
    }
}

/// Completed calls by key. Whatever overturns a stored outcome clears it.
pub(crate) struct Replays(Cache<HolderKey, Replay, Bytes>);

impl Default for Replays {
    fn default() -> Self {
        Self(Cache::with_weighter(16_384, MAX_BYTES, Bytes))
    }
}

impl Replays {
    pub(crate) fn get(&self, key: &HolderKey, now: Timestamp) -> Option<Replay> {
        self.0.get(key).filter(|replay| replay.free_at.is_none_or(|free| now < free))
    }

    pub(crate) fn put(&self, key: HolderKey, replay: Replay) {
        self.0.insert(key, replay);
    }

    pub(crate) fn forget(&self) {
        self.0.clear();
    }
}
