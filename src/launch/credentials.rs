//! How a run identifies itself to the proxy.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::Reader;

/// Characters that are not escaped in the user part of a URL.
const USER_INFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The user part of the credentials of a run: `SESSION~RUN`.
pub(crate) fn user(session: &str, run: &str) -> String {
    format!("{session}~{run}")
}

/// Proxy credentials: a user and its token.
pub(crate) struct Credentials {
    user: String,
    token: String,
}

impl Credentials {
    /// The credentials of `user`, made with the secret of the store.
    pub(crate) fn new(user: String, reader: &Reader) -> Result<Self, store::Error> {
        let token = reader.session_token(&user)?;
        Ok(Self { user, token })
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.user, self.token)))
    }

    /// The URL of the proxy at `address`, with the credentials in it.
    pub(crate) fn url(&self, address: &str) -> String {
        format!("http://{}:{}@{address}", utf8_percent_encode(&self.user, USER_INFO), self.token)
    }
}
