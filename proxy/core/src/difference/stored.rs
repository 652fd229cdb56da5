//! Requests as they are stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use store_core::model::Json;

use super::{Differences, DifferentPart, body};
use crate::http::forms::kind::media_type;
use crate::policy::decision::Guarded;

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

    pub(super) fn compare(
        &self,
        request: &Self,
        guarded: Option<&Guarded>,
        found: &mut Differences,
    ) {
        let texts = [Some(self.method.as_ref()), Some(request.method.as_ref())];
        found.text(DifferentPart::Method, None, texts);
        compare_urls(&self.url, &request.url, found);
        let names: BTreeSet<_> = self.headers.keys().chain(request.headers.keys()).collect();
        for name in names {
            let values = [self.header(name), request.header(name)];
            found.text(
                DifferentPart::Header,
                Some(name),
                [values[0].as_deref(), values[1].as_deref()],
            );
        }
        body::compare([self, request], guarded, found);
    }

    /// The values of a header field, as far as they count.
    fn header(&self, name: &str) -> Option<Cow<'a, str>> {
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

fn compare_urls(stored: &str, request: &str, found: &mut Differences) {
    let split = |url| match str::split_once(url, '?') {
        Some((before, query)) => (before, Some(query)),
        None => (url, None),
    };
    let ((stored, old), (request, new)) = (split(stored), split(request));
    found.text(DifferentPart::Url, None, [Some(stored), Some(request)]);
    if old == new {
        return found.text(DifferentPart::Query, None, [old, new]);
    }
    let pairs = |query: Option<&'_ str>| -> Vec<(String, String)> {
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    compare_pairs(DifferentPart::Query, [&pairs(old), &pairs(new)], &str::to_owned, found);
}

/// Compares pairs of names and values by name. Lists of the same pairs differ in their order.
pub(super) fn compare_pairs(
    part: DifferentPart,
    pairs: [&[(String, String)]; 2],
    shown: &dyn Fn(&str) -> String,
    found: &mut Differences,
) {
    let before = found.differs.len();
    let names: BTreeSet<_> =
        pairs.iter().flat_map(|pairs| pairs.iter().map(|(name, _)| name)).collect();
    for name in names {
        let of = |pairs: &[(String, String)]| -> Option<String> {
            let own = pairs.iter().filter(|(other, _)| other == name);
            let values: Vec<String> = own.map(|(_, value)| format!("{value}\n")).collect();
            (!values.is_empty()).then(|| values.concat())
        };
        let values = pairs.map(of);
        found.text(part, Some(&shown(name)), [values[0].as_deref(), values[1].as_deref()]);
    }
    if found.differs.len() == before && pairs[0] != pairs[1] {
        found.add(part, None);
    }
}
