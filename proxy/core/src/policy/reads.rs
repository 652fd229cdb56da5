//! The requests that the shipped table of POSTs that only read matches.

use http::header::{CONTENT_TYPE, HeaderMap};

use super::graphql;
use super::members::has_member;
use super::table::{PostMatch, ReadOnlyPost};
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::urlencoded::pairs;
use crate::http::target::Target;

impl ReadOnlyPost {
    pub(super) fn matches_head(&self, target: &Target) -> bool {
        match &self.when {
            PostMatch::PathEnd(end) => target.path().ends_with(end),
            _ => self.names_host(&target.authority.host),
        }
    }

    /// Whether the row names this host.
    pub(super) fn names_host(&self, host: &str) -> bool {
        match &self.when {
            PostMatch::Host(own) => host == *own,
            PostMatch::HostBetween(prefix, suffix) => {
                host.len() > prefix.len() + suffix.len()
                    && host.starts_with(prefix)
                    && host.ends_with(suffix)
            }
            _ => false,
        }
    }

    /// Whether the body could make this row match. Reads the head only.
    pub(super) fn may_match_body(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            PostMatch::FormField(_) => matches!(body_kind(headers), BodyKind::Form),
            PostMatch::GraphQlQueries => {
                graphql::is_document(headers)
                    || graphql::is_endpoint(target) && matches!(body_kind(headers), BodyKind::Json)
            }
            PostMatch::PathEndAndMember(end, _) => {
                target.path().ends_with(end)
                    && (matches!(body_kind(headers), BodyKind::Json) || is_protobuf(headers))
            }
            _ => false,
        }
    }

    pub(super) fn matches_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match &self.when {
            PostMatch::FormField(field) => pairs(body)
                .is_some_and(|pairs| pairs.iter().any(|(name, _)| name == field.as_bytes())),
            PostMatch::GraphQlQueries => graphql::only_queries(headers, body),
            PostMatch::PathEndAndMember(_, member) => {
                is_protobuf(headers) || has_member(body, member)
            }
            _ => false,
        }
    }
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/x-protobuf")
    })
}
