//! What of a request counts in which comparison (docs/SEMANTICS.md, "When two inputs are the same").

use store_core::canonical::Pointer;

use super::decision::Guarded;
use super::keyed::KeyPlace;
use crate::http::field_words::times_a_signature;
use crate::http::forms::selection::{Drawn, FieldSelection};
use crate::http::meaning::{counted_before, counts, is_known, is_of_mcp};
use crate::http::signatures::Signing;
use crate::http::tries::describes_a_try;

/// A comparison of two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Of two calls without an explicit key.
    Derived,
    /// Of the input of two calls under one key.
    Input,
    /// The same in version 0.2.0.
    Legacy,
    /// Of a call with one in doubt, without regard to the rule.
    Content,
    /// The same under the rule.
    Ruled,
    /// `Content` with the keys that a rule or a table places.
    Literal,
}

impl Comparison {
    /// All of them, each at the index that it has as a number.
    pub(crate) const ALL: [Self; 6] =
        [Self::Derived, Self::Input, Self::Legacy, Self::Content, Self::Ruled, Self::Literal];

    /// Whether what the rule ignores is left out.
    fn is_under_rule(self) -> bool {
        matches!(self, Self::Derived | Self::Input | Self::Legacy | Self::Ruled)
    }

    /// Whether a header field counts if no rule says otherwise.
    fn usual(self, name: &str, is_signed: bool) -> bool {
        match self {
            Self::Derived => counts(name) && !(is_signed && times_a_signature(name)),
            Self::Legacy => counted_before(name),
            Self::Input | Self::Content | Self::Ruled | Self::Literal => is_known(name),
        }
    }

    /// Whether what a client draws again for each try is left out.
    fn is_of_doubt(self) -> bool {
        matches!(self, Self::Content | Self::Ruled | Self::Literal)
    }
}

impl Guarded {
    /// Whether a header field distinguishes two calls that have no explicit key. `name` is in lower
    /// case.
    pub fn counts(&self, name: &str) -> bool {
        self.compares_field(Comparison::Derived, name, || Comparison::Derived.usual(name, false))
    }

    /// Whether a header field distinguishes two calls under one explicit key. `name` is in lower
    /// case.
    pub fn counts_under_key(&self, name: &str) -> bool {
        self.compares_field(Comparison::Input, name, || Comparison::Input.usual(name, false))
    }

    /// Whether a header field counts in each comparison. `name` is in lower case; the request
    /// `is_signed` if it carries a signature.
    pub(crate) fn compares_field_in_all(
        &self,
        name: &str,
        is_signed: bool,
    ) -> [bool; Comparison::ALL.len()] {
        // Looked up once each: the others ask what `Input` asks.
        let [derived, legacy, known] = [Comparison::Derived, Comparison::Legacy, Comparison::Input]
            .map(|comparison| comparison.usual(name, is_signed));
        Comparison::ALL.map(|comparison| {
            self.compares_field(comparison, name, || match comparison {
                Comparison::Derived => derived,
                Comparison::Legacy => legacy,
                _ => known,
            })
        })
    }

    /// Whether a header field counts in a comparison: by the rule, else as usual.
    fn compares_field(
        &self,
        comparison: Comparison,
        name: &str,
        usual: impl FnOnce() -> bool,
    ) -> bool {
        let input = self.rule.as_ref().map(|rule| &rule.input);
        if comparison != Comparison::Literal && self.is_key(name)
            || comparison.is_under_rule() && input.is_some_and(|input| input.ignores(name))
        {
            return false;
        }
        if input.is_some_and(|input| input.makes_count(name)) {
            return true;
        }
        !(self.is_tool_call && is_of_mcp(name)) && usual()
    }

    /// Whether a query parameter counts in a comparison. `name` is as a server reads it; `signing`
    /// says what signs the query.
    pub(crate) fn compares_parameter(
        &self,
        comparison: Comparison,
        name: &str,
        signing: Signing,
    ) -> bool {
        let ignores = || self.rule.as_ref().is_some_and(|rule| rule.input.ignores_parameter(name));
        !(comparison != Comparison::Legacy && signing.has(name)
            || comparison.is_under_rule() && ignores()
            || comparison.is_of_doubt() && describes_a_try(name))
    }

    /// Which parts of a body count in a comparison.
    pub(crate) fn compares_parts(&self, comparison: Comparison) -> FieldSelection<'_> {
        let selected = || -> Vec<&Pointer> {
            let rule = self.rule.as_ref();
            rule.map_or_else(Vec::new, |rule| {
                rule.input.select.iter().map(|field| &field.0).collect()
            })
        };
        let mut selection = FieldSelection {
            drawn: match comparison {
                Comparison::Legacy => Drawn::Counts,
                _ if comparison.is_of_doubt() => Drawn::TriesExcept(selected()),
                _ => Drawn::Signatures,
            },
            ..FieldSelection::default()
        };
        if comparison != Comparison::Literal {
            selection.without.extend(self.key_places().filter_map(|place| match place {
                KeyPlace::Member(pointer) => Some(pointer),
                KeyPlace::Header(_) => None,
            }));
        }
        if comparison.is_under_rule()
            && let Some(rule) = &self.rule
        {
            selection.without.extend(rule.input.ignore.iter().map(|field| &field.0));
            selection.select = selected();
        }
        selection
    }
}
