//! The requests that the shipped table of POSTs that only read matches.

use http::header::{CONTENT_TYPE, HeaderMap};

use super::glob::path_matches;
use super::graphql;
use super::members::{has_member, names};
use super::read_names::operation_reads;
use super::rpc::{RpcCalls, may_be_rpc};
use super::table::{PostMatch, ReadOnlyPost};
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::forms::urlencoded::pairs;
use crate::http::target::Target;
use crate::words::words;

/// What the names of a poll's members are made of.
const POLL_WORDS: &[&str] = &[
    "timeout",
    "wait",
    "seconds",
    "secs",
    "ms",
    "max",
    "min",
    "limit",
    "count",
    "size",
    "batch",
    "offset",
    "cursor",
    "since",
    "after",
    "last",
    "from",
    "seq",
    "sequence",
    "position",
    "marker",
    "event",
    "events",
    "id",
    "ids",
    "message",
    "messages",
    "task",
    "tasks",
    "job",
    "jobs",
    "queue",
    "queues",
    "topic",
    "topics",
    "type",
    "types",
    "client",
    "consumer",
    "worker",
    "agent",
    "group",
    "session",
    "channel",
    "channels",
    "subscription",
    "device",
    "long",
    "poll",
    "filter",
    "version",
];

impl ReadOnlyPost {
    pub(super) fn matches_head(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            PostMatch::PathEnd(end) => target.path().ends_with(end),
            PostMatch::Path(patterns) => is_path(patterns, target),
            PostMatch::CustomRead => {
                let last = target.path().rsplit('/').next().unwrap_or_default();
                last.rsplit_once(':').is_some_and(|(_, name)| operation_reads(name))
            }
            PostMatch::AwsRead => aws_target(headers).is_some_and(operation_reads),
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
            PostMatch::AwsRead => {
                aws_target(headers).is_none() && matches!(body_kind(headers), BodyKind::Form)
            }
            PostMatch::GraphQlQueries => {
                graphql::is_document(headers)
                    || graphql::is_endpoint(target) && matches!(body_kind(headers), BodyKind::Json)
            }
            PostMatch::PathEndAndMember(end, _) => {
                target.path().ends_with(end)
                    && (matches!(body_kind(headers), BodyKind::Json) || is_protobuf(headers))
            }
            PostMatch::RpcReads => may_be_rpc(headers),
            PostMatch::PathAndMembers(patterns, _) => is_path(patterns, target),
            PostMatch::Poll(segments) => {
                let last = target.path().trim_end_matches('/').rsplit('/').next();
                segments.contains(&words(last.unwrap_or_default()).concat().as_str())
            }
            _ => false,
        }
    }

    pub(super) fn matches_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match &self.when {
            PostMatch::FormField(field) => field_of(body, field).is_some(),
            PostMatch::AwsRead => {
                let action = field_of(body, "Version").and_then(|_| field_of(body, "Action"));
                action.is_some_and(|action| operation_reads(&action))
            }
            PostMatch::GraphQlQueries => graphql::only_queries(headers, body),
            PostMatch::PathEndAndMember(_, member) => {
                is_protobuf(headers) || has_member(body, member)
            }
            PostMatch::RpcReads => RpcCalls::read(body).is_some_and(|calls| calls.only_read()),
            PostMatch::PathAndMembers(_, members) => {
                members.iter().all(|member| has_member(body, member))
            }
            PostMatch::Poll(_) => {
                body.is_empty()
                    || names(headers, body).is_some_and(|names| {
                        let mut words = names.iter().flat_map(|name| words(name));
                        words.all(|word| POLL_WORDS.contains(&word.as_str()))
                    })
            }
            _ => false,
        }
    }
}

fn is_path(patterns: &[&str], target: &Target) -> bool {
    patterns.iter().any(|pattern| path_matches(pattern, target.path()))
}

/// The operation of AWS's JSON protocols: `AmazonSQS.ReceiveMessage`.
fn aws_target(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    Some(target.rsplit('.').next().unwrap_or(target))
}

/// The first field of this name in a form. One without a value is empty.
fn field_of(body: &[u8], name: &str) -> Option<String> {
    let (_, value) = pairs(body)?.into_iter().find(|(other, _)| other == name.as_bytes())?;
    String::from_utf8(value.unwrap_or_default()).ok()
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/x-protobuf")
    })
}
