//! Where two requests differ, by name and place, as far as what is stored of them shows: their
//! secrets are masked, and large bodies are only digests. For people; no decision depends on it.

mod body;
mod json;
pub mod list;
mod pairs;
mod rule_lines;
pub(crate) mod stored;
mod target;

use std::collections::BTreeSet;

use store_core::model::Json;

use self::list::{Differences, DifferentPart};
use self::stored::StoredRequest;
use crate::policy::decision::Guarded;

/// Compares a stored request with another one, both as they are stored. What `guarded` leaves out of
/// the comparison of two calls is left out here. `None`: how they are treated is not known, and all
/// counts but what never does. `fields` says which header fields count, by their names in lower case.
pub fn between(
    stored: &Json,
    request: &Json,
    guarded: Option<&Guarded>,
    fields: &dyn Fn(&str) -> bool,
) -> Differences {
    let mut found = Differences::default();
    match (StoredRequest::read(stored), StoredRequest::read(request)) {
        (Some(stored), Some(request)) => compare([&stored, &request], guarded, fields, &mut found),
        // Calls of the state API have any JSON as their input.
        _ => json::compare(stored.as_str(), request.as_str(), &[], &mut found),
    }
    let rule = guarded.and_then(|guarded| guarded.rule.as_ref());
    found.write_rule(rule.is_some_and(|rule| !rule.input.select.is_empty()));
    found
}

fn compare(
    requests: [&StoredRequest<'_>; 2],
    guarded: Option<&Guarded>,
    fields: &dyn Fn(&str) -> bool,
    found: &mut Differences,
) {
    let [stored, request] = requests;
    found.text(DifferentPart::Method, None, [Some(stored.method()), Some(request.method())]);
    target::compare(stored.url(), request.url(), guarded, found);
    let names = stored.header_names().chain(request.header_names());
    for name in names.filter(|name| fields(name)).collect::<BTreeSet<_>>() {
        let values = requests.map(|one| one.header(name));
        found.text(DifferentPart::Header, Some(name), [values[0].as_deref(), values[1].as_deref()]);
    }
    body::compare(requests, guarded, found);
}

#[cfg(test)]
mod tests;
