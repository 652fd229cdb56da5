//! JSON, compared member by member.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use store_core::canonical::{self, Pointer};

use super::list::{Differences, DifferentPart};

/// Compares two JSON texts without what the pointers name.
pub(super) fn compare(stored: &str, request: &str, without: &[&Pointer], found: &mut Differences) {
    match (form(stored, without), form(request, without)) {
        (Some(stored), Some(request)) => {
            walk([Some(&stored), Some(&request)], &mut String::new(), found);
        }
        // Readers differ about it: it is compared byte by byte.
        _ => found.text(DifferentPart::Body, None, [Some(stored), Some(request)]),
    }
}

/// The same for one part of them.
pub(super) fn compare_at(
    pointer: &Pointer,
    texts: [&str; 2],
    without: &[&Pointer],
    found: &mut Differences,
) {
    match texts.map(|text| form(text, without)) {
        [Some(stored), Some(request)] => {
            let parts = [pointer.get(&stored), pointer.get(&request)];
            walk(parts, &mut pointer.to_string(), found);
        }
        _ => found.text(DifferentPart::Body, None, texts.map(Some)),
    }
}

/// Whether a body is a `tools/call` of MCP.
pub(super) fn is_tool_call(body: &str) -> bool {
    let is = |pointer: &str, value: &str, form: &str| {
        pointer.parse::<Pointer>().is_ok_and(|pointer| pointer.get(form) == Some(value))
    };
    form(body, &[]).is_some_and(|form| {
        is("/jsonrpc", "\"2.0\"", &form) && is("/method", "\"tools/call\"", &form)
    })
}

fn form(text: &str, without: &[&Pointer]) -> Option<String> {
    let form = String::from_utf8(canonical::json(text.as_bytes())?).ok()?;
    Some(if without.is_empty() { form } else { canonical::without(&form, without.iter().copied()) })
}

/// Compares two values in canonical form. `path` is their place as a JSON pointer. Recurses no
/// deeper than canonical texts are nested, which is limited.
fn walk(values: [Option<&str>; 2], path: &mut String, found: &mut Differences) {
    let part = if path.is_empty() { DifferentPart::Body } else { DifferentPart::Member };
    let [Some(stored), Some(request)] = values else {
        return found.text(part, name_of(path), values);
    };
    if stored == request || found.is_full() {
        return found.text(part, name_of(path), values);
    }
    if let (Some(stored), Some(request)) = (members(stored), members(request)) {
        for name in stored.keys().chain(request.keys()).collect::<BTreeSet<_>>() {
            let values = [&stored, &request].map(|of| of.get(name).map(|value| value.get()));
            walk_into(&name.replace('~', "~0").replace('/', "~1"), values, path, found);
        }
    } else if let (Some(stored), Some(request)) = (elements(stored), elements(request))
        && stored.len() == request.len()
    {
        for (index, (stored, request)) in stored.into_iter().zip(request).enumerate() {
            let values = [Some(stored.get()), Some(request.get())];
            walk_into(&index.to_string(), values, path, found);
        }
    } else {
        found.add(part, name_of(path));
    }
}

fn walk_into(step: &str, values: [Option<&str>; 2], path: &mut String, found: &mut Differences) {
    let length = path.len();
    path.push('/');
    path.push_str(step);
    walk(values, path, found);
    path.truncate(length);
}

fn name_of(path: &str) -> Option<&str> {
    (!path.is_empty()).then_some(path)
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}
