//! How requests that leave the six steps early are answered.

use proxy_core::error::Error;

use super::exchange::Exchange;
use super::reply::Reply;
use super::respond::problem;
use super::states::Stop;
use super::{claim, forward};
use crate::front::link::ClientLink;

/// Answers a request that left the steps. The duplicate of a running call waits for that call.
pub(crate) async fn answer(stopped: Exchange<Stop>, link: &ClientLink) -> Result<Reply, Error> {
    let (exchange, stop) = stopped.split();
    match stop {
        Stop::Passed(request) => {
            forward::pass(&exchange.context, link, &exchange.owner, *request).await
        }
        Stop::Duplicate(duplicate) => Ok(claim::answer_duplicate(exchange.with(duplicate)).await),
        Stop::Failed(error) => {
            let reply = problem::problem(&exchange.context, &error, Some(&exchange.label));
            Ok(reply.delivers(exchange.delivery))
        }
    }
}
