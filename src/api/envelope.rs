//! The envelope of calls: single requests, batches, and ids that can be answered.

use std::fmt;

use jsonrpsee::types::{Id, InvalidRequest, Request};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Code, Error};

/// The most entries of one batch.
pub(crate) const MAX_BATCH: usize = 100;

/// Whether `text` is a batch, by its first character.
pub(crate) fn is_batch(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[')
}

/// The entries of a batch, each as its own text.
pub(crate) fn entries(text: &str) -> Result<Vec<&RawValue>, Error> {
    let Entries { kept, count } = serde_json::from_str(text).map_err(parse_error)?;
    match count {
        0 => Err(Error::new(Code::InvalidRequest, "empty batch")),
        1..=MAX_BATCH => Ok(kept),
        _ => Err(Error::new(
            Code::Limit,
            format!("a batch of {count} entries is too large: send at most {MAX_BATCH}"),
        )),
    }
}

/// Reads one request. Refuses, so that nothing runs whose result nobody could get, a missing id,
/// and ids that are negative or fractional numbers (jsonrpsee treats both as notifications).
pub(crate) fn request(text: &str) -> Result<Request<'_>, (Id<'static>, Error)> {
    serde_json::from_str(text).map_err(|_| describe_error(text))
}

#[cold]
fn describe_error(text: &str) -> (Id<'static>, Error) {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return (Id::Null, parse_error(error));
    }
    let id = serde_json::from_str::<InvalidRequest<'_>>(text).ok().map(|invalid| invalid.id);
    let message = match (serde_json::from_str::<RawMembers<'_>>(text), &id) {
        (Err(_), _) => {
            "a request is an object with the members jsonrpc, method, params and id, each once"
        }
        (Ok(members), _) if members.jsonrpc.map(RawValue::get) != Some(r#""2.0""#) => {
            r#"the member jsonrpc must be "2.0""#
        }
        (Ok(members), _) if !members.method.is_some_and(|method| method.get().starts_with('"')) => {
            "the member method must be a string"
        }
        (Ok(loose), None) if loose.id.is_none() => {
            "a request without id (a notification) does not run: add an id"
        }
        (Ok(_), None) => "the id must be a string or a whole number from 0",
        (Ok(_), Some(_)) => "this is not a JSON-RPC 2.0 request",
    };
    (id.map_or(Id::Null, Id::into_owned), Error::new(Code::InvalidRequest, message))
}

fn parse_error(error: impl fmt::Display) -> Error {
    Error::new(Code::ParseError, format!("the body is not valid JSON: {error}"))
}

/// The members of something that is not a request.
#[derive(Deserialize)]
struct RawMembers<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Keeps no more entries of an array than a batch may have, however long it is.
struct Entries<'a> {
    kept: Vec<&'a RawValue>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Entries { kept: Vec::new(), count: 0 };
                while entries.kept.len() < MAX_BATCH {
                    match seq.next_element()? {
                        Some(entry) => entries.kept.push(entry),
                        None => break,
                    }
                }
                entries.count = entries.kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    entries.count += 1;
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(Keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Id<'static>, Code, String) {
        let (id, error) = request(text).unwrap_err();
        (id, error.code, error.message)
    }

    #[test]
    fn ids_that_can_be_answered() {
        for id in ["0", "18446744073709551615", r#""a""#, "null"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#);
            let request = request(&text).unwrap();
            assert_eq!(serde_json::to_string(&request.id).unwrap(), id);
        }
    }

    #[test]
    fn requests_that_jsonrpsee_would_treat_as_notifications_are_refused() {
        for id in ["-1", "1.5", "1e2", "18446744073709551616", "[]", "{}", "true"] {
            let (answered, code, message) =
                refused(&format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#));
            assert_eq!((answered, code), (Id::Null, Code::InvalidRequest), "{id}");
            assert!(message.contains("whole number"), "{id}: {message}");
        }
        let (_, code, message) = refused(r#"{"jsonrpc":"2.0","method":"m"}"#);
        assert_eq!(code, Code::InvalidRequest);
        assert!(message.contains("without id"));
    }

    #[test]
    fn malformed_requests_say_what_is_wrong() {
        let table = [
            (r#"{"jsonrpc":"2.0","method":"m","id":-1"#, Code::ParseError, "not valid JSON"),
            ("", Code::ParseError, "not valid JSON"),
            ("1", Code::InvalidRequest, "object"),
            (r#"{"method":"m","id":1}"#, Code::InvalidRequest, "jsonrpc"),
            (r#"{"jsonrpc":"1.0","method":"m","id":1}"#, Code::InvalidRequest, "jsonrpc"),
            (r#"{"jsonrpc":"2.0","id":1}"#, Code::InvalidRequest, "method"),
            (r#"{"jsonrpc":"2.0","method":"m","id":1,"id":2}"#, Code::InvalidRequest, "once"),
        ];
        for (text, code, part) in table {
            let (_, got, message) = refused(text);
            assert_eq!(got, code, "{text}");
            assert!(message.contains(part), "{text}: {message}");
        }
        assert_eq!(refused(r#"{"method":"m","id":7}"#).0, Id::Number(7));
    }

    #[test]
    fn batches_are_bounded() {
        let batch = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert!(is_batch(" \r\n[") && !is_batch("{"));
        assert_eq!(entries(&batch(100)).unwrap().len(), 100);
        assert_eq!(entries(&batch(101)).unwrap_err().code, Code::Limit);
        assert_eq!(entries("[]").unwrap_err().code, Code::InvalidRequest);
        assert_eq!(entries("[1").unwrap_err().code, Code::ParseError);
        assert_eq!(entries("[1]2").unwrap_err().code, Code::ParseError);
    }
}
