//! Random sequences of what callers may do, driven through `next` and through SQLite. After each step
//! both have the same status, attempt and outcome, and both refuse the same steps. At the end `verify`
//! finds nothing.
//!
//! 64 executions go through a sequence each at once, so that the writer commits them in groups. Then
//! the store is closed and opened again, and they go on.

mod api;
mod proxy;
mod steps;
mod subject;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use store::call::Call;
use store::key::{Digest, HolderKey};
use store::model::{EffectClass, ToolCall};

use self::steps::{Sequence, sequence};
use self::subject::{Checked, Subject};
use crate::support::{Fixture, call, upstream_key};

/// Executions that go through a case at once.
const AT_ONCE: usize = 64;
/// Cases of a run: each has 64 sequences.
const CASES: u32 = 160;

/// The scope that all executions share.
struct Place {
    tool_call: ToolCall,
    scope: store::call::Scope,
}

impl Place {
    /// Calls of different names have nothing in common.
    fn call(&self, name: &str, class: EffectClass) -> Call {
        let mut call = call(self.scope.clone(), name, name);
        if let Some(key) = &mut call.key {
            key.holder = HolderKey::new(self.scope.user_id, b"states", name);
        }
        call.digests.content = Digest::of(name.as_bytes());
        call.digests.literal = call.digests.content;
        call.digests.ruled = call.digests.content;
        call.class = class;
        call.upstream_key =
            (class == EffectClass::Keyed).then(|| upstream_key("engine idempotency-key", 12));
        call
    }
}

/// The seed of this run: `STATES_SEED`, or a new one.
fn seed() -> u64 {
    match std::env::var("STATES_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => getrandom::u64().unwrap(),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed of a failure is needed to reproduce it")]
fn random_sequences_end_the_same_in_the_model_and_in_sqlite() {
    let seed = seed();
    println!("STATES_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = Fixture::new();
    let place = runtime.block_on(async {
        let tool_call = fixture.tool_call("states", "tool", "{}").await;
        Place { tool_call, scope: fixture.scope().await }
    });
    let fixture = RefCell::new(Some(fixture));
    let names = Cell::new(0_u64);
    let counts = RefCell::new(BTreeMap::<&str, u32>::new());

    let cases = prop::collection::vec(sequence(), AT_ONCE);
    let result = runner.run(&cases, |sequences| {
        let mut subjects: Vec<_> = sequences
            .iter()
            .map(|sequence| {
                names.set(names.get() + 1);
                Subject::new(sequence.via, format!("k{}", names.get()))
            })
            .collect();
        runtime.block_on(async {
            let mut current = fixture.take().unwrap();
            let both = |sequence: &Sequence, late| {
                if late { sequence.after.clone() } else { sequence.before.clone() }
            };
            let mut checked: Checked = Ok(());
            for late in [false, true] {
                let steps: Vec<_> = sequences.iter().map(|s| both(s, late)).collect();
                let runs = subjects
                    .iter_mut()
                    .zip(&steps)
                    .map(|(subject, steps)| subject.run(&current.store, &place, steps));
                let ran = join_all(runs).await;
                checked = ran.into_iter().zip(&sequences).try_for_each(|(ran, sequence)| {
                    ran.map_err(|error| TestCaseError::fail(format!("{error}\nin {sequence:?}")))
                });
                if checked.is_err() || late {
                    break;
                }
                current = current.reopen().await;
                subjects.iter_mut().for_each(Subject::restarted);
                checked = subjects.iter().try_for_each(|s| s.compare(&current.store));
                if checked.is_err() {
                    break;
                }
            }
            fixture.replace(Some(current));
            let mut counts = counts.borrow_mut();
            for (name, times) in subjects.iter().flat_map(|subject| &subject.counts) {
                *counts.entry(name).or_default() += times;
            }
            checked
        })
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("STATES_SEED={seed}: {reason}"),
        Err(aborted) => panic!("STATES_SEED={seed}: {aborted}"),
    }
    let report = fixture.take().unwrap().store.reader().verify(None).unwrap();
    let wrong: Vec<_> = report
        .findings
        .iter()
        .filter(|found| !found.message.contains("may have run twice"))
        .collect();
    assert!(report.executions > 5_000 && wrong.is_empty(), "STATES_SEED={seed}: {wrong:?}");
    let counts = counts.into_inner();
    for name in
        ["claim", "set", "finish", "abandon", "extend", "release", "verdict", "lost", "doubt"]
    {
        assert!(counts.get(name).is_some_and(|times| *times > 100), "{name}: {counts:?}");
    }
}
