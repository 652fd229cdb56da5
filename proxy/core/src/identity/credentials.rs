//! The proxy's credentials: which session a request belongs to, and the proof of it.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{HeaderMap, PROXY_AUTHORIZATION};
use store_core::MAX_NAME;
use store_core::call::ScopeRequest;

use crate::error::Error;
use crate::http::own_fields::{is_readable, single_value};

/// The longest user part, in characters: a session's name, `~` and a run.
const MAX_USER: usize = MAX_NAME + 33;

/// `http://SESSION:TOKEN@proxy` or `http://SESSION~RUN:TOKEN@proxy`, as Basic credentials (RFC 7617)
/// carry it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    /// As written, with the run. The token is derived from it.
    user: String,
    /// Not empty.
    pub session: String,
    pub(super) run: Option<String>,
    token: String,
}

impl ProxyCredentials {
    /// What follows the last `~` is the run if it is a UUID without hyphens in lower case. Any
    /// other `~` belongs to the session's name.
    pub fn new(user: &str, token: &str) -> Self {
        let is_run = |run: &str| {
            run.len() == 32 && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let (session, run) = match user.rsplit_once('~') {
            Some((session, run)) if is_run(run) && is_readable(session) => {
                (session, Some(run.to_owned()))
            }
            _ => (user, None),
        };
        Self { user: user.to_owned(), session: session.to_owned(), run, token: token.to_owned() }
    }

    /// Whether they name a run: `run` and `mcp` give such credentials to their programs.
    pub fn name_a_run(&self) -> bool {
        self.run.is_some()
    }
}

/// Without the token.
impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.user)
    }
}

/// Whether requests must carry their session's token.
#[derive(Clone, Copy)]
pub enum SessionTokens<'a> {
    /// The token does not matter.
    Ignored,
    /// Credentials must be there, and `check(user, token)` must hold.
    Required(&'a dyn Fn(&str, &str) -> bool),
}

/// Reads the request's own `Proxy-Authorization`. If no token is required, a scheme other than
/// Basic is ignored: another proxy may need it.
pub(super) fn own_credentials(
    headers: &HeaderMap,
    tokens: SessionTokens<'_>,
) -> Result<Option<ProxyCredentials>, Error> {
    let Some(value) = single_value(headers, &PROXY_AUTHORIZATION)? else {
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
    let unreadable = "Proxy-Authorization cannot be read".to_owned();
    match (pair.as_deref().and_then(|pair| pair.split_once(':')), tokens) {
        (Some(("", _)), _) => Ok(None),
        (Some((user, token)), _) if is_readable(user) && user.chars().count() <= MAX_USER => {
            Ok(Some(ProxyCredentials::new(user, token)))
        }
        (_, SessionTokens::Required(_)) => Err(Error::Credentials(unreadable)),
        (_, SessionTokens::Ignored) => Err(Error::Malformed(unreadable)),
    }
}

/// Checks the token, and that no header names a different scope from the credentials.
pub(super) fn check_token(
    credentials: Option<&ProxyCredentials>,
    named: &ScopeRequest,
    check: &dyn Fn(&str, &str) -> bool,
) -> Result<(), Error> {
    let credentials = credentials.ok_or_else(|| {
        Error::Credentials(
            "this proxy requires credentials: http://SESSION:TOKEN@HOST:PORT".to_owned(),
        )
    })?;
    if !check(&credentials.user, &credentials.token) {
        return Err(Error::Credentials(
            "wrong token for this session: `openclaw-state-engine token SESSION` prints it"
                .to_owned(),
        ));
    }
    let other_session =
        named.session.as_ref().is_some_and(|session| *session != credentials.session);
    if named.user.is_some() || named.goal.is_some() || other_session {
        return Err(Error::Refused(
            "where tokens are required, only the proxy credentials name the scope: remove \
             Agent-User, Agent-Session and Agent-Goal"
                .to_owned(),
        ));
    }
    Ok(())
}
