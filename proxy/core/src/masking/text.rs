//! Secrets in a text that has no form: a command, a message, a document, the value of a field.

use std::borrow::Cow;
use std::ops::Range;

use super::excerpt::Excerpt;
use super::mask::{MASK, mask_of};
use super::needles::{Hint, Hit, hits};
use super::{named, shapes, url};

/// How deep URLs within URLs are read.
const MAX_URLS: u8 = 3;

/// A part of a text, and what replaces it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) place: Range<usize>,
    pub(super) mask: String,
}

/// A text with its secrets masked.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    Excerpt::whole(text).masked()
}

impl<'a> Excerpt<'a> {
    /// With its secrets masked.
    pub(super) fn masked(self) -> Cow<'a, str> {
        let found = self.findings();
        if found.is_empty() {
            return Cow::Borrowed(self.text);
        }
        let mut masked = String::with_capacity(self.text.len());
        let mut at = 0;
        for Finding { place, mask } in found {
            masked.push_str(&self.text[at..place.start]);
            masked.push_str(&mask);
            at = place.end;
        }
        masked.push_str(&self.text[at..]);
        Cow::Owned(masked)
    }

    /// The secrets, in order.
    pub(super) fn findings(self) -> Vec<Finding> {
        let mut found = Vec::new();
        // What is before it is decided.
        let mut done = 0;
        // No JSON Web Token begins before it.
        let mut no_jwt = 0;
        for hit in hits(self.text) {
            if hit.start < done || hit.hint == Hint::Jwt && hit.start < no_jwt {
                continue;
            }
            match self.look(hit) {
                Look::NoJwt(end) => no_jwt = end,
                Look::Past(end) => done = end,
                Look::Secret(finding) if finding.place.start >= done => {
                    done = finding.place.end.max(done);
                    found.push(finding);
                }
                Look::Nothing | Look::Secret(_) => {}
            }
        }
        found
    }

    fn look(self, hit: Hit) -> Look {
        let Hit { hint, start, end } = hit;
        let shape = |found: Option<(Range<usize>, &str)>| match found {
            Some((place, shape)) => Look::Secret(Finding { place, mask: mask_of(shape) }),
            None => Look::Nothing,
        };
        match hint {
            Hint::Prefix => shape(shapes::prefixed(self, start)),
            Hint::Jwt => match shapes::jwt(self, start) {
                Ok(place) => shape(Some((place, "jwt"))),
                Err(end) => Look::NoJwt(end),
            },
            Hint::Pem => shape(shapes::pem(self, start).map(|place| (place, "private-key"))),
            Hint::Scheme => shape(shapes::credential(self, start..end)),
            Hint::Telegram => shape(shapes::telegram(self, start).map(|place| (place, "telegram"))),
            Hint::Terraform => {
                shape(shapes::around(self, start..end, 10, 40).map(|p| (p, "terraform")))
            }
            Hint::Entra => shape(shapes::entra(self, start).map(|place| (place, "entra-id"))),
            Hint::Mailchimp => {
                shape(shapes::mailchimp(self.text, start..end).map(|p| (p, "mailchimp")))
            }
            Hint::Data => Look::Past(shapes::end_of_base64(self.text, end)),
            Hint::Url => self.url(start),
            Hint::Name => match named::value(self.text, start..end) {
                None => Look::Nothing,
                Some(place) => {
                    let inner = Self { text: &self.text[place.clone()], ..self };
                    Look::Secret(Finding { mask: inner.mask_of_whole(), place })
                }
            },
        }
    }

    /// The mask of a value that is a secret by its name: it says the shape, if it has one.
    fn mask_of_whole(self) -> String {
        let whole = |place: Range<usize>| place.len() == self.text.len();
        let shape = hits(self.text).filter(|hit| hit.start == 0).find_map(|hit| match hit.hint {
            Hint::Prefix => shapes::prefixed(self, 0).filter(|(place, _)| whole(place.clone())),
            Hint::Jwt => shapes::jwt(self, 0).ok().filter(|p| whole(p.clone())).map(|p| (p, "jwt")),
            Hint::Pem => shapes::pem(self, 0).map(|place| (place, "private-key")),
            _ => None,
        });
        shape.map_or_else(|| MASK.to_owned(), |(_, shape)| mask_of(shape))
    }

    /// The URL of which `://` is at `at`.
    fn url(self, at: usize) -> Look {
        let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
        let start = self.text[..at].trim_end_matches(is_of_scheme).len();
        let rest = &self.text[at..];
        let is_end =
            |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\');
        let end = at + rest.find(is_end).unwrap_or(rest.len());
        let cut = self.cut && end == self.text.len();
        let link = self.text[start..end].trim_end_matches(['.', ',', ';', ':', '!', ')', '}']);
        if self.depth >= MAX_URLS {
            return Look::Secret(Finding { place: start..end, mask: MASK.to_owned() });
        }
        let masked = url::masked_link_in(Excerpt { text: link, cut, depth: self.depth + 1 });
        if masked == link {
            return Look::Past(start + link.len());
        }
        Look::Secret(Finding { place: start..start + link.len(), mask: masked })
    }
}

/// What is at a place where a secret may be.
enum Look {
    Nothing,
    /// Nothing up to here.
    Past(usize),
    /// No JSON Web Token begins before this place.
    NoJwt(usize),
    Secret(Finding),
}

#[cfg(test)]
mod tests;
