//! What a request says about itself: scope, key, and the proxy's credentials.

use http::header::{HeaderMap, HeaderName};
use store_core::call::ScopeRequest;
use store_core::key::{BLANK_KEY, is_blank};
use uuid::Uuid;

use super::credentials::{ProxyCredentials, SessionTokens, check_token, own_credentials};
use crate::error::Error;
use crate::http::own_fields::{IDEMPOTENCY_KEY, RETRY_TOKEN, is_readable, single_value};

const SESSION: HeaderName = HeaderName::from_static("agent-session");
const GOAL: HeaderName = HeaderName::from_static("agent-goal");
const USER: HeaderName = HeaderName::from_static("agent-user");
const RUN: HeaderName = HeaderName::from_static("agent-run");
const REPEAT: HeaderName = HeaderName::from_static("agent-repeat");

/// The longest value of one of the engine's own header fields, in characters.
const MAX_VALUE: usize = store_core::MAX_NAME;
/// The longest retry token, in characters.
const MAX_RETRY_TOKEN: usize = 1_024;

/// What a request says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMetadata {
    /// Whose call it is.
    pub scope: ScopeRequest,
    /// `Idempotency-Key`, without its quotes.
    pub key: Option<String>,
    /// `Agent-Run`, or the run that the credentials name.
    pub run: Option<String>,
    /// `Agent-Repeat`.
    pub repeat: Option<String>,
    /// `Idempotency-Retry-Token`.
    pub retry_token: Option<String>,
    /// The proxy's credentials: the request's own, or the tunnel's.
    pub credentials: Option<ProxyCredentials>,
}

/// Reads the header fields that are for the engine. `tunnel` is what the CONNECT carried, if the
/// request came inside a tunnel.
///
/// Where tokens are required, a missing or wrong one is refused (407), and so is a header that
/// names a different scope from the credentials (403).
pub fn read_metadata(
    headers: &HeaderMap,
    tunnel: Option<&ProxyCredentials>,
    tokens: SessionTokens<'_>,
) -> Result<RequestMetadata, Error> {
    let own = own_credentials(headers, tokens)?;
    if let (Some(own), Some(tunnel)) = (&own, tunnel)
        && own.session != tunnel.session
    {
        return Err(Error::Malformed(
            "the request's proxy credentials name a different session from its tunnel's".to_owned(),
        ));
    }
    let credentials = own.or_else(|| tunnel.cloned());
    let named = named_scope(headers)?;
    if let SessionTokens::Required(check) = tokens {
        check_token(credentials.as_ref(), &named, check)?;
    }
    let run = text(headers, &RUN, MAX_VALUE)?;
    Ok(RequestMetadata {
        scope: agreed(named, credentials.as_ref())?,
        key: idempotency_key(headers)?,
        run: run.or_else(|| credentials.as_ref()?.run.clone()),
        repeat: text(headers, &REPEAT, MAX_VALUE)?,
        retry_token: text(headers, &RETRY_TOKEN, MAX_RETRY_TOKEN)?,
        credentials,
    })
}

fn named_scope(headers: &HeaderMap) -> Result<ScopeRequest, Error> {
    let goal = text(headers, &GOAL, MAX_VALUE)?
        .map(|goal| goal.parse::<Uuid>())
        .transpose()
        .map_err(|_| Error::Malformed("Agent-Goal must be the id of a goal (a UUID)".to_owned()))?;
    Ok(ScopeRequest {
        user: text(headers, &USER, MAX_VALUE)?,
        session: text(headers, &SESSION, MAX_VALUE)?,
        goal,
    })
}

/// The scope that the headers name, with the session of the credentials. Both must name the same
/// one.
fn agreed(
    named: ScopeRequest,
    credentials: Option<&ProxyCredentials>,
) -> Result<ScopeRequest, Error> {
    let Some(credentials) = credentials else {
        return Ok(named);
    };
    match &named.session {
        Some(session) if *session != credentials.session => Err(Error::Malformed(
            "Agent-Session names a different session from the proxy credentials".to_owned(),
        )),
        _ => Ok(ScopeRequest { session: Some(credentials.session.clone()), ..named }),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let value = single_value(headers, &IDEMPOTENCY_KEY)?;
    value.map(|value| key_text("Idempotency-Key", value.as_bytes())).transpose()
}

/// A key: printable ASCII, 1 to 255 characters that are not only spaces, without one pair of quotes
/// around it. A refusal names `place`.
pub(crate) fn key_text(place: &str, value: &[u8]) -> Result<String, Error> {
    let bare = match value {
        [b'"', bare @ .., b'"'] | bare => bare,
    };
    match std::str::from_utf8(bare) {
        Ok(key) if is_blank(key) => Err(Error::Malformed(format!("{place} {BLANK_KEY}"))),
        Ok(key)
            if (1..=MAX_VALUE).contains(&key.len())
                && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) =>
        {
            Ok(key.to_owned())
        }
        _ => {
            Err(Error::Malformed(format!("{place} must be 1 to 255 characters of printable ASCII")))
        }
    }
}

/// The text of a header that may stand only once: 1 to `max` characters without control characters.
fn text(headers: &HeaderMap, name: &HeaderName, max: usize) -> Result<Option<String>, Error> {
    let Some(value) = single_value(headers, name)? else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if is_readable(text) && text.chars().count() <= max => Ok(Some(text.to_owned())),
        _ => Err(Error::Malformed(format!("{name} must be 1 to {max} printable characters"))),
    }
}

#[cfg(test)]
mod tests;
