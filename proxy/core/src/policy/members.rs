//! The members of a JSON object that every reader reads alike.

use std::collections::BTreeMap;

use http::header::HeaderMap;
use serde_json::value::RawValue;

use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::urlencoded::pairs;

/// The members of a JSON object without duplicates.
pub(super) fn members(body: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    store_core::canonical::json(body)?;
    serde_json::from_slice(body).ok()
}

/// Whether `body` is a JSON object with this member.
pub(super) fn has_member(body: &[u8], name: &str) -> bool {
    members(body).is_some_and(|members| members.contains_key(name))
}

/// The names of the members of an object and of the objects in it, or of the fields of a form.
/// `None`: the body is neither, or readers may read it differently.
pub(super) fn names(headers: &HeaderMap, body: &[u8]) -> Option<Vec<String>> {
    match body_kind(headers) {
        BodyKind::Json => {
            let outer = members(body)?;
            let inner = outer.values().filter_map(|value| {
                serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()).ok()
            });
            let inner: Vec<String> = inner.flat_map(BTreeMap::into_keys).collect();
            Some(outer.into_keys().chain(inner).collect())
        }
        BodyKind::Form => {
            let names = pairs(body)?.into_iter().map(|(name, _)| String::from_utf8(name).ok());
            names.collect()
        }
        BodyKind::Multipart { .. } | BodyKind::Raw => None,
    }
}
