//! Which requests the shipped table of POSTs that only read is about.

use http::header::{CONTENT_TYPE, HeaderMap};

use super::graphql;
use super::members::has_member;
use super::table::{self, Read};
use crate::http::forms::kind::{Kind, kind};
use crate::http::forms::urlencoded::pairs;
use crate::http::target::Target;

impl Read {
    pub(super) fn by_head(&self, target: &Target) -> bool {
        match &self.when {
            table::When::PathEnd(end) => target.path().ends_with(end),
            _ => self.is_of(&target.authority.host),
        }
    }

    /// Does it name this host.
    pub(super) fn is_of(&self, host: &str) -> bool {
        match &self.when {
            table::When::Host(own) => host == *own,
            table::When::HostBetween(prefix, suffix) => {
                host.len() > prefix.len() + suffix.len()
                    && host.starts_with(prefix)
                    && host.ends_with(suffix)
            }
            _ => false,
        }
    }

    /// Could the body make this row match; costs nothing.
    pub(super) fn may_match_body(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            table::When::FormField(_) => matches!(kind(headers), Kind::Form),
            table::When::GraphQlQueries => {
                graphql::is_document(headers)
                    || graphql::is_endpoint(target) && matches!(kind(headers), Kind::Json)
            }
            table::When::PathEndAndMember(end, _) => {
                target.path().ends_with(end)
                    && (matches!(kind(headers), Kind::Json) || is_protobuf(headers))
            }
            _ => false,
        }
    }

    pub(super) fn by_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match &self.when {
            table::When::FormField(field) => pairs(body)
                .is_some_and(|pairs| pairs.iter().any(|(name, _)| name == field.as_bytes())),
            table::When::GraphQlQueries => graphql::only_queries(headers, body),
            table::When::PathEndAndMember(_, member) => {
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
