//! A cache of the scopes of proxied calls.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use store_core::call::{Scope, ScopeRequest};

use crate::mutex::lock;

/// How many scopes are cached.
const MAX_REMEMBERED: usize = 10_000;

/// Scopes by request. Cleared whenever a session or goal changes.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    known: Mutex<HashMap<ScopeRequest, Scope>>,
    generation: AtomicU64,
}

impl Scopes {
    pub(crate) fn get(&self, request: &ScopeRequest) -> Option<Scope> {
        lock(&self.known).get(request).cloned()
    }

    /// To be read before a scope is read, and passed to [`Self::put`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Caches a scope, unless something has changed since `generation`.
    pub(crate) fn put(&self, request: ScopeRequest, scope: Scope, generation: u64) {
        let mut known = lock(&self.known);
        if self.generation() != generation {
            return;
        }
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(request, scope);
    }

    pub(crate) fn forget(&self) {
        let mut known = lock(&self.known);
        self.generation.fetch_add(1, Ordering::AcqRel);
        known.clear();
    }
}
