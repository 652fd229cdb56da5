//! Bodies, as they are stored: JSON, a text, a form, or a digest.

use store_core::canonical::Pointer;

use super::stored::{StoredRequest, compare_pairs};
use super::{Differences, DifferentPart, json};
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::selection::FieldSelection;
use crate::http::forms::urlencoded;
use crate::policy::decision::Guarded;

/// The members of a message of MCP that distinguish no tool calls.
const NOT_OF_TOOL_CALL: [&str; 4] = ["/jsonrpc", "/id", "/method", "/params/_meta"];

pub(super) fn compare(
    requests: [&StoredRequest<'_>; 2],
    guarded: Option<&Guarded>,
    found: &mut Differences,
) {
    let bodies = requests.map(StoredRequest::body);
    let (Some(stored), Some(request)) = (bodies[0], bodies[1]) else {
        return found.text(DifferentPart::Body, None, bodies);
    };
    let selection = guarded.map(Guarded::selection).unwrap_or_default();
    if requests.iter().any(|one| one.is_digest()) {
        // The bytes may differ where the contents do not, in a space or in a boundary.
        let sure = requests
            .iter()
            .all(|one| !one.has_coding() && body_kind(&one.content_type()) == BodyKind::Raw);
        if stored != request && (sure || found.differs.is_empty()) {
            found.add(DifferentPart::Body, None);
        }
        return;
    }
    if let (Some(old), Some(new)) = (text(stored), text(request)) {
        let is_form = |one: &&StoredRequest<'_>| body_kind(&one.content_type()) == BodyKind::Form;
        match (pairs(&old, &selection), pairs(&new, &selection)) {
            (Some(old), Some(new)) if requests.iter().all(is_form) => {
                compare_pairs(DifferentPart::Field, [&old, &new], &pointer_of, found);
            }
            _ => found.text(DifferentPart::Body, None, [Some(&old), Some(&new)]),
        }
        return;
    }
    let is_tool_call = match guarded {
        Some(guarded) => guarded.is_tool_call,
        None => json::is_tool_call(stored) && json::is_tool_call(request),
    };
    let noise = NOT_OF_TOOL_CALL.iter().filter(|_| is_tool_call);
    let noise: Vec<Pointer> = noise.filter_map(|text| text.parse().ok()).collect();
    let without: Vec<&Pointer> = selection.without.iter().copied().chain(&noise).collect();
    if selection.select.is_empty() {
        return json::compare(stored, request, &without, found);
    }
    for pointer in selection.select {
        json::compare_at(pointer, [stored, request], &without, found);
    }
}

/// The text that a body is stored as, if it is not JSON.
fn text(body: &str) -> Option<String> {
    serde_json::from_str(body).ok()
}

/// The pairs of a form that count, decoded. `None`: it is not one that all readers read alike.
fn pairs(form: &str, selection: &FieldSelection<'_>) -> Option<Vec<(String, String)>> {
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let pairs = urlencoded::undisputed(form.as_bytes())?.into_iter();
    let pairs = pairs.map(|(name, value)| (lossy(name), value.map(lossy).unwrap_or_default()));
    Some(pairs.filter(|(name, _)| selection.has(name.as_bytes())).collect())
}

/// The pointer that names a form's field in a rule.
fn pointer_of(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
