//! Parameters: by name, decoded from their own text, refused with the JSON path of the error.

use std::time::Duration;

use jsonrpsee::types::Params;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use store::model::JsonError;
use store::{LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, MAX_NAME};

use super::error::{Code, Error};

/// The longest time that a call may wait for an execution to settle.
pub(crate) const MAX_WAIT: Duration = Duration::from_mins(5);

/// The most rows of one page.
pub(crate) const MAX_PAGE: usize = 1_000;

/// The longest reason for a verdict, in characters.
const MAX_EVIDENCE: usize = 4_096;

/// The start of messages about a text that is too long; they are limits, not wrong params.
const TOO_LONG: &str = "longer than ";

/// A text of `MIN` to `MAX` characters.
#[derive(Debug, Clone)]
pub(crate) struct BoundedText<const MIN: usize, const MAX: usize>(pub(crate) String);

/// A name or key: 1 to 255 characters.
pub(crate) type Name = BoundedText<1, MAX_NAME>;

/// A name that may be empty.
pub(crate) type NameOrEmpty = BoundedText<0, MAX_NAME>;

/// The evidence for a verdict.
pub(crate) type Evidence = BoundedText<1, MAX_EVIDENCE>;

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for BoundedText<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() < MIN {
            return Err(D::Error::custom("must not be empty"));
        }
        if text.len() > MAX && text.chars().count() > MAX {
            return Err(D::Error::custom(format!("{TOO_LONG}{MAX} characters")));
        }
        Ok(Self(text))
    }
}

/// The params of a method that has none.
#[derive(Debug, Deserialize)]
pub(crate) struct NoParams {}

/// Refuses a name inside a whole object that is longer than 255 characters.
pub(crate) fn check_name(field: &str, name: Option<&String>) -> Result<(), Error> {
    match name {
        Some(name) if name.len() > MAX_NAME && name.chars().count() > MAX_NAME => {
            Err(Error::field(Code::Limit, field, &format!("{TOO_LONG}{MAX_NAME} characters")))
        }
        _ => Ok(()),
    }
}

/// The time to live of a lease, from `lease_ms`.
pub(crate) fn lease_ttl(lease_ms: Option<u64>) -> Result<Duration, Error> {
    let ttl = lease_ms.map_or(LEASE_DEFAULT, Duration::from_millis);
    if (LEASE_MIN..=LEASE_MAX).contains(&ttl) {
        return Ok(ttl);
    }
    let (min, max) = (LEASE_MIN.as_millis(), LEASE_MAX.as_millis());
    Err(Error::field(Code::InvalidParams, "lease_ms", &format!("must be {min} to {max}")))
}

/// A time to wait, from `field` in milliseconds.
pub(crate) fn wait(field: &str, ms: u64) -> Result<Duration, Error> {
    let wait = Duration::from_millis(ms);
    if wait <= MAX_WAIT {
        return Ok(wait);
    }
    let max = MAX_WAIT.as_millis();
    Err(Error::field(
        Code::InvalidParams,
        field,
        &format!("must be at most {max}; call again after that"),
    ))
}

/// The size of a page, from `limit`.
pub(crate) fn page(limit: Option<usize>, default: usize) -> Result<usize, Error> {
    let limit = limit.unwrap_or(default);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("must be 1 to {MAX_PAGE}; use the cursor for more");
    Err(Error::field(Code::InvalidParams, "limit", &message))
}

/// Decodes params by name; absent params are an empty object.
pub(crate) fn decode<P: DeserializeOwned>(params: &Params<'_>) -> Result<P, Error> {
    let text = params.as_str().unwrap_or("{}");
    if !text.starts_with('{') {
        return Err(Error::new(
            Code::InvalidParams,
            "params must be an object: parameters are passed by name",
        ));
    }
    serde_json::from_str(text).map_err(|error| locate::<P>(text, error))
}

/// Decodes again, now with the path; only callers that make a mistake pay for it.
fn locate<P: DeserializeOwned>(text: &str, error: serde_json::Error) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let (mut field, error) = match serde_path_to_error::deserialize::<_, P>(&mut deserializer) {
        Ok(_) => (String::new(), error),
        Err(located) => {
            let field = located.path().to_string();
            (if field == "." { String::new() } else { field }, located.into_inner())
        }
    };
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    if let Some(missing) =
        message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
    {
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(missing);
        return Error::field(Code::InvalidParams, &field, "is missing");
    }
    let message = &in_plain_words(message);
    let limit = message.starts_with(TOO_LONG) || *message == JsonError::Depth.to_string();
    Error::field(if limit { Code::Limit } else { Code::InvalidParams }, &field, message)
}

/// Replaces the Rust types of numbers in messages of serde, which mean nothing to a caller.
fn in_plain_words(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((what, "u32" | "u64" | "usize")) => format!("{what}, expected a whole number from 0"),
        Some((what, "i64")) => format!("{what}, expected a whole number"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jsonrpsee::types::ErrorObjectOwned;
    use serde_json::Value;
    use store::model::{GoalUpdate, Json};

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Call {
        tool_name: Name,
        tool_input: Json,
        idempotency_key: Option<Name>,
    }

    #[derive(Debug, Deserialize)]
    struct Update {
        #[expect(dead_code, reason = "only its decoding is looked at")]
        goal: GoalUpdate,
    }

    fn refused<P: DeserializeOwned + std::fmt::Debug>(text: &str) -> (Code, Value, String) {
        let error = decode::<P>(&Params::new(Some(text))).unwrap_err();
        let code = error.code;
        let object = ErrorObjectOwned::from(error);
        let data: Value = serde_json::from_str(object.data().unwrap().get()).unwrap();
        (code, data["field"].clone(), object.message().to_owned())
    }

    #[test]
    fn input_keeps_its_text_and_null_is_absent() {
        let input =
            r#"{ "n":123456789012345678901234567890, "f":1.00000000000000000001, "n":"\u0061" }"#;
        let text = format!(
            r#"{{"tool_name":"t","tool_input":{input},"idempotency_key":null,"extra":[1]}}"#
        );
        let call: Call = decode(&Params::new(Some(&text))).unwrap();
        assert_eq!(call.tool_input.as_str(), input);
        assert!(call.idempotency_key.is_none());
        assert_eq!(call.tool_name.0, "t");
    }

    #[test]
    fn errors_name_the_path_in_the_params() {
        let invalid = Code::InvalidParams;
        let (code, field, _) = refused::<Call>(r#"{"tool_name":1,"tool_input":1}"#);
        assert_eq!((code, field), (invalid, "tool_name".into()));
        let (code, field, message) = refused::<Call>(r#"{"tool_name":"t"}"#);
        assert_eq!(
            (code, field, &*message),
            (invalid, "tool_input".into(), "tool_input: is missing")
        );
        let (code, field, _) = refused::<Update>(
            r#"{"goal":{"id":"00000000-0000-0000-0000-000000000001","status":"x"}}"#,
        );
        assert_eq!((code, field), (invalid, "goal.status".into()));
        let (code, field, _) = refused::<Update>(r#"{"goal":{}}"#);
        assert_eq!((code, field), (invalid, "goal.id".into()));
        let (code, field, message) = refused::<Call>("[1]");
        assert_eq!((code, field), (invalid, Value::Null));
        assert!(message.contains("by name"));
    }

    #[test]
    fn limits_have_their_own_code() {
        let name = |n: usize| format!(r#"{{"tool_name":"{}","tool_input":1}}"#, "ä".repeat(n));
        assert!(decode::<Call>(&Params::new(Some(&name(MAX_NAME)))).is_ok());
        let (code, field, _) = refused::<Call>(&name(MAX_NAME + 1));
        assert_eq!((code, field), (Code::Limit, "tool_name".into()));

        let deep = |n: usize| {
            format!(r#"{{"tool_name":"t","tool_input":{}{}}}"#, "[".repeat(n), "]".repeat(n))
        };
        assert!(decode::<Call>(&Params::new(Some(&deep(128)))).is_ok());
        let (code, field, _) = refused::<Call>(&deep(129));
        assert_eq!((code, field), (Code::Limit, "tool_input".into()));

        let (code, field, _) = refused::<Call>(r#"{"tool_name":"","tool_input":1}"#);
        assert_eq!((code, field), (Code::InvalidParams, "tool_name".into()));
    }

    #[test]
    fn bounds_of_numbers() {
        assert_eq!(lease_ttl(None).unwrap(), LEASE_DEFAULT);
        assert!(lease_ttl(Some(999)).is_err() && lease_ttl(Some(3_600_001)).is_err());
        assert!(lease_ttl(Some(1_000)).is_ok() && lease_ttl(Some(3_600_000)).is_ok());
        assert!(wait("wait_ms", 300_000).is_ok() && wait("wait_ms", 300_001).is_err());
        assert!(page(Some(0), 50).is_err() && page(Some(1_001), 50).is_err());
        assert_eq!(page(None, 50).unwrap(), 50);
    }
}
