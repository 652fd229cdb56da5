//! The steps of a proxied call.

use proptest::prelude::*;
use store::Store;
use store::call::Claim;
use store::model::EffectClass;
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use store::state::{Event, Knowledge, State, next};

use super::Place;
use super::subject::{Checked, Subject, from_end};
use crate::support::{answer, finish};

impl Subject {
    pub(super) async fn proxy_claim(
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
            self.advance(Event::Doubt, "doubt");
        }
        if let Some((of, _)) = token {
            // A token of an older attempt is spent and ignored.
            self.advance(Event::Release { attempt: of }, "release");
        }
        let expected = match self.state {
            // The tool ran and returned an error: the next claim is a new call.
            None | Some(State::Failed { known: Executed, .. }) => {
                self.id = None;
                self.retry_tokens.clear();
                Some(State::Running { attempt: 1, prior: NotExecuted })
            }
            // The tool can only recognize a repeat by its key.
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

    pub(super) async fn proxy_finish(
        &mut self,
        store: &Store,
        outcome: Knowledge,
        tool_error: bool,
    ) -> Checked {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let attempt = lease.attempt();
        let mut finish = finish(outcome);
        finish.tool_error = tool_error;
        finish.answer = (outcome != NotExecuted).then(|| answer("an answer"));
        finish.error = tool_error.then(|| "no".to_owned());
        let settled = store.finish(lease, finish).await.unwrap();
        // Otherwise a claim after the restart would be the retry of an answer that did not arrive.
        store.arrived(settled.execution_id);
        let went = self.advance(Event::Finish { attempt, outcome, tool_error }, "finish");
        prop_assert!(went);
        prop_assert_eq!(settled.doubt.is_some(), matches!(self.state, Some(State::InDoubt { .. })));
        if let Some(doubt) = &settled.doubt {
            self.retry_tokens.push((doubt.attempt, doubt.retry_token.clone().unwrap()));
        }
        Ok(())
    }

    pub(super) async fn abandon(&mut self, store: &Store) -> Checked {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let attempt = lease.attempt();
        drop(lease);
        // The writer runs jobs in order: this one runs after the drop.
        prop_assert!(store.redeem("no token").await.is_err());
        let lost = Event::Finish { attempt, outcome: Unknown, tool_error: false };
        let went = self.advance(lost, "abandon");
        prop_assert!(went);
        Ok(())
    }
}
