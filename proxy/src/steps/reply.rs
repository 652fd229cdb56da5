//! An answer to a client.

use std::time::Duration;

use hyper::Response;
use store::Delivery;

use crate::body::reply::ReplyBody;
use crate::config::Outcome;

/// An answer, and what is to be known about it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<ReplyBody>,
    pub(crate) outcome: Outcome,
    /// How long the upstream took to the head of its answer.
    pub(crate) upstream: Option<Duration>,
    /// What is recorded once the answer has arrived.
    pub(crate) delivery: Option<Delivery>,
}

impl Reply {
    pub(crate) fn new(
        response: Response<ReplyBody>,
        outcome: Outcome,
        upstream: Option<Duration>,
    ) -> Self {
        Self { response, outcome, upstream, delivery: None }
    }

    /// Adds a delivery, if the answer says that the call took effect. Whether it did, the store
    /// knows.
    pub(crate) fn delivers(self, delivery: Option<Delivery>) -> Self {
        let reports =
            matches!(self.outcome, Outcome::Decided(decision) if decision.reports_effect());
        Self { delivery: delivery.filter(|_| reports), ..self }
    }
}
