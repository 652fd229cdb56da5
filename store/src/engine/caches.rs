//! What is cached between calls.

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::decide::brief::Place;
use crate::engine::new_call_predictor::NewCallPredictor;
use crate::engine::replays::Replays;
use crate::engine::scopes::Scopes;
use crate::engine::unconfirmed::Unconfirmed;

/// How many places of API calls are cached.
const MAX_PLACES: usize = 10_000;

/// Shared by the writer, which invalidates what it changed, and all callers.
pub(crate) struct Caches {
    pub(crate) scopes: Scopes,
    pub(crate) replays: Replays,
    /// The row numbers of (user, session, goal), which never change.
    pub(crate) places: Cache<(Uuid, Uuid, Uuid), Place>,
    pub(crate) new_calls: NewCallPredictor,
    pub(crate) unconfirmed: Unconfirmed,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            scopes: Scopes::default(),
            replays: Replays::default(),
            places: Cache::new(MAX_PLACES),
            new_calls: NewCallPredictor::default(),
            unconfirmed: Unconfirmed::default(),
        }
    }
}
