//! Requests as they are stored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use store_core::model::Json;

use crate::http::forms::kind::media_type;

/// `{method, url, headers, body}`, as [`crate::masking::input::input_json`] writes it.
#[derive(Deserialize)]
pub(crate) struct StoredRequest<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    headers: BTreeMap<Cow<'a, str>, &'a RawValue>,
    /// Of an empty body `null`.
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// The placeholder of a body that is not stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its form is looked at")]
struct NotKept {
    sha256: String,
    size: u64,
}

impl<'a> StoredRequest<'a> {
    /// `None`: it is the input of something else than a proxied call.
    pub(crate) fn read(input: &'a Json) -> Option<Self> {
        input.decode().ok()
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(AsRef::as_ref)
    }

    /// The values of a header field, as far as they count.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let written = self.headers.get(name)?.get();
        if name == CONTENT_TYPE.as_str()
            && let Some(kind) = media_type(&self.content_type())
            && kind.type_() == mime::MULTIPART
        {
            // Clients draw the boundary at random.
            let kept = kind.params().filter(|(name, _)| *name != mime::BOUNDARY);
            let kept = kept.map(|(name, value)| format!(";{name}={value}"));
            return Some(Cow::Owned(format!("{}{}", kind.essence_str(), kept.collect::<String>())));
        }
        Some(Cow::Borrowed(written))
    }

    /// The header fields that say how the body is to be read.
    pub(crate) fn content_type(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = self.headers.get(CONTENT_TYPE.as_str());
        if let Some(value) =
            value.and_then(|value| serde_json::from_str::<Cow<'_, str>>(value.get()).ok())
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(CONTENT_TYPE, value);
        }
        headers
    }

    /// Whether only a digest of the body is stored.
    pub(crate) fn is_digest(&self) -> bool {
        self.body().is_some_and(|body| serde_json::from_str::<NotKept>(body).is_ok())
    }

    pub(super) fn has_coding(&self) -> bool {
        self.headers.contains_key("content-encoding")
    }

    /// As stored. `None`: it is empty.
    pub(crate) fn body(&self) -> Option<&'a str> {
        self.body.map(RawValue::get)
    }
}
