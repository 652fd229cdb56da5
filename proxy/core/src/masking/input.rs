//! What is kept of a request, with its secrets masked (docs/SEMANTICS.md, "Audit and what is
//! stored").

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::Method;
use http::header::HeaderMap;
use serde::Serialize;
use store_core::key::Digest;
use store_core::model::{Json, MAX_DEPTH};

use super::url::{self, masked_url};
use super::words::{MASK, mentions_secret};
use super::{form, json};
use crate::http::forms::kind::{Kind, kind, media_type};
use crate::http::meaning::is_secret_field;
use crate::http::target::Target;

/// The largest body that is kept, in bytes.
pub const MAX_KEPT: usize = 64 * 1024;

/// A request as it is kept.
#[derive(Serialize)]
struct Stored<'a> {
    method: &'a str,
    url: String,
    headers: BTreeMap<&'a str, Values>,
    body: Body,
}

/// A field's value, or its values where it stands more than once.
#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    /// An empty one is null.
    None(()),
    /// Its own text but for masked members.
    Json(Json),
    Text(String),
    Digest {
        sha256: String,
        size: u64,
    },
}

/// `{method, url, headers, body}` with everything masked that is known or named as a secret. Only
/// headers that count are kept. `body` is the request's, as it came; `None` where it is over
/// [`MAX_KEPT`] or its rule keeps none: then its digest and size stand there, as they do for what
/// is no text, is encoded, or holds a secret that cannot be cut out.
pub fn input_json(
    method: &Method,
    target: &Target,
    headers: &HeaderMap,
    counts: &dyn Fn(&str) -> bool,
    body: Option<&[u8]>,
    sha256: &Digest,
    size: u64,
) -> Json {
    let digest = || Body::Digest { sha256: sha256.hex(32), size };
    let body = match body {
        _ if size == 0 => Body::None(()),
        Some(bytes) if bytes.len() <= MAX_KEPT => text_body(headers, bytes).unwrap_or_else(digest),
        _ => digest(),
    };
    Json::of(&Stored {
        method: method.as_str(),
        url: masked_url(target),
        headers: kept_headers(headers, counts),
        body,
    })
}

fn kept_headers<'a>(
    headers: &'a HeaderMap,
    counts: &dyn Fn(&str) -> bool,
) -> BTreeMap<&'a str, Values> {
    headers
        .keys()
        .map(http::header::HeaderName::as_str)
        .filter(|name| counts(name))
        .map(|name| {
            let mut values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| match std::str::from_utf8(value.as_bytes()) {
                    Ok(text) if !is_secret_field(name) => url::masked_link(text),
                    Ok(_) => MASK.to_owned(),
                    Err(_) => format!("sha256:{}", Digest::of(value.as_bytes()).hex(32)),
                })
                .collect();
            let first = if values.len() == 1 { values.pop() } else { None };
            (name, first.map_or_else(|| Values::Many(values), Values::One))
        })
        .collect()
}

/// `None` where only a digest may be kept.
fn text_body(headers: &HeaderMap, bytes: &[u8]) -> Option<Body> {
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let kind = kind(headers);
    // Also where the type does not say JSON: `curl -d '{…}'` calls it a form.
    if let Ok(json) = Json::parse(text) {
        let masked = json::masked(json.as_str())?;
        if kind != Kind::Json {
            return Some(Body::Text(masked.into_owned()));
        }
        let json = match masked {
            Cow::Borrowed(_) => json,
            Cow::Owned(masked) => Json::parse(masked).ok()?,
        };
        // Nested deeper, nothing could be put around it.
        return (json.depth() < MAX_DEPTH).then_some(Body::Json(json));
    }
    match kind {
        Kind::Form => form::masked_pairs(text).map(Body::Text),
        Kind::Raw if is_text(headers) && !mentions_secret(text) => {
            Some(Body::Text(text.to_owned()))
        }
        _ => None,
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| {
        kind.type_() == mime::TEXT
            || kind.suffix() == Some(mime::XML)
            || ["xml", "graphql", "x-ndjson", "jsonl", "json", "yaml", "javascript"]
                .contains(&kind.subtype().as_str())
    })
}

#[cfg(test)]
mod tests;
