//! The tool that the traces are sent to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use testkit::{Upstream, wait_until};

/// A tool that counts its effects by path, and answers none of those that are held.
pub(super) struct Tool {
    pub(super) upstream: Upstream,
    effects: Arc<Mutex<BTreeMap<String, usize>>>,
    pub(super) held: Arc<Mutex<BTreeSet<String>>>,
}

impl Tool {
    pub(super) fn start() -> Self {
        let (effects, held) =
            (Arc::<Mutex<BTreeMap<_, _>>>::default(), Arc::<Mutex<BTreeSet<String>>>::default());
        let (counted, holds) = (Arc::clone(&effects), Arc::clone(&held));
        let upstream = Upstream::start(move |request, exchange| {
            let path = request.target();
            *counted.lock().unwrap().entry(path.to_owned()).or_default() += 1;
            wait_until("it is not held", || (!holds.lock().unwrap().contains(path)).then_some(()));
            exchange.answer(200, &[], b"done");
        });
        Self { upstream, effects, held }
    }

    pub(super) fn effects(&self, path: &str) -> usize {
        self.effects.lock().unwrap().get(path).copied().unwrap_or_default()
    }
}
