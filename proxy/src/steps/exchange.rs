//! What every step of a guarded call carries.

use std::sync::Arc;

use store::Delivery;
use store::call::CallDigests;
use uuid::Uuid;

use super::label::CallLabel;
use crate::context::ProxyContext;
use crate::front::delivery::{Caller, PendingDelivery};
use crate::upstream::private::Owner;

/// A guarded call. `S` says how far it has come. Each step consumes the exchange of the step
/// before, so that no step can be left out, repeated or taken early.
#[derive(Debug)]
pub(crate) struct Exchange<S> {
    pub(crate) context: Arc<ProxyContext>,
    /// What names the call in answers and in the log.
    pub(crate) label: CallLabel,
    pub(crate) client: Arc<Caller>,
    /// Whose a connection becomes that the call signs in.
    pub(crate) owner: Owner,
    /// The number of the call among identical ones, if its rule counts them.
    pub(crate) repeat: Option<Delivery>,
    /// Whether the answer arrives, once one is owed.
    pub(crate) delivery: Option<PendingDelivery>,
    pub(crate) state: S,
}

impl<S> Exchange<S> {
    /// A call of which nothing is known but its request.
    pub(crate) fn new(
        context: &Arc<ProxyContext>,
        client: &Arc<Caller>,
        owner: Owner,
        state: S,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            label: CallLabel::default(),
            client: Arc::clone(client),
            owner,
            repeat: None,
            delivery: None,
            state,
        }
    }

    /// The same call in another state, for the answer that is given while `self` goes on elsewhere.
    pub(crate) fn fork<T>(&mut self, state: T) -> Exchange<T> {
        Exchange {
            context: Arc::clone(&self.context),
            label: self.label.clone(),
            client: Arc::clone(&self.client),
            owner: self.owner.clone(),
            repeat: None,
            delivery: self.delivery.take(),
            state,
        }
    }

    /// Takes the state out.
    pub(crate) fn split(self) -> (Exchange<()>, S) {
        let Self { context, label, client, owner, repeat, delivery, state } = self;
        (Exchange { context, label, client, owner, repeat, delivery, state: () }, state)
    }
}

impl Exchange<()> {
    /// Puts a state in.
    pub(crate) fn with<S>(self, state: S) -> Exchange<S> {
        let Self { context, label, client, owner, repeat, delivery, state: () } = self;
        Exchange { context, label, client, owner, repeat, delivery, state }
    }

    /// The client is about to be given the answer of a call that has ended. Of most duplicates it
    /// does not matter whether they get it: an earlier client has.
    pub(crate) fn give_again(&mut self, execution_id: Uuid, digests: &CallDigests) {
        if self.context.store.is_unconfirmed(execution_id) || self.repeat.is_some() {
            self.owe(execution_id, digests);
            self.context.store.given(execution_id);
        }
    }

    /// An answer is owed from now on that reports the outcome of the call.
    pub(crate) fn owe(&mut self, execution_id: Uuid, digests: &CallDigests) {
        let Self { context, client, repeat, .. } = self;
        let deliveries = &context.calls.deliveries;
        let owed = deliveries.begin(&context.store, client, execution_id, digests, repeat.take());
        self.delivery = Some(owed);
    }
}
