//! Which parts of a body count, and the digest of these.

use store_core::canonical::{self, Pointer};
use store_core::key::{Digest, Encoder};

use super::urlencoded::Pair;

/// Which parts of a body count. By default all do. Only JSON and forms have parts that can be
/// named.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldSelection<'a> {
    /// Parts that do not count.
    pub(crate) without: Vec<&'a Pointer>,
    /// The only parts that count, if there are any.
    pub(crate) select: Vec<&'a Pointer>,
}

impl FieldSelection<'_> {
    fn is_all(&self) -> bool {
        self.without.is_empty() && self.select.is_empty()
    }

    pub(super) fn json(&self, form: Vec<u8>) -> Digest {
        let plain = |form: &[u8]| Encoder::new("body/v1").field("json").field(form).finish();
        let text = match String::from_utf8(form) {
            Ok(text) if !self.is_all() => text,
            Ok(text) => return plain(text.as_bytes()),
            Err(error) => return plain(error.as_bytes()),
        };
        let text = if self.without.is_empty() {
            text
        } else {
            canonical::without(&text, self.without.iter().copied())
        };
        if self.select.is_empty() {
            return plain(text.as_bytes());
        }
        let selected = Encoder::new("body/v1").field("json-select");
        let values = self.select.iter().map(|pointer| pointer.get(&text));
        values.fold(selected, store_core::key::Encoder::optional).finish()
    }

    pub(super) fn form(&self, mut pairs: Vec<Pair>) -> Digest {
        let names = |list: &[&Pointer], name: &[u8]| {
            list.iter().any(|field| field.only_name().is_some_and(|only| only.as_bytes() == name))
        };
        if !self.is_all() {
            pairs.retain(|(name, _)| {
                !names(&self.without, name) && (self.select.is_empty() || names(&self.select, name))
            });
        }
        let label = if self.select.is_empty() { "form" } else { "form-select" };
        let form = Encoder::new("body/v1").field(label);
        pairs
            .iter()
            .fold(form, |form, (name, value)| form.field(name).optional(value.as_ref()))
            .finish()
    }
}
