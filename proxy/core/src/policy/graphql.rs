//! Whether a GraphQL request only reads.

use std::borrow::Cow;

use apollo_parser::Parser;
use apollo_parser::cst::Definition;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;

use crate::http::target::Target;

/// The depth of a document, beyond which it is guarded like anything that cannot be read.
const MAX_DEPTH: usize = 100;
/// The length of a document in tokens, beyond which it is guarded.
const MAX_TOKENS: usize = 20_000;

/// A GraphQL request over HTTP, or a batch of them. Duplicate members are refused by serde.
#[derive(Deserialize)]
#[serde(untagged)]
enum GraphqlRequest<'a> {
    #[serde(borrow)]
    SingleRequest(SingleRequest<'a>),
    #[serde(borrow)]
    Batch(Vec<SingleRequest<'a>>),
}

#[derive(Deserialize)]
struct SingleRequest<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
}

/// Whether the path looks like that of a GraphQL endpoint.
pub(super) fn is_endpoint(target: &Target) -> bool {
    let last = target.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    matches!(last, "graphql" | "graphql.json" | "gql")
}

/// Whether the body itself is a document (`application/graphql`).
pub(super) fn is_document(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/graphql")
    })
}

/// Whether every operation of every document in `body` is certain to be a query, whatever
/// `operationName` picks.
pub(super) fn only_queries(headers: &HeaderMap, body: &[u8]) -> bool {
    if is_document(headers) {
        return std::str::from_utf8(body).is_ok_and(reads);
    }
    match serde_json::from_slice(body) {
        Ok(GraphqlRequest::SingleRequest(one)) => reads(&one.query),
        Ok(GraphqlRequest::Batch(batch)) => {
            !batch.is_empty() && batch.iter().all(|one| reads(&one.query))
        }
        Err(_) => false,
    }
}

fn reads(document: &str) -> bool {
    let tree = Parser::new(document).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
    if tree.errors().len() > 0 {
        return false;
    }
    let mut operations = 0;
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => {
                operations += 1;
                if operation.operation_type().is_some_and(|kind| kind.query_token().is_none()) {
                    return false;
                }
            }
            Definition::FragmentDefinition(_) => {}
            _ => return false,
        }
    }
    operations > 0
}
