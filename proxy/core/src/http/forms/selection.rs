//! Which parts of a body count, and the digest of these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::HeaderMap;
use serde_json::value::RawValue;
use store_core::canonical::{self, Pointer};
use store_core::key::{Digest, Encoder};

use super::urlencoded::Pair;
use crate::http::signatures::Signing;
use crate::http::tries::describes_a_try;

/// Objects in which a call's arguments are, behind each other from the outside: of MCP
/// (`/params/arguments`), of JSON-RPC, of GraphQL (`/variables/input`).
const ENVELOPES: &[&str] = &["params", "arguments", "variables", "input"];

/// Which parts of a body count. By default all do. Only JSON and forms have parts that a rule can
/// name.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldSelection<'a> {
    /// Parts that do not count.
    pub(crate) without: Vec<&'a Pointer>,
    /// The only parts that count, if there are any.
    pub(crate) select: Vec<&'a Pointer>,
    /// Which further parts do not count.
    pub(crate) drawn: Drawn<'a>,
}

/// Parts of a body that a client draws again for each try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Drawn<'a> {
    /// They count.
    #[default]
    Counts,
    /// The signature of a form does not count.
    Signatures,
    /// Keys, proofs and signatures of one try do not count, except for these.
    TriesExcept(Vec<&'a Pointer>),
}

/// The digests of a canonical text, one for each selection. One that leaves out the same parts as
/// another is not computed again.
pub(super) fn json_digests<const N: usize>(
    form: &str,
    selections: &[FieldSelection<'_>; N],
) -> [Digest; N] {
    let looks_for_drawn = selections.iter().any(|one| matches!(one.drawn, Drawn::TriesExcept(_)));
    let drawn = if looks_for_drawn { drawn_members(form) } else { Vec::new() };
    let mut known: Vec<(Vec<&Pointer>, &[&Pointer], Digest)> = Vec::new();
    selections.each_ref().map(|selection| {
        let further = drawn.iter().filter(|pointer| selection.leaves_out(pointer));
        let without: Vec<&Pointer> = selection.without.iter().copied().chain(further).collect();
        let select = selection.select.as_slice();
        if let Some((_, _, digest)) = known.iter().find(|one| one.0 == without && one.1 == select) {
            return *digest;
        }
        let digest = json_digest(form, &without, select);
        known.push((without, select, digest));
        digest
    })
}

fn json_digest(form: &str, without: &[&Pointer], select: &[&Pointer]) -> Digest {
    let text = if without.is_empty() {
        Cow::Borrowed(form)
    } else {
        canonical::without(form, without.iter().copied()).into()
    };
    if select.is_empty() {
        return Encoder::new("body/v1").field("json").field(text.as_bytes()).finish();
    }
    let selected = Encoder::new("body/v1").field("json-select");
    let values = select.iter().map(|pointer| pointer.get(&text));
    values.fold(selected, Encoder::optional).finish()
}

impl FieldSelection<'_> {
    /// Whether a rule names parts.
    pub(super) fn names_parts(&self) -> bool {
        !self.without.is_empty() || !self.select.is_empty()
    }

    /// Whether a member that a client draws for each try is left out.
    fn leaves_out(&self, drawn: &Pointer) -> bool {
        match &self.drawn {
            Drawn::TriesExcept(kept) => !kept.contains(&drawn),
            Drawn::Counts | Drawn::Signatures => false,
        }
    }

    /// The digest of the pairs of a form. `headers` are the request's.
    pub(super) fn form(&self, headers: &HeaderMap, pairs: &[Pair]) -> Digest {
        let names = |list: &[&Pointer], name: &[u8]| {
            list.iter().any(|field| field.only_name().is_some_and(|only| only.as_bytes() == name))
        };
        let is_drawn = self.drawn_fields(headers, pairs);
        let counts = |name: &[u8]| {
            !names(&self.without, name)
                && !is_drawn(name)
                && (self.select.is_empty() || names(&self.select, name))
        };
        let label = if self.select.is_empty() { "form" } else { "form-select" };
        let form = Encoder::new("body/v1").field(label);
        pairs
            .iter()
            .filter(|(name, _)| counts(name))
            .fold(form, |form, (name, value)| form.field(name).optional(value.as_ref()))
            .finish()
    }

    /// Which fields of a form the client draws again for each try.
    fn drawn_fields(&self, headers: &HeaderMap, pairs: &[Pair]) -> impl Fn(&[u8]) -> bool {
        let names = pairs.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok());
        let signing =
            (self.drawn != Drawn::Counts).then(|| Signing::of_names(names).beside(headers));
        move |name: &[u8]| {
            std::str::from_utf8(name).is_ok_and(|name| {
                signing.is_some_and(|signing| signing.has(name)) || self.is_of_one_try(name)
            })
        }
    }

    /// Whether a form's field of this name is left out as the key or the proof of one try.
    pub(super) fn is_of_one_try(&self, name: &str) -> bool {
        match &self.drawn {
            Drawn::TriesExcept(kept) => {
                describes_a_try(name)
                    && !kept.iter().any(|field| field.only_name().as_deref() == Some(name))
            }
            Drawn::Counts | Drawn::Signatures => false,
        }
    }
}

/// The members of a canonical text that the client draws again for each try: at the top, and among
/// the arguments of a call. Deeper ones may be data.
fn drawn_members(form: &str) -> Vec<Pointer> {
    let mut drawn = Vec::new();
    collect(form, "", &mut drawn);
    drawn
}

fn collect(text: &str, at: &str, drawn: &mut Vec<Pointer>) {
    if !text.starts_with('{') {
        return;
    }
    let Ok(members) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(text) else {
        return;
    };
    let signing = Signing::of_names(members.keys().map(AsRef::as_ref));
    // JSON-RPC 2.0, 4: an id belongs to one request.
    let is_rpc = members.contains_key("jsonrpc");
    for (name, value) in &members {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        if describes_a_try(name) || signing.has(name) || is_rpc && name == "id" {
            drawn.extend(pointer.parse::<Pointer>());
        } else if ENVELOPES.contains(&name.as_ref()) {
            collect(value.get(), &pointer, drawn);
        }
    }
}

#[cfg(test)]
mod tests;
