//! Step 6, the answer: stored, live or problem.

pub(crate) mod fields;
pub(crate) mod live;
pub(crate) mod own;
pub(crate) mod problem;
mod problem_kind;
mod recode;
pub(crate) mod stored;
mod wanted;

use super::exchange::Exchange;
use super::reply::Reply;
use super::states::Recorded;

/// Answers the caller whose call was carried out.
pub(crate) fn respond(recorded: Exchange<Recorded>) -> Reply {
    let (exchange, recorded) = recorded.split();
    let reply = match recorded {
        Recorded::Answered(answered) => live::answered(&exchange, answered),
        Recorded::Streaming { head, body, took } => live::streaming(&exchange, head, body, took),
        Recorded::Unanswered { error, settled } => {
            problem::unanswered(&exchange.context, &error, &settled, &exchange.label)
        }
        Recorded::Failed(error) => {
            problem::problem(&exchange.context, &error, Some(&exchange.label))
        }
    };
    reply.delivers(exchange.delivery)
}
