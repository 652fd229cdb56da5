//! Scopes of proxied calls, remembered between them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use store_core::call::{Scope, ScopeRequest};

use crate::mutex::lock;

/// How many scopes are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Scopes by what a request says. Emptied whenever a session or goal changes.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    known: Mutex<HashMap<ScopeRequest, Scope>>,
    generation: AtomicU64,
}

impl Scopes {
    pub(crate) fn get(&self, request: &ScopeRequest) -> Option<Scope> {
        lock(&self.known).get(request).cloned()
    }

    /// Taken before a scope is read, shown when it is remembered.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Remembers a scope, unless something has changed since it was read.
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
