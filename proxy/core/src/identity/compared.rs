//! One request as it is compared with others, independent of its sender.

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use store_core::key::{Digest, Encoder};

use super::authorization;
use super::body_digests::BodyDigests;
use crate::http::forms::kind::media_type;
use crate::http::head::RequestHead;
use crate::http::signatures::{Signing, is_signature};
use crate::policy::comparison::Comparison;
use crate::policy::decision::Guarded;

/// What of a request counts in each comparison.
pub(super) struct ComparedRequest<'a> {
    urls: [Cow<'a, str>; Comparison::ALL.len()],
    fields: ComparedFields<'a>,
    body: BodyDigests,
    trailers: ComparedFields<'a>,
    /// The digests that were computed.
    known: Vec<(Comparison, Digest)>,
}

/// Header fields, sorted by name, and the comparisons in which each counts.
struct ComparedFields<'a> {
    headers: &'a HeaderMap,
    names: Vec<(&'a HeaderName, [bool; Comparison::ALL.len()])>,
}

impl<'a> ComparedRequest<'a> {
    /// Decides once about each part.
    pub(super) fn new(
        head: RequestHead<'a>,
        body: BodyDigests,
        trailers: &'a HeaderMap,
        guarded: &Guarded,
    ) -> Self {
        let is_signed = is_signed(head.headers);
        let authorises = |name: &str| {
            let mut values = head.headers.get_all(name).iter();
            let (first, second) = (values.next(), values.next());
            second.is_none()
                && first.is_some_and(|value| {
                    authorization::lasting_in(name, value.as_bytes()).is_some()
                })
        };
        let counts = |name: &str| guarded.compares_field_in_all(name, is_signed);
        let in_head = |name: &str| {
            let is_undone = body.decoded && name == CONTENT_ENCODING.as_str();
            let mut counts = counts(name).map(|counts| counts && !is_undone);
            if authorises(name) {
                let before = counts[Comparison::Legacy as usize];
                counts =
                    Comparison::ALL.map(|comparison| comparison == Comparison::Legacy && before);
            }
            counts
        };
        Self {
            urls: urls(head, guarded),
            fields: ComparedFields::new(head.headers, in_head),
            body,
            trailers: ComparedFields::new(trailers, counts),
            known: Vec::new(),
        }
    }

    /// The digest of the method and the origin, in `located`, with URL, header fields, body and
    /// trailers. Most requests have the same parts in all comparisons: these are digested once.
    pub(super) fn digest(
        &mut self,
        located: impl FnOnce() -> Encoder,
        comparison: Comparison,
    ) -> Digest {
        if let Some((_, known)) = self.known.iter().find(|one| self.is_alike(one.0, comparison)) {
            return *known;
        }
        let encoder = located().field(self.urls[comparison as usize].as_ref());
        let encoder = self.fields.append(encoder, comparison);
        let encoder = encoder.field(self.body.digests[comparison as usize].as_bytes());
        let digest = self.trailers.append(encoder, comparison).finish();
        self.known.push((comparison, digest));
        digest
    }

    /// Whether the same parts count in two comparisons.
    fn is_alike(&self, one: Comparison, other: Comparison) -> bool {
        let (a, b) = (one as usize, other as usize);
        self.urls[a] == self.urls[b]
            && self.body.digests[a] == self.body.digests[b]
            && self.fields.is_alike(one, other)
            && self.trailers.is_alike(one, other)
    }
}

/// Path and query for each comparison.
fn urls<'a>(head: RequestHead<'a>, guarded: &Guarded) -> [Cow<'a, str>; Comparison::ALL.len()] {
    let target = head.target;
    let Some(query) = target.query() else {
        return Comparison::ALL.map(|_| Cow::Borrowed(target.path_and_query.as_str()));
    };
    let signing = Signing::of_query(query).beside(head.headers);
    Comparison::ALL.map(|comparison| {
        target.without_parameters(|name| !guarded.compares_parameter(comparison, name, signing))
    })
}

/// Whether the request has a signature, in its Authorization or in a field that is named so.
fn is_signed(headers: &HeaderMap) -> bool {
    let names_signature = |(name, value): (&HeaderName, &HeaderValue)| {
        is_signature(name.as_str())
            || authorization::lasting_in(name.as_str(), value.as_bytes()).is_some()
    };
    headers.iter().any(names_signature)
        || headers.get(AUTHORIZATION).is_some_and(|value| authorization::signs(value.as_bytes()))
}

impl<'a> ComparedFields<'a> {
    fn new(headers: &'a HeaderMap, counts: impl Fn(&str) -> [bool; Comparison::ALL.len()]) -> Self {
        let mut names: Vec<_> = headers.keys().map(|name| (name, counts(name.as_str()))).collect();
        names.sort_unstable_by_key(|(name, _)| name.as_str());
        Self { headers, names }
    }

    fn is_alike(&self, one: Comparison, other: Comparison) -> bool {
        self.names.iter().all(|(_, counts)| counts[one as usize] == counts[other as usize])
    }

    /// Appends the fields that count. The values of one name keep their order.
    fn append(&self, encoder: Encoder, comparison: Comparison) -> Encoder {
        let counted = || self.names.iter().filter(|(_, counts)| counts[comparison as usize]);
        let mut encoder = encoder.field(counted().count().to_be_bytes());
        for (name, _) in counted() {
            let values: Vec<&HeaderValue> = self.headers.get_all(*name).iter().collect();
            encoder = encoder.field(name.as_str()).field(values.len().to_be_bytes());
            encoder = if **name == CONTENT_TYPE
                && let Some(parameters) = without_boundary(self.headers)
            {
                encoder.field(parameters)
            } else {
                values.iter().fold(encoder, |encoder, value| encoder.field(value.as_bytes()))
            };
        }
        encoder
    }
}

/// The Content-Type of a multipart body without its boundary, which clients draw at random.
fn without_boundary(headers: &HeaderMap) -> Option<Vec<u8>> {
    let media_type = media_type(headers).filter(|kind| kind.type_() == mime::MULTIPART)?;
    // Servers differ in which of several boundaries they use.
    if media_type.params().filter(|(name, _)| *name == mime::BOUNDARY).count() != 1 {
        return None;
    }
    let mut text = media_type.essence_str().as_bytes().to_vec();
    for (name, value) in media_type.params().filter(|(name, _)| *name != mime::BOUNDARY) {
        for part in [name.as_str(), value.as_str()] {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::meaning::counts;

    fn map(list: &[(String, String)]) -> HeaderMap {
        let field = |(name, value): &(String, String)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        list.iter().map(field).collect()
    }

    proptest! {
        #[test]
        fn other_headers_have_other_digests(
            a in prop::collection::vec(("x-[a-c]", "[0-2]{0,2}"), 0..4),
            b in prop::collection::vec(("x-[a-c]", "[0-2]{0,2}"), 0..4),
        ) {
            let digest = |list: &[(String, String)]| {
                let headers = map(list);
                let fields = ComparedFields::new(&headers, |name| [counts(name); 6]);
                fields.append(Encoder::new("test"), Comparison::Derived).finish()
            };
            let sorted = |list: &[(String, String)]| {
                let mut list = list.to_vec();
                list.sort_by(|a, b| a.0.cmp(&b.0));
                list
            };
            prop_assert_eq!(sorted(&a) == sorted(&b), digest(&a) == digest(&b));
        }
    }
}
