//! `/confirm/TOKEN` on the proxy's own port: allows one more attempt of a call in doubt.

use hyper::Method;

use crate::Shared;
use crate::error::Error;
use crate::respond::{self, Reply};

/// Answers what was asked of the proxy itself. The token is the permission; it tells nothing and
/// may be redeemed again.
pub(crate) async fn answer(
    shared: &Shared,
    method: &Method,
    path_and_query: &str,
) -> Result<Reply, Error> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let Some(token) = path.strip_prefix("/confirm/").filter(|token| !token.is_empty()) else {
        return Ok(respond::not_a_web_server(shared));
    };
    if method != Method::POST {
        return Ok(respond::not_allowed("POST"));
    }
    match shared.config.store.redeem(token).await {
        Ok(execution_id) => Ok(respond::confirmed(execution_id)),
        Err(
            error @ (store::Error::NotFound { .. }
            | store::Error::Stale(_)
            | store::Error::IllegalTransition(_)
            | store::Error::Conflict(_)
            | store::Error::Invalid { .. }),
        ) => Err(Error::Malformed(format!("this token allows nothing (any more): {error}"))),
        Err(error) => Err(error.into()),
    }
}
