//! What is kept of a request, with its secrets masked (docs/SEMANTICS.md, "Audit and what is
//! stored").

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::HeaderMap;
use serde::Serialize;
use store_core::key::Digest;
use store_core::model::{Json, MAX_DEPTH};

use super::names::mentions_secret;
use super::url::masked_url;
use super::{form, json, shown, text};
use crate::http::forms::kind::{BodyKind, body_kind, media_type};
use crate::http::head::RequestHead;

/// The largest body that is kept, in bytes.
pub const MAX_KEPT: usize = 64 * 1024;

/// A request as it is kept.
#[derive(Serialize)]
struct KeptRequest<'a> {
    method: &'a str,
    url: String,
    headers: BTreeMap<&'a str, FieldValues>,
    body: KeptInputBody,
}

/// A field's value, or its values if it stands more than once.
#[derive(Serialize)]
#[serde(untagged)]
enum FieldValues {
    One(String),
    Many(Vec<String>),
}

/// What is kept of a body.
#[derive(Serialize)]
#[serde(untagged)]
enum KeptInputBody {
    /// An empty one is null.
    None(()),
    /// The body's own text, except for masked members.
    Json(Json),
    Text(String),
    Digest {
        sha256: String,
        size: u64,
    },
}

/// The body of a request that is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct BodyToKeep<'a> {
    /// As it came. `None`: it is over [`MAX_KEPT`], or its rule keeps none.
    pub bytes: Option<&'a [u8]>,
    /// Of the whole body.
    pub sha256: Digest,
    /// Of the whole body, in bytes.
    pub size: u64,
}

/// `{method, url, headers, body}` with everything masked that is a secret by its name or its shape. Only
/// header fields that count are kept. Digest and size replace a body that is not kept, is not
/// text, is encoded, or holds a secret that cannot be cut out.
pub fn input_json(
    head: RequestHead<'_>,
    counts: &dyn Fn(&str) -> bool,
    body: BodyToKeep<'_>,
) -> Json {
    let digest = || KeptInputBody::Digest { sha256: body.sha256.hex(32), size: body.size };
    let kept = match body.bytes {
        _ if body.size == 0 => KeptInputBody::None(()),
        Some(bytes) if bytes.len() <= MAX_KEPT => {
            text_body(head.headers, bytes).unwrap_or_else(digest)
        }
        _ => digest(),
    };
    Json::of(&KeptRequest {
        method: head.method.as_str(),
        url: masked_url(head.target),
        headers: kept_headers(head.headers, counts),
        body: kept,
    })
}

fn kept_headers<'a>(
    headers: &'a HeaderMap,
    counts: &dyn Fn(&str) -> bool,
) -> BTreeMap<&'a str, FieldValues> {
    headers
        .keys()
        .map(http::header::HeaderName::as_str)
        .filter(|name| counts(name))
        .map(|name| {
            let mut values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| match std::str::from_utf8(value.as_bytes()) {
                    Ok(text) => shown::field(name, text),
                    Err(_) => format!("sha256:{}", Digest::of(value.as_bytes()).hex(32)),
                })
                .collect();
            let first = if values.len() == 1 { values.pop() } else { None };
            (name, first.map_or_else(|| FieldValues::Many(values), FieldValues::One))
        })
        .collect()
}

/// `None` if only a digest may be kept.
fn text_body(headers: &HeaderMap, bytes: &[u8]) -> Option<KeptInputBody> {
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let kind = body_kind(headers);
    // Also if the type does not say JSON: `curl -d '{…}'` calls it a form.
    if let Ok(json) = Json::parse(text) {
        let masked = json::masked(json.as_str())?;
        if kind != BodyKind::Json {
            return Some(KeptInputBody::Text(masked.into_owned()));
        }
        let json = match masked {
            Cow::Borrowed(_) => json,
            Cow::Owned(masked) => Json::parse(masked).ok()?,
        };
        // One that is nested deeper could not be put inside another object.
        return (json.depth() < MAX_DEPTH).then_some(KeptInputBody::Json(json));
    }
    match kind {
        BodyKind::Form => form::masked_pairs(text).map(KeptInputBody::Text),
        BodyKind::Raw if is_text(headers) && !mentions_secret(text) => {
            Some(KeptInputBody::Text(text::masked(text).into_owned()))
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
