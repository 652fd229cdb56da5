//! Answers of completed calls kept in memory, so that a duplicate needs no read. Bounded by bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::call::{AnswerBody, Settled};
use crate::key::HolderKey;
use crate::model::Timestamp;

/// How many bytes of answers are kept.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// What an entry takes beside its body and headers, in bytes, roughly.
const OVERHEAD: u64 = 512;

/// A completed call as its key's next request needs it.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    pub(super) fingerprint: [u8; 16],
    pub(super) settled: Arc<Settled>,
    /// When the key is free again; `None`: never.
    pub(super) free_at: Option<Timestamp>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<HolderKey, Replay> for Bytes {
    fn weight(&self, _: &HolderKey, replay: &Replay) -> u64 {
        let Some(answer) = &replay.settled.answer else { return OVERHEAD };
        let body = match &answer.body {
            AnswerBody::Kept(body) => body.len() as u64,
            AnswerBody::Dropped { .. } => 0,
        };
        let headers: usize =
            answer.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        OVERHEAD + body + headers as u64
    }
}

/// Completed calls by key. Only what cannot change by itself is kept: whatever overturns a stored
/// outcome empties it.
pub(super) struct Replays(Cache<HolderKey, Replay, Bytes>);

impl Default for Replays {
    fn default() -> Self {
        Self(Cache::with_weighter(16_384, MAX_BYTES, Bytes))
    }
}

impl Replays {
    pub(super) fn get(&self, key: &HolderKey, now: Timestamp) -> Option<Replay> {
        self.0.get(key).filter(|replay| replay.free_at.is_none_or(|free| now < free))
    }

    pub(super) fn put(&self, key: HolderKey, replay: Replay) {
        self.0.insert(key, replay);
    }

    pub(super) fn forget(&self) {
        self.0.clear();
    }
}
