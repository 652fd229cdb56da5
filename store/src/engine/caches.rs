//! What is remembered of the store between calls.

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::decide::brief::Place;
use crate::engine::new_call_predictor::NewCallPredictor;
use crate::engine::replays::Replays;
use crate::engine::scopes::Scopes;

/// How many places of API calls are remembered.
const MAX_PLACES: usize = 10_000;

/// Shared by the writer, which forgets what it changed, and all who call.
pub(crate) struct Caches {
    pub(crate) scopes: Scopes,
    pub(crate) replays: Replays,
    /// The row numbers of (user, session, goal). None of them ever moves.
    pub(crate) places: Cache<(Uuid, Uuid, Uuid), Place>,
    pub(crate) new_calls: NewCallPredictor,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            scopes: Scopes::default(),
            replays: Replays::default(),
            places: Cache::new(MAX_PLACES),
            new_calls: NewCallPredictor::default(),
        }
    }
}
