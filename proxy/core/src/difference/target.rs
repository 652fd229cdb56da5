//! URLs.

use super::list::{Differences, DifferentPart};
use super::pairs;

/// Compares two URLs: what is before their queries, and the queries by name.
pub(super) fn compare(stored: &str, request: &str, found: &mut Differences) {
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
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    pairs::compare(DifferentPart::Query, [&read(old), &read(new)], &str::to_owned, found);
}
