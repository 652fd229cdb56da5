//! What a request says about itself: scope, key, and the proxy's credentials.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use store_core::call::ScopeRequest;
use uuid::Uuid;

use crate::error::Error;
use crate::http::own_fields::{IDEMPOTENCY_KEY, RETRY_TOKEN};

const SESSION: HeaderName = HeaderName::from_static("agent-session");
const GOAL: HeaderName = HeaderName::from_static("agent-goal");
const USER: HeaderName = HeaderName::from_static("agent-user");
const RUN: HeaderName = HeaderName::from_static("agent-run");
const REPEAT: HeaderName = HeaderName::from_static("agent-repeat");

/// The longest value of a header of ours, in characters.
const MAX_VALUE: usize = store_core::MAX_NAME;
/// The longest user part of credentials, in characters: a session's name, `~` and a run.
const MAX_USER: usize = MAX_VALUE + 33;
/// The longest retry token, in characters.
const MAX_RETRY_TOKEN: usize = 1_024;

/// What a request says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whose call it is.
    pub scope: ScopeRequest,
    /// `Idempotency-Key`, without its quotes.
    pub key: Option<String>,
    /// `Agent-Run`, else the run that the credentials name.
    pub run: Option<String>,
    /// `Agent-Repeat`.
    pub repeat: Option<String>,
    /// `Idempotency-Retry-Token`.
    pub retry_token: Option<String>,
    /// The proxy's credentials: the request's own, else the tunnel's.
    pub credentials: Option<ProxyCredentials>,
}

/// `http://SESSION:TOKEN@proxy` or `http://SESSION~RUN:TOKEN@proxy`, as Basic credentials (RFC 7617)
/// carry it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    /// As written, with the run: what the token is made of.
    user: String,
    /// Not empty.
    pub session: String,
    run: Option<String>,
    token: String,
}

impl ProxyCredentials {
    /// What follows the last `~` is the run where it is a UUID without hyphens, in lower case; any
    /// other `~` belongs to the session's name.
    pub fn new(user: &str, token: &str) -> Self {
        let is_run = |run: &str| {
            run.len() == 32 && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let (session, run) = match user.rsplit_once('~') {
            Some((session, run)) if is_run(run) && readable(session) => {
                (session, Some(run.to_owned()))
            }
            _ => (user, None),
        };
        Self { user: user.to_owned(), session: session.to_owned(), run, token: token.to_owned() }
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.user)
    }
}

/// Reads the headers that are for the engine. `tunnel` is what the CONNECT carried, if the request
/// came inside a tunnel.
///
/// With `require_token`, credentials must be there and `check(user, token)` must hold (else 407), and no header may name another scope than they do (403). Without, the token is ignored.
pub fn asked(
    headers: &HeaderMap,
    tunnel: Option<&ProxyCredentials>,
    require_token: bool,
    check: &dyn Fn(&str, &str) -> bool,
) -> Result<Asked, Error> {
    let own = proxy_credentials(headers, require_token)?;
    if let (Some(own), Some(tunnel)) = (&own, tunnel)
        && own.session != tunnel.session
    {
        return Err(Error::Malformed(
            "the request's proxy credentials name another session than its tunnel's".to_owned(),
        ));
    }
    let credentials = own.or_else(|| tunnel.cloned());
    let named = named_scope(headers)?;
    if require_token {
        check_token(credentials.as_ref(), &named, check)?;
    }
    let run = text(headers, &RUN, MAX_VALUE)?;
    Ok(Asked {
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
        .map_err(|_| Error::Malformed("Agent-Goal is no goal's id (a UUID)".to_owned()))?;
    Ok(ScopeRequest {
        user: text(headers, &USER, MAX_VALUE)?,
        session: text(headers, &SESSION, MAX_VALUE)?,
        goal,
    })
}

fn check_token(
    credentials: Option<&ProxyCredentials>,
    named: &ScopeRequest,
    check: &dyn Fn(&str, &str) -> bool,
) -> Result<(), Error> {
    let credentials = credentials.ok_or_else(|| {
        Error::Credentials(
            "this proxy wants credentials: http://SESSION:TOKEN@host:port".to_owned(),
        )
    })?;
    if !check(&credentials.user, &credentials.token) {
        return Err(Error::Credentials("the token is not the one of this session".to_owned()));
    }
    let other_session =
        named.session.as_ref().is_some_and(|session| *session != credentials.session);
    if named.user.is_some() || named.goal.is_some() || other_session {
        return Err(Error::Refused(
            "where tokens are required the proxy's credentials alone name the scope: leave out \
             Agent-User, Agent-Session and Agent-Goal"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The scope by headers, with the credentials' session; both must name the same one.
fn agreed(
    named: ScopeRequest,
    credentials: Option<&ProxyCredentials>,
) -> Result<ScopeRequest, Error> {
    let Some(credentials) = credentials else {
        return Ok(named);
    };
    match &named.session {
        Some(session) if *session != credentials.session => Err(Error::Malformed(
            "Agent-Session names another session than the proxy's credentials".to_owned(),
        )),
        _ => Ok(ScopeRequest { session: Some(credentials.session.clone()), ..named }),
    }
}

/// The request's own `Proxy-Authorization`. Where no token is required, another scheme than Basic
/// is somebody else's affair and ignored.
fn proxy_credentials(
    headers: &HeaderMap,
    require_token: bool,
) -> Result<Option<ProxyCredentials>, Error> {
    let Some(value) = single(headers, &PROXY_AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, encoded) = match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, encoded)) => (scheme, encoded.trim()),
        None => ("", ""),
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let pair = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some(("", _)) => Ok(None),
        Some((user, token)) if readable(user) && user.chars().count() <= MAX_USER => {
            Ok(Some(ProxyCredentials::new(user, token)))
        }
        _ if require_token => {
            Err(Error::Credentials("Proxy-Authorization cannot be read".to_owned()))
        }
        _ => Err(Error::Malformed("Proxy-Authorization cannot be read".to_owned())),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let value = single(headers, &IDEMPOTENCY_KEY)?;
    value.map(|value| key_text("Idempotency-Key", value.as_bytes())).transpose()
}

/// Printable ASCII, 1 to 255 characters, without one pair of quotes around it. `place` is what a
/// refusal names.
pub fn key_text(place: &str, value: &[u8]) -> Result<String, Error> {
    let bare = match value {
        [b'"', bare @ .., b'"'] | bare => bare,
    };
    match std::str::from_utf8(bare) {
        Ok(key)
            if (1..=MAX_VALUE).contains(&key.len())
                && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) =>
        {
            Ok(key.to_owned())
        }
        _ => {
            Err(Error::Malformed(format!("{place} is not 1 to 255 characters of printable ASCII")))
        }
    }
}

/// The text of a header that may stand once: 1 to `max` characters without control characters.
fn text(headers: &HeaderMap, name: &HeaderName, max: usize) -> Result<Option<String>, Error> {
    let Some(value) = single(headers, name)? else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if readable(text) && text.chars().count() <= max => Ok(Some(text.to_owned())),
        _ => Err(Error::Malformed(format!("{name} is not 1 to {max} readable characters"))),
    }
}

fn readable(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::Malformed(format!("the request has more than one {name} header"))),
    }
}

#[cfg(test)]
mod tests;
