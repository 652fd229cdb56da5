//! URLs with their secrets masked.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::excerpt::Excerpt;
use super::mask::MASK;
use super::names::{is_secret_in_url, is_secret_parameter};
use super::secret_paths::SECRET_PATHS;
use super::segment::Segments;
use crate::http::target::Target;

/// The URL for people, logs and the store, without the values of credential query parameters,
/// without path parts that are known to be secrets, and without what has the shape of one.
pub fn masked_url(target: &Target) -> String {
    let whole = Excerpt::whole;
    let path = masked_path(&target.authority.host, whole(target.path()));
    let origin = format!("{}://{}", target.scheme.as_str(), target.host_field());
    match target.query() {
        None => format!("{origin}{path}"),
        Some(query) => format!("{origin}{path}?{}", masked_query(whole(query), is_secret_in_url)),
    }
}

fn masked_path<'a>(host: &str, path: Excerpt<'a>) -> Cow<'a, str> {
    let known = SECRET_PATHS.iter().find_map(|row| row.mask(host, path.text));
    known.map_or_else(|| masked_segments(path), Cow::Owned)
}

/// A path with its segments masked that are, or have in them, secrets.
fn masked_segments(path: Excerpt<'_>) -> Cow<'_, str> {
    let mut segments = Segments::default();
    let masked: Vec<Cow<'_, str>> = path
        .text
        .split('/')
        .map(|text| {
            let decoded = percent_decode_str(text).decode_utf8_lossy();
            let random = segments.mask_of(text, &decoded);
            let found = Excerpt { text: &decoded, ..path.part(text) }.findings().into_iter().next();
            match (path.part(text).masked(), found) {
                (Cow::Owned(masked), _) => Cow::Owned(masked),
                (Cow::Borrowed(_), Some(found)) => Cow::Owned(found.mask),
                (Cow::Borrowed(text), None) => random.map_or(Cow::Borrowed(text), Cow::Owned),
            }
        })
        .collect();
    if masked.iter().all(|segment| matches!(segment, Cow::Borrowed(_))) {
        return Cow::Borrowed(path.text);
    }
    Cow::Owned(masked.join("/"))
}

/// A header's value that may be a URL, such as that of `Referer`, masked as in [`masked_url`]. What
/// comes before an `@` in its authority is masked too.
pub(super) fn masked_link(value: &str) -> String {
    masked_link_in(Excerpt::whole(value))
}

pub(super) fn masked_link_in(whole: Excerpt<'_>) -> String {
    let value = whole.text;
    let (link, parameters) = value.split_at(value.find(['?', '#']).unwrap_or(value.len()));
    let parameters = match parameters.split_at_checked(1) {
        None => String::new(),
        Some((mark, pairs)) => {
            format!("{mark}{}", masked_query(whole.part(pairs), is_secret_parameter))
        }
    };
    let Some((scheme, rest)) = link.split_once("://") else {
        let path = whole.part(link);
        let path = if link.starts_with('/') { masked_segments(path) } else { link.into() };
        return format!("{path}{parameters}");
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (secret, host) = match authority.rsplit_once('@') {
        Some((_, host)) => (format!("{MASK}@"), host),
        // A name, and the beginning of a password or of a port.
        None if whole.part(authority).cut && authority.contains(':') => (MASK.to_owned(), ""),
        None => (String::new(), authority),
    };
    let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    format!("{scheme}://{secret}{host}{}{parameters}", masked_path(&name, whole.part(path)))
}

/// Whether a text is nothing but an http or https URL, or a path with a query.
pub(super) fn is_link(text: &str) -> bool {
    let begins = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    (begins("https://") || begins("http://") || text.starts_with('/') && text.contains('?'))
        && !text.contains(char::is_whitespace)
}

fn masked_query(pairs: Excerpt<'_>, is_secret: impl Fn(&str) -> bool) -> String {
    mask_pairs(pairs.text, |name, value| is_secret(name) || hides_secret(pairs.part(value)))
}

/// Whether a part of a URL or a form has a secret in it by its shape, as it is written or decoded.
pub(super) fn hides_secret(part: Excerpt<'_>) -> bool {
    [part.text, &decoded(part.text)]
        .iter()
        .any(|text| !Excerpt { text, ..part }.findings().is_empty())
}

/// The value of a pair, as a reader of forms has it.
pub(super) fn decoded(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Masks the values that are secrets, by their names and themselves. What has no value is one, and
/// so may be a name that has.
pub(super) fn mask_pairs(pairs: &str, is_secret: impl Fn(&str, &str) -> bool) -> String {
    let masked: Vec<_> = pairs
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if is_secret("", name) {
                return MASK.to_owned();
            }
            let is_masked = !value.is_empty() && is_secret(name, value);
            if is_masked { format!("{name}={MASK}") } else { pair.to_owned() }
        })
        .collect();
    masked.join("&")
}
