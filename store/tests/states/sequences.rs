//! Random sequences of steps, driven through `next` and through SQLite: after each step both have the same
//! status, attempt and outcome, and both refuse the same steps. At the end `verify` finds nothing.
//!
//! 64 executions go through a sequence each at once, so that the writer commits them in groups; then
//! the store is closed and opened again, and they continue.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use store::call::{ApiClaim, ApiFinish, Call, Claim, ExecuteOptions, Verdict};
use store::key::{Digest, HolderKey};
use store::model::{EffectClass, ExecutionStatus, ExecutionUpdate, Json, ToolCall};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use store::state::{Event, Knowledge, State, next};
use store::{Error, LEASE_MAX, Lease, Store};
use uuid::Uuid;

use crate::support::{Fixture, answer, call, finish, upstream_key};

/// How many executions go through a case at once.
const AT_ONCE: usize = 64;
/// 64 times this many sequences.
const CASES: u32 = 160;

/// How an execution is submitted, and its class.
#[derive(Debug, Clone, Copy)]
enum Via {
    Api,
    Proxy(EffectClass),
}

/// A step of a caller. `back`: uses the lease or token of this many attempts ago.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Requests to run it: by the API with or without a lease, by the proxy with or without a token, and if
    /// `strict` as a call that may not be repeated.
    Request {
        with: bool,
        back: usize,
        strict: bool,
    },
    Update(ExecutionStatus),
    Report {
        back: usize,
        outcome: Knowledge,
        tool_error: bool,
    },
    Abandon,
    Extend {
        back: usize,
    },
    Redeem {
        back: usize,
    },
    Verdict {
        newest: bool,
        executed: bool,
    },
}

#[derive(Debug, Clone)]
struct Sequence {
    via: Via,
    before: Vec<Step>,
    after: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = || prop::sample::select(vec![Executed, NotExecuted, Unknown]);
    let back = || 0..2_usize;
    prop_oneof![
        5 => (any::<bool>(), back(), any::<bool>())
            .prop_map(|(with, back, strict)| Step::Request { with, back, strict }),
        2 => prop::sample::select(ExecutionStatus::ALL.to_vec()).prop_map(Step::Update),
        4 => (back(), outcome(), any::<bool>())
            .prop_map(|(back, outcome, tool_error)| Step::Report { back, outcome, tool_error }),
        1 => Just(Step::Abandon),
        2 => back().prop_map(|back| Step::Extend { back }),
        2 => back().prop_map(|back| Step::Redeem { back }),
        2 => (prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(newest, executed)| Step::Verdict { newest, executed }),
    ]
}

fn sequence() -> impl Strategy<Value = Sequence> {
    let via = prop_oneof![
        2 => Just(Via::Api),
        1 => Just(Via::Proxy(EffectClass::Once)),
        2 => Just(Via::Proxy(EffectClass::Idempotent)),
        1 => Just(Via::Proxy(EffectClass::Keyed)),
    ];
    let steps = || prop::collection::vec(step(), 1..6);
    (via, steps(), steps()).prop_map(|(via, before, after)| Sequence { via, before, after })
}

/// An execution in the model, with the leases and tokens of its callers.
struct Subject {
    via: Via,
    /// Of the newest attempt.
    class: EffectClass,
    /// The upstream received a key with the newest attempt.
    upstream_has_key: bool,
    name: String,
    id: Option<Uuid>,
    /// `None`: not requested yet.
    state: Option<State>,
    /// What the holder of the current attempt has reported.
    reported: Option<Knowledge>,
    leases: Vec<(u32, String)>,
    retry_tokens: Vec<(u32, String)>,
    lease: Option<Lease>,
    /// How often each step was taken.
    taken: BTreeMap<&'static str, u32>,
}

type Checked = Result<(), TestCaseError>;

fn from_end<T>(list: &[T], back: usize) -> Option<&T> {
    list.len().checked_sub(back + 1).map(|index| &list[index])
}

impl Subject {
    fn new(via: Via, name: String) -> Self {
        Self {
            via,
            class: EffectClass::Once,
            upstream_has_key: false,
            name,
            id: None,
            state: None,
            reported: None,
            leases: Vec::new(),
            retry_tokens: Vec::new(),
            lease: None,
            taken: BTreeMap::new(),
        }
    }

    /// Takes a step in the model, if it is allowed.
    fn goes(&mut self, event: Event, name: &'static str) -> bool {
        let Some(state) = self.state else { return false };
        let Ok(after) = next(state, event, self.class) else { return false };
        self.state = Some(after);
        *self.taken.entry(name).or_default() += 1;
        true
    }

    fn granted(&mut self, state: State) {
        self.state = Some(state);
        self.reported = None;
        *self.taken.entry("claim").or_default() += 1;
    }

    async fn run(&mut self, store: &Store, place: &Place, steps: &[Step]) -> Checked {
        for step in steps {
            match *step {
                Step::Request { with, back, strict } => match self.via {
                    Via::Api => self.request(store, place, with).await?,
                    Via::Proxy(class) => {
                        let class = if strict { EffectClass::Once } else { class };
                        self.send(store, place, class, with.then_some(back)).await?;
                    }
                },
                Step::Update(status) => self.update(store, status).await?,
                Step::Report { back, outcome, tool_error } => match self.via {
                    Via::Api => self.report(store, back, outcome, tool_error).await?,
                    Via::Proxy(_) => self.answer(store, outcome, tool_error).await?,
                },
                Step::Abandon => self.abandon(store).await?,
                Step::Extend { back } => self.extend(store, back).await?,
                Step::Redeem { back } => self.redeem(store, back).await?,
                Step::Verdict { newest, executed } => self.settle(store, newest, executed).await?,
            }
            self.compare(store)?;
        }
        Ok(())
    }

    fn compare(&self, store: &Store) -> Checked {
        let (Some(id), Some(state)) = (self.id, self.state) else { return Ok(()) };
        let stored = store.reader().execution(id).unwrap();
        prop_assert_eq!(
            (stored.status, stored.attempt, stored.outcome),
            (state.status(), state.attempt(), state.outcome())
        );
        Ok(())
    }

    async fn request(&mut self, store: &Store, place: &Place, lease: bool) -> Checked {
        let options = ExecuteOptions {
            idempotency_key: Some(self.name.clone()),
            lease: lease.then_some(LEASE_MAX),
            ..ExecuteOptions::default()
        };
        let executed = store.execute(place.tool_call.clone(), options).await.unwrap();
        prop_assert_eq!(executed.duplicate, self.state.is_some());
        prop_assert_eq!(*self.id.get_or_insert(executed.execution.id), executed.execution.id);
        let may_run = match self.state {
            None if lease => Some(State::Running { attempt: 1, prior: NotExecuted }),
            None => {
                self.state = Some(State::Pending);
                None
            }
            Some(state) if lease => next(state, Event::Claim, self.class).ok(),
            Some(_) => None,
        };
        if let Some(state) = may_run {
            let Some(ApiClaim::Execute { lease }) = executed.claim else {
                return Err(TestCaseError::fail(format!("not granted: {:?}", executed.claim)));
            };
            self.granted(state);
            self.leases.push((state.attempt(), lease));
            return Ok(());
        }
        let expected = match self.state {
            _ if !lease => None,
            Some(State::Pending | State::Working) => Some(ApiClaim::Busy { leased: false }),
            Some(State::Running { .. }) => Some(ApiClaim::Busy { leased: true }),
            Some(State::InDoubt { .. }) => Some(ApiClaim::InDoubt),
            _ => Some(ApiClaim::Replay),
        };
        prop_assert_eq!(executed.claim, expected);
        Ok(())
    }

    async fn send(
        &mut self,
        store: &Store,
        place: &Place,
        class: EffectClass,
        token: Option<usize>,
    ) -> Checked {
        let mut call = place.call(&self.name, class);
        let token = token.and_then(|back| from_end(&self.retry_tokens, back)).cloned();
        call.retry_token = token.as_ref().map(|(_, token)| token.clone());
        if class != EffectClass::Idempotent {
            self.goes(Event::Doubt, "doubt");
        }
        if let Some((of, _)) = token {
            // A token of an older attempt is spent and ignored.
            self.goes(Event::Release { attempt: of }, "release");
        }
        let expected = match self.state {
            // The tool ran and returned an error: a repeat is a new call.
            None | Some(State::Failed { known: Executed, .. }) => {
                self.id = None;
                self.retry_tokens.clear();
                Some(State::Running { attempt: 1, prior: NotExecuted })
            }
            // The tool recognizes a repeat only if it received a key.
            Some(State::InDoubt { released: false, .. })
                if class != EffectClass::Keyed || !self.upstream_has_key =>
            {
                None
            }
            Some(state) => next(state, Event::Claim, self.class).ok(),
        };
        match (store.claim(call).await.unwrap(), expected) {
            (Claim::Execute(lease), Some(state)) => {
                prop_assert_eq!(*self.id.get_or_insert(lease.execution_id()), lease.execution_id());
                prop_assert_eq!(lease.attempt(), state.attempt());
                self.granted(state);
                self.class = class;
                self.upstream_has_key = class == EffectClass::Keyed;
                self.lease = Some(lease);
            }
            (Claim::Busy(_), None) => {
                let fits = matches!(self.state, Some(State::Running { .. }));
                prop_assert!(fits, "{:?}", self.state);
            }
            (Claim::Replay(settled), None) => {
                let fits = matches!(self.state, Some(State::Completed { .. }));
                prop_assert!(fits, "{:?}", self.state);
                prop_assert_eq!(Some(settled.execution_id), self.id);
            }
            (Claim::InDoubt(doubt), None) => {
                let fits = matches!(self.state, Some(State::InDoubt { .. }));
                prop_assert!(fits, "{:?}", self.state);
                prop_assert_eq!(Some(doubt.execution_id), self.id);
                self.retry_tokens.push((doubt.attempt, doubt.retry_token.unwrap()));
            }
            (claim, expected) => {
                return Err(TestCaseError::fail(format!(
                    "{claim:?} in {:?}, expected {expected:?}",
                    self.state
                )));
            }
        }
        Ok(())
    }

    async fn update(&mut self, store: &Store, status: ExecutionStatus) -> Checked {
        let (Some(id), Some(state)) = (self.id, self.state) else { return Ok(()) };
        let update = ExecutionUpdate {
            id,
            status: Some(status),
            output: Some(Some(Json::of(status.as_str()))),
            error: None,
            started_at: None,
            completed_at: None,
        };
        let result = store.update_tool_execution(update, None).await;
        if state.attempt() > 0 {
            prop_assert!(matches!(result, Err(Error::LeaseLost(_))), "{result:?}");
        } else if self.goes(Event::Set(status), "set") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::IllegalTransition(_))), "{result:?}");
        }
        Ok(())
    }

    async fn report(
        &mut self,
        store: &Store,
        back: usize,
        outcome: Knowledge,
        tool_error: bool,
    ) -> Checked {
        let Some((attempt, lease)) = from_end(&self.leases, back).cloned() else { return Ok(()) };
        let error = tool_error.then(|| "no".to_owned());
        let output = (outcome != NotExecuted).then(|| Json::of(&attempt));
        let report = ApiFinish { lease, outcome, output, error };
        let result = store.finish_by_token(report).await;
        let current = self.state.map(State::attempt) == Some(attempt);
        let fine = match self.reported {
            Some(reported) => current && reported == outcome,
            None => current && self.goes(Event::Finish { attempt, outcome, tool_error }, "finish"),
        };
        if fine {
            self.reported = Some(outcome);
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    async fn answer(&mut self, store: &Store, outcome: Knowledge, tool_error: bool) -> Checked {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let attempt = lease.attempt();
        let mut report = finish(outcome);
        report.tool_error = tool_error;
        report.answer = (outcome != NotExecuted).then(|| answer("an answer"));
        report.error = tool_error.then(|| "no".to_owned());
        let settled = store.finish(lease, report).await.unwrap();
        let went = self.goes(Event::Finish { attempt, outcome, tool_error }, "finish");
        prop_assert!(went);
        prop_assert_eq!(settled.doubt.is_some(), matches!(self.state, Some(State::InDoubt { .. })));
        if let Some(doubt) = &settled.doubt {
            self.retry_tokens.push((doubt.attempt, doubt.retry_token.clone().unwrap()));
        }
        Ok(())
    }

    async fn abandon(&mut self, store: &Store) -> Checked {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let attempt = lease.attempt();
        drop(lease);
        // The writer runs jobs in order: a job after the drop sees its effect.
        prop_assert!(store.redeem("no token").await.is_err());
        let lost = Event::Finish { attempt, outcome: Unknown, tool_error: false };
        let went = self.goes(lost, "abandon");
        prop_assert!(went);
        Ok(())
    }

    async fn extend(&mut self, store: &Store, back: usize) -> Checked {
        let Some((attempt, lease)) = from_end(&self.leases, back).cloned() else { return Ok(()) };
        let result = store.extend_lease(&lease, LEASE_MAX).await;
        if self.reported.is_none() && self.goes(Event::Extend { attempt }, "extend") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::LeaseLost(_))), "{result:?}");
        }
        Ok(())
    }

    async fn redeem(&mut self, store: &Store, back: usize) -> Checked {
        let Some((attempt, token)) = from_end(&self.retry_tokens, back).cloned() else {
            return Ok(());
        };
        let result = store.redeem(&token).await;
        if self.goes(Event::Release { attempt }, "release") {
            prop_assert_eq!(result.ok(), self.id);
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    async fn settle(&mut self, store: &Store, newest: bool, executed: bool) -> Checked {
        let (Some(id), Some(state)) = (self.id, self.state) else { return Ok(()) };
        let attempt = state.attempt() + u32::from(!newest);
        let verdict = Verdict {
            id,
            attempt,
            executed,
            output: executed.then(|| Json::of("it ran")),
            evidence: "looked it up".to_owned(),
            actor: "test".to_owned(),
        };
        let result = store.resolve(verdict).await;
        if self.goes(Event::Verdict { attempt, executed }, "verdict") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    /// The engine was restarted: nobody holds the proxy's leases any more.
    fn restarted(&mut self) {
        self.lease = None;
        if matches!(self.via, Via::Proxy(_)) {
            self.goes(Event::Lost, "lost");
        }
    }
}

/// The place of all executions.
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
#[expect(clippy::print_stdout, reason = "the seed of a failure is needed to see it again")]
fn random_sequences_end_alike_in_the_model_and_in_sqlite() {
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
    let taken = RefCell::new(BTreeMap::<&str, u32>::new());

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
            let mut taken = taken.borrow_mut();
            for (name, times) in subjects.iter().flat_map(|subject| &subject.taken) {
                *taken.entry(name).or_default() += times;
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
    let taken = taken.into_inner();
    for name in
        ["claim", "set", "finish", "abandon", "extend", "release", "verdict", "lost", "doubt"]
    {
        assert!(taken.get(name).is_some_and(|times| *times > 100), "{name}: {taken:?}");
    }
}
