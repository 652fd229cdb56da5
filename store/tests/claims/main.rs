//! Proxied calls: who may run, what duplicates get, what a restart leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "../support/mod.rs"]
mod support;

mod classes;
mod doubt;
mod duplicates;
mod failures;
mod sessions;
mod undelivered;

use std::sync::Arc;

use store::Store;
use store::call::{Call, Claim, Settled};

async fn replayed(store: &Store, call: Call) -> Arc<Settled> {
    match store.claim(call).await.unwrap() {
        Claim::Replay(settled) => settled,
        other => panic!("not replayed: {other:?}"),
    }
}
