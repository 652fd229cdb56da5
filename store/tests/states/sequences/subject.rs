//! An execution in the model and in the store, and the steps that the API and the proxy share.

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::call::Verdict;
use store::model::{EffectClass, ExecutionStatus, ExecutionUpdate, Json};
use store::state::{Event, Knowledge, State, next};
use store::{Error, Lease, Store};
use uuid::Uuid;

use super::Place;
use super::steps::{Step, Via};

/// An execution in the model, with the leases and tokens that its callers hold.
pub(super) struct Subject {
    pub(super) via: Via,
    /// Of the newest attempt.
    pub(super) class: EffectClass,
    /// The newest attempt sent the upstream a key.
    pub(super) upstream_has_key: bool,
    pub(super) name: String,
    pub(super) id: Option<Uuid>,
    /// `None`: not claimed yet.
    pub(super) state: Option<State>,
    /// The outcome that the holder of the current attempt reported.
    pub(super) reported: Option<Knowledge>,
    pub(super) leases: Vec<(u32, String)>,
    pub(super) retry_tokens: Vec<(u32, String)>,
    pub(super) lease: Option<Lease>,
    /// How often the model took each step.
    pub(super) counts: BTreeMap<&'static str, u32>,
}

pub(super) type Checked = Result<(), TestCaseError>;

/// The element `back` places before the last one.
pub(super) fn from_end<T>(list: &[T], back: usize) -> Option<&T> {
    list.len().checked_sub(back + 1).map(|index| &list[index])
}

impl Subject {
    pub(super) fn new(via: Via, name: String) -> Self {
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
            counts: BTreeMap::new(),
        }
    }

    /// Takes the event's step in the model. Returns false if the model refuses it.
    pub(super) fn advance(&mut self, event: Event, name: &'static str) -> bool {
        let Some(state) = self.state else { return false };
        let Ok(after) = next(state, event, self.class) else { return false };
        self.state = Some(after);
        *self.counts.entry(name).or_default() += 1;
        true
    }

    pub(super) fn granted(&mut self, state: State) {
        self.state = Some(state);
        self.reported = None;
        *self.counts.entry("claim").or_default() += 1;
    }

    pub(super) async fn run(&mut self, store: &Store, place: &Place, steps: &[Step]) -> Checked {
        for step in steps {
            match *step {
                Step::Claim { with_token, back, strict } => match self.via {
                    Via::Api => self.api_claim(store, place, with_token).await?,
                    Via::Proxy(class) => {
                        let class = if strict { EffectClass::Once } else { class };
                        self.proxy_claim(store, place, class, with_token.then_some(back)).await?;
                    }
                },
                Step::Update(status) => self.update(store, status).await?,
                Step::Finish { back, outcome, tool_error } => match self.via {
                    Via::Api => self.api_finish(store, back, outcome, tool_error).await?,
                    Via::Proxy(_) => self.proxy_finish(store, outcome, tool_error).await?,
                },
                Step::Abandon => self.abandon(store).await?,
                Step::Extend { back } => self.extend(store, back).await?,
                Step::Redeem { back } => self.redeem(store, back).await?,
                Step::Verdict { newest, executed } => self.verdict(store, newest, executed).await?,
            }
            self.compare(store)?;
        }
        Ok(())
    }

    pub(super) fn compare(&self, store: &Store) -> Checked {
        let (Some(id), Some(state)) = (self.id, self.state) else { return Ok(()) };
        let stored = store.reader().execution(id).unwrap();
        prop_assert_eq!(
            (stored.status, stored.attempt, stored.outcome),
            (state.status(), state.attempt(), state.outcome())
        );
        Ok(())
    }

    pub(super) async fn update(&mut self, store: &Store, status: ExecutionStatus) -> Checked {
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
        } else if self.advance(Event::Set(status), "set") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::IllegalTransition(_))), "{result:?}");
        }
        Ok(())
    }

    pub(super) async fn redeem(&mut self, store: &Store, back: usize) -> Checked {
        let Some((attempt, token)) = from_end(&self.retry_tokens, back).cloned() else {
            return Ok(());
        };
        let result = store.redeem(&token).await;
        if self.advance(Event::Release { attempt }, "release") {
            prop_assert_eq!(result.ok(), self.id);
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    pub(super) async fn verdict(&mut self, store: &Store, newest: bool, executed: bool) -> Checked {
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
        if self.advance(Event::Verdict { attempt, executed }, "verdict") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    /// After a restart of the engine: nobody holds the proxy's leases any more.
    pub(super) fn restarted(&mut self) {
        self.lease = None;
        if matches!(self.via, Via::Proxy(_)) {
            self.advance(Event::Lost, "lost");
        }
    }
}
