//! What every step of a guarded call carries.

use std::sync::Arc;

use store::Delivery;

use super::label::CallLabel;
use crate::context::ProxyContext;

/// A guarded call. `S` says how far it has come. Each step consumes the exchange of the step
/// before, so that no step can be left out, repeated or taken early.
#[derive(Debug)]
pub(crate) struct Exchange<S> {
    pub(crate) context: Arc<ProxyContext>,
    /// What names the call in answers and in the log.
    pub(crate) label: CallLabel,
    /// What is recorded once the answer has arrived.
    pub(crate) delivery: Option<Delivery>,
    pub(crate) state: S,
}

impl<S> Exchange<S> {
    /// A call of which nothing is known but its request.
    pub(crate) fn new(context: &Arc<ProxyContext>, state: S) -> Self {
        let (label, delivery) = (CallLabel::default(), None);
        Self { context: Arc::clone(context), label, delivery, state }
    }

    /// The same call in another state, for the answer that is given while `self` goes on elsewhere.
    pub(crate) fn fork<T>(&mut self, state: T) -> Exchange<T> {
        let (context, label) = (Arc::clone(&self.context), self.label.clone());
        Exchange { context, label, delivery: self.delivery.take(), state }
    }

    /// Takes the state out.
    pub(crate) fn split(self) -> (Exchange<()>, S) {
        let Self { context, label, delivery, state } = self;
        (Exchange { context, label, delivery, state: () }, state)
    }
}

impl Exchange<()> {
    /// Puts a state in.
    pub(crate) fn with<S>(self, state: S) -> Exchange<S> {
        let Self { context, label, delivery, state: () } = self;
        Exchange { context, label, delivery, state }
    }
}
