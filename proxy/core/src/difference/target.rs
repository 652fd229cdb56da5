//! URLs.

use super::list::{Differences, DifferentPart};
use super::pairs;
use crate::http::signatures::{Signing, decoded};
use crate::policy::comparison::Comparison;
use crate::policy::decision::Guarded;

/// Compares two URLs: what is before their queries, and the queries by name. Parameters that do not
/// count are left out.
pub(super) fn compare(
    stored: &str,
    request: &str,
    guarded: Option<&Guarded>,
    found: &mut Differences,
) {
    let split = |url| match str::split_once(url, '?') {
        Some((before, query)) => (before, Some(query)),
        None => (url, None),
    };
    let ((stored, old), (request, new)) = (split(stored), split(request));
    found.text(DifferentPart::Url, None, [Some(stored), Some(request)]);
    if old == new {
        return found.text(DifferentPart::Query, None, [old, new]);
    }
    let read = |query: Option<&'_ str>| -> Vec<(String, String)> {
        let Some(query) = query else { return Vec::new() };
        let signing = Signing::of_query(query);
        query
            .split('&')
            .filter(|pair| counts(guarded, &decoded(pair).0, signing))
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    pairs::compare(DifferentPart::Query, [&read(old), &read(new)], &str::to_owned, found);
}

/// Whether a parameter, as a server reads its name, distinguishes two calls.
fn counts(guarded: Option<&Guarded>, name: &str, signing: Signing) -> bool {
    guarded.map_or_else(
        || !signing.has(name),
        |guarded| guarded.compares_parameter(Comparison::Input, name, signing),
    )
}
