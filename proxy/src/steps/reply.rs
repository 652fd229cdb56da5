//! An answer to a client.

use std::time::Duration;

use hyper::Response;

use crate::body::reply::ReplyBody;
use crate::config::Outcome;
use crate::front::delivery::PendingDelivery;

/// An answer, and what is to be known about it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<ReplyBody>,
    pub(crate) outcome: Outcome,
    /// How long the upstream took to the head of its answer.
    pub(crate) upstream: Option<Duration>,
    /// Whether it arrives, if that matters.
    pub(crate) delivery: Option<PendingDelivery>,
}

impl Reply {
    pub(crate) fn new(
        response: Response<ReplyBody>,
        outcome: Outcome,
        upstream: Option<Duration>,
    ) -> Self {
        Self { response, outcome, upstream, delivery: None }
    }

    /// Adds whether the answer arrives, if it says that the call took effect. Whether it did, the
    /// store knows.
    pub(crate) fn delivers(self, delivery: Option<PendingDelivery>) -> Self {
        if matches!(self.outcome, Outcome::Decided(decision) if decision.reports_effect()) {
            return Self { delivery, ..self };
        }
        delivery.into_iter().for_each(PendingDelivery::forget);
        self
    }
}
