//! Bodies, as they are stored: JSON, a text, a form, or a digest.

use store_core::canonical::Pointer;

use super::list::{Differences, DifferentPart};
use super::stored::StoredRequest;
use super::{json, pairs};
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::urlencoded;
use crate::policy::decision::Guarded;
use crate::policy::keyed::KeyPlace;

/// The members of a message of MCP that distinguish no tool calls.
const NOT_OF_TOOL_CALL: [&str; 4] = ["/jsonrpc", "/id", "/method", "/params/_meta"];

/// Which parts of a body a rule lets count.
#[derive(Default)]
struct CountedParts<'a> {
    without: Vec<&'a Pointer>,
    /// The only ones, if there are any.
    select: Vec<&'a Pointer>,
}

impl<'a> CountedParts<'a> {
    fn of(guarded: &'a Guarded) -> Self {
        let keys = guarded.key_places().filter_map(|place| match place {
            KeyPlace::Member(pointer) => Some(pointer),
            KeyPlace::Header(_) => None,
        });
        let mut parts = Self { without: keys.collect(), select: Vec::new() };
        if let Some(rule) = &guarded.rule {
            parts.without.extend(rule.input.ignore.iter().map(|field| &field.0));
            parts.select.extend(rule.input.select.iter().map(|field| &field.0));
        }
        parts
    }

    /// The pairs of a form that count, decoded. `None`: it is not one that all readers read alike.
    fn pairs(&self, form: &str) -> Option<Vec<(String, String)>> {
        let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let names = |list: &[&Pointer], name: &str| {
            list.iter().any(|field| field.only_name().is_some_and(|only| only == name))
        };
        let counts = |name: &str| {
            !names(&self.without, name) && (self.select.is_empty() || names(&self.select, name))
        };
        let pairs = urlencoded::undisputed(form.as_bytes())?.into_iter();
        let pairs = pairs.map(|(name, value)| (lossy(name), value.map(lossy).unwrap_or_default()));
        Some(pairs.filter(|(name, _)| counts(name)).collect())
    }
}

pub(super) fn compare(
    requests: [&StoredRequest<'_>; 2],
    guarded: Option<&Guarded>,
    found: &mut Differences,
) {
    let bodies = requests.map(StoredRequest::body);
    let (Some(stored), Some(request)) = (bodies[0], bodies[1]) else {
        return found.text(DifferentPart::Body, None, bodies);
    };
    let counted = guarded.map(CountedParts::of).unwrap_or_default();
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
        match (counted.pairs(&old), counted.pairs(&new)) {
            (Some(old), Some(new)) if requests.iter().all(is_form) => {
                pairs::compare(DifferentPart::Field, [&old, &new], &pointer_of, found);
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
    let without: Vec<&Pointer> = counted.without.iter().copied().chain(&noise).collect();
    if counted.select.is_empty() {
        return json::compare(stored, request, &without, found);
    }
    for pointer in counted.select {
        json::compare_at(pointer, [stored, request], &without, found);
    }
}

/// The text that a body is stored as, if it is not JSON.
fn text(body: &str) -> Option<String> {
    serde_json::from_str(body).ok()
}

/// The pointer that names a form's field in a rule.
fn pointer_of(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
