//! The steps of a caller of the API.

use proptest::prelude::*;
use store::call::{ApiClaim, ApiFinish, ExecuteOptions};
use store::model::Json;
use store::state::Knowledge::NotExecuted;
use store::state::{Event, Knowledge, State, next};
use store::{Error, LEASE_MAX, Store};

use super::Place;
use super::subject::{Checked, Subject, from_end};

impl Subject {
    pub(super) async fn api_claim(&mut self, store: &Store, place: &Place, lease: bool) -> Checked {
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

    pub(super) async fn api_finish(
        &mut self,
        store: &Store,
        back: usize,
        outcome: Knowledge,
        tool_error: bool,
    ) -> Checked {
        let Some((attempt, lease)) = from_end(&self.leases, back).cloned() else { return Ok(()) };
        let error = tool_error.then(|| "no".to_owned());
        let output = (outcome != NotExecuted).then(|| Json::of(&attempt));
        let finish = ApiFinish { lease, outcome, output, error };
        let result = store.finish_by_token(finish).await;
        let current = self.state.map(State::attempt) == Some(attempt);
        let fine = match self.reported {
            Some(reported) => current && reported == outcome,
            None => {
                current && self.advance(Event::Finish { attempt, outcome, tool_error }, "finish")
            }
        };
        if fine {
            self.reported = Some(outcome);
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::Stale(_))), "{result:?}");
        }
        Ok(())
    }

    pub(super) async fn extend(&mut self, store: &Store, back: usize) -> Checked {
        let Some((attempt, lease)) = from_end(&self.leases, back).cloned() else { return Ok(()) };
        let result = store.extend_lease(&lease, LEASE_MAX).await;
        if self.reported.is_none() && self.advance(Event::Extend { attempt }, "extend") {
            prop_assert!(result.is_ok(), "{result:?}");
        } else {
            prop_assert!(matches!(result, Err(Error::LeaseLost(_))), "{result:?}");
        }
        Ok(())
    }
}
