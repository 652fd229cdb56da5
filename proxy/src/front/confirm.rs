//! `/confirm/TOKEN` on the proxy's own port: allows one more attempt of a call in doubt.

use hyper::Method;
use proxy_core::error::Error;

use crate::context::ProxyContext;
use crate::steps::reply::Reply;
use crate::steps::respond::own;

/// Answers a request to the proxy itself. The token is the permission. The answer reveals nothing
/// of the call, and the token may be redeemed again.
pub(crate) async fn answer(
    context: &ProxyContext,
    method: &Method,
    path_and_query: &str,
) -> Result<Reply, Error> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let Some(token) = path.strip_prefix("/confirm/").filter(|token| !token.is_empty()) else {
        return Ok(own::not_a_web_server(context));
    };
    if method != Method::POST {
        return Ok(own::not_allowed("POST"));
    }
    match context.store.redeem(token).await {
        Ok(execution_id) => Ok(own::confirmed(execution_id)),
        Err(
            error @ (store::Error::NotFound { .. }
            | store::Error::Stale(_)
            | store::Error::IllegalTransition(_)
            | store::Error::Conflict(_)
            | store::Error::Invalid { .. }),
        ) => Err(Error::Malformed(format!("this token is not valid: {error}"))),
        Err(error) => Err(error.into()),
    }
}
