//! The members of a JSON object that every reader reads alike.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The members of a JSON object without duplicates.
pub(super) fn members(body: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    store_core::canonical::json(body)?;
    serde_json::from_slice(body).ok()
}

/// Whether `body` is a JSON object with this member.
pub(super) fn has_member(body: &[u8], name: &str) -> bool {
    members(body).is_some_and(|members| members.contains_key(name))
}
