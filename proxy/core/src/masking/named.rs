//! Values in a text that the name before them calls secrets: `API_KEY=…`, `"pin": 1234`,
//! `--password …`, `<otp>…</otp>`, `password: "…"` in GraphQL, `name: otp, value: …`.

use std::ops::Range;

use super::names::{holds_a_value, names_secret};

/// The longest name.
const LONGEST: usize = 64;

/// What is between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// `=`, `=>`, `:=`, or `:` beside quotes.
    Sign,
    /// `:` behind a word, before another.
    Colon,
    /// A space behind a flag, or before a quote.
    Space,
    /// `is`, in a sentence.
    Is,
    /// The end of a tag of XML.
    Tag,
    /// The end of a line: the field of a form in parts.
    Line,
}

/// The value of the name of which a part is at `hit`. `None`: there is none, or it is not a secret.
pub(super) fn value(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut end = hit.end;
    while is_of_name(bytes, end) {
        end += 1;
        if end - hit.end > LONGEST {
            return None;
        }
    }
    let joint = joint(text, end);
    let mut start = hit.start;
    while start > 0 && is_of_name(bytes, start - 1) && end - start <= LONGEST {
        start -= 1;
    }
    // An escaped line break before the name.
    if start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start], b'n' | b'r' | b't') {
        start += usize::from(start < hit.start);
    }
    let (at, joint) =
        joint.or_else(|| flag(bytes, start, end)).or_else(|| tag(bytes, start, end))?;
    if !names(text, start, end) {
        return None;
    }
    let value = extent(text, at, joint, &text[start..end])?;
    is_given(&text[value.clone()], joint).then_some(value)
}

fn is_of_name(bytes: &[u8], at: usize) -> bool {
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    match bytes.get(at) {
        Some(b'_' | b'-') => true,
        Some(b'.') => is_letter(at + 1) && at > 0 && is_letter(at - 1),
        _ => is_letter(at),
    }
}

/// Whether the name, or its end with the two words before it, names a secret.
fn names(text: &str, start: usize, end: usize) -> bool {
    if names_secret(&text[start..end]) {
        return true;
    }
    let mut from = start;
    (0..2).any(|_| {
        let Some(before) = text[..from].strip_suffix(' ') else { return false };
        from = before
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        from < before.len() && end - from <= LONGEST && names_secret(&text[from..end])
    })
}

/// What follows a name, and where the value begins.
fn joint(text: &str, end: usize) -> Option<(usize, Joint)> {
    let bytes = text.as_bytes();
    let mut at = end;
    while matches!(bytes.get(at), Some(b']' | b'\\' | b'"' | b'\'' | b'`')) {
        at += 1;
    }
    let quoted = at > end;
    let blank = |mut at: usize| {
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    };
    let sign = blank(at);
    let rest = &text[sign..];
    let signs = [":=", "=>", "=", ":"];
    if let Some(found) = signs.iter().find(|found| rest.starts_with(**found)) {
        let behind = sign + found.len();
        if matches!(bytes.get(behind), Some(b'=' | b':')) || rest.starts_with("://") {
            return None;
        }
        let value = blank(behind);
        let is_quoted = quoted || text[value..].starts_with(['"', '\'', '`', '\\']);
        let joint = if *found == ":" && !is_quoted { Joint::Colon } else { Joint::Sign };
        return Some((value, joint));
    }
    if sign > at && rest.starts_with("is ") {
        return Some((blank(sign + 3), Joint::Is));
    }
    if sign > at && !quoted && rest.starts_with(['\'', '"']) {
        return Some((sign, Joint::Space));
    }
    let ends_line = |rest: &str| rest.starts_with("\r\n\r\n") || rest.starts_with("\n\n");
    if quoted && ends_line(rest) {
        return Some((sign + rest.len() - rest.trim_start().len(), Joint::Line));
    }
    beside(text, at)
}

/// `"password", "value": "…"`, also in YAML: the value is in the next member.
fn beside(text: &str, at: usize) -> Option<(usize, Joint)> {
    let rest = text[at..].trim_start_matches([' ', '\t', ',', '\r', '\n', '\\', '"', '\'']);
    if rest.len() == text.len() - at {
        return None;
    }
    let name = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?];
    let from = text.len() - rest.len();
    if name.len() > LONGEST || !holds_a_value(name) {
        return None;
    }
    let quoted = rest[name.len()..].trim_start_matches(['\\', '"', '\'', ' ']);
    let behind = quoted.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
    (from > at).then_some((text.len() - behind.len(), Joint::Sign))
}

/// `--password …`, as a command line has it.
fn flag(bytes: &[u8], start: usize, end: usize) -> Option<(usize, Joint)> {
    let is_flag = bytes[start..end].starts_with(b"--") && bytes.get(end) == Some(&b' ');
    (is_flag && !matches!(bytes.get(end + 1), None | Some(b'-' | b' ')))
        .then_some((end + 1, Joint::Space))
}

/// `<password>…`, also with a prefix.
fn tag(bytes: &[u8], start: usize, end: usize) -> Option<(usize, Joint)> {
    let opens = start > 0 && matches!(bytes[start - 1], b'<' | b':');
    (opens && bytes.get(end) == Some(&b'>')).then_some((end + 1, Joint::Tag))
}

/// From where to where the value stands.
fn extent(text: &str, at: usize, joint: Joint, name: &str) -> Option<Range<usize>> {
    let rest = &text[at..];
    let until = |end: Option<usize>| Some(at..at + end.unwrap_or(rest.len()));
    match joint {
        Joint::Tag => return until(rest.find('<')),
        Joint::Line => return until(rest.find(['\r', '\n'])),
        _ => {}
    }
    let slashes = rest.len() - rest.trim_start_matches('\\').len();
    let quote = rest[slashes..].chars().next()?;
    if matches!(quote, '"' | '\'' | '`') {
        let open = slashes + 1;
        return Some(at + open..at + open + closing(&rest[open..], quote, slashes));
    }
    if matches!(quote, '{' | '[') && slashes == 0 && matches!(joint, Joint::Sign | Joint::Colon) {
        return until(balanced(rest));
    }
    // Fields whose values have spaces: the scheme before a credential, the pairs of a cookie.
    let lower = name.to_ascii_lowercase();
    if lower.contains("authorization") || lower.contains("cookie") {
        return until(rest.find(['\r', '\n', '"', '\'', '\\']));
    }
    let end = unquoted(rest);
    let scheme = ["bearer", "basic", "token", "bot"];
    if scheme.iter().any(|word| rest[..end].eq_ignore_ascii_case(word))
        && rest[end..].starts_with(' ')
    {
        return until(Some(end + 1 + unquoted(&rest[end + 1..])));
    }
    until(Some(end))
}

/// Where a quoted value ends, whose quotes have so many slashes before them.
fn closing(rest: &str, quote: char, slashes: usize) -> usize {
    let mut before = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '\\' => before += 1,
            _ if c == quote && before <= slashes => return at - before,
            _ => before = 0,
        }
    }
    rest.len()
}

/// Where an object or an array ends.
fn balanced(rest: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where a value without quotes ends: at a space, a quote, or a sign that ends a list's item.
fn unquoted(rest: &str) -> usize {
    // Places for a value end as they begin.
    let places = [("${", '}'), ("$(", ')'), ("{{", '}'), ("<", '>'), ("[masked", ']')];
    let place = places.iter().find(|(start, _)| rest.starts_with(start));
    let from = place.and_then(|(_, end)| rest.get(..LONGEST).unwrap_or(rest).find(*end));
    let from = from.map_or(0, |end| end + 1);
    let ends = |at: usize, c: char| match c {
        '"' | '\'' | '`' | '<' | '>' | '&' | '|' | '\\' => true,
        ',' | ';' | ')' | ']' | '}' => {
            let next = rest[at + 1..]
                .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let pair = next.len() + 1 < rest.len() - at && next.starts_with(['=', ':']);
            pair || rest[at + 1..]
                .starts_with([' ', '\t', '\r', '\n', ',', ';', ')', ']', '}', '"', '\'', '\\'])
                || at + 1 == rest.len()
        }
        _ => c.is_whitespace(),
    };
    let found = rest[from..].char_indices().find(|(at, c)| ends(from + *at, *c));
    let end = found.map_or(rest.len(), |(at, _)| from + at);
    // The end of a sentence.
    end - usize::from(rest[..end].ends_with('.'))
}

/// Whether a value is one: not a place for one, a type, or a word of a sentence.
fn is_given(value: &str, joint: Joint) -> bool {
    const NONE: &[&str] = &[
        "",
        "null",
        "none",
        "nil",
        "undefined",
        "true",
        "false",
        "string",
        "str",
        "&str",
        "text",
        "any",
        "required",
        "optional",
    ];
    let value = value.trim_matches(|c: char| c.is_whitespace());
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        name.starts_with(['{', '(']) && name.ends_with(['}', ')'])
            || !name.is_empty()
                && name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit())
    });
    let is_place = value.len() <= LONGEST
        && (is_variable
            || value.starts_with("{{")
            || value.starts_with('<') && value.ends_with('>')
            || value.starts_with("[masked") && value.ends_with(']'))
        || value.bytes().all(|b| matches!(b, b'*' | b'.' | b'-' | b'x'));
    !is_place
        && !NONE.iter().any(|none| value.eq_ignore_ascii_case(none))
        && match joint {
            Joint::Is => value.len() > 2 && value.bytes().any(|b| b.is_ascii_digit()),
            Joint::Colon => value.len() > 2,
            Joint::Sign | Joint::Space | Joint::Tag | Joint::Line => true,
        }
}
