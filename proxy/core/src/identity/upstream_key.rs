//! Keys inside requests: the client's own, where a rule or the table says that one stands, and the
//! engine's own, for upstreams that honour keys and got none.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use store_core::canonical::{self, Pointer};
use store_core::key::Encoder;
use store_core::model::EffectClass;
use uuid::Uuid;

use super::metadata::key_text;
use crate::error::Error;
use crate::http::forms::kind::{BodyKind, body_kind, decoded};
use crate::http::forms::urlencoded::pairs;
use crate::http::own_fields::IDEMPOTENCY_KEY;
use crate::policy::decision::Guarded;
use crate::policy::keyed::{KeyPlace, is_key_field, is_key_value};

/// The keys of a call: the client's own, and the place of the engine's own.
#[derive(Debug)]
pub struct CallKeys {
    /// The client's own key, found in the request.
    pub client: Option<String>,
    /// Where the engine puts its own key: at the upstream's place, if that has none.
    pub adds: Option<KeyPlace>,
}

/// Looks for the client's own key where the rule or the table says, else in the fields that are named
/// like a key, and decides where the engine's
/// own goes. `body` is the request's as it came. `None`: it is too large to be searched. `tool_key`
/// is the key that a tool call names.
///
/// If the upstream cannot recognise a repeat, the call becomes one of the class `once`. That is so
/// if the upstream's place cannot hold a key, or holds the client's key while another place
/// names the call: the next try may then carry another key upstream.
pub fn find_keys(
    guarded: &mut Guarded,
    headers: &HeaderMap,
    body: Option<&[u8]>,
    tool_key: Option<&str>,
) -> Result<CallKeys, Error> {
    let mut named_elsewhere = tool_key.is_some();
    let mut client = None;
    for place in guarded.key_places() {
        client = key_at(place, headers, body)?;
        if client.is_some() {
            named_elsewhere |= guarded.upstream.as_ref().is_some_and(|key| key.place != *place);
            break;
        }
    }
    if client.is_none() && tool_key.is_none() && !headers.contains_key(IDEMPOTENCY_KEY) {
        client = key_by_name(headers)?;
        named_elsewhere |= client.is_some();
    }
    let Some(upstream) = &guarded.upstream else {
        return Ok(CallKeys { client, adds: None });
    };
    if key_at(&upstream.place, headers, body)?.is_some() {
        if named_elsewhere {
            guarded.class = EffectClass::Once;
        }
        return Ok(CallKeys { client, adds: None });
    }
    if has_room(&upstream.place, headers, body) {
        return Ok(CallKeys { client, adds: Some(upstream.place.clone()) });
    }
    guarded.class = EffectClass::Once;
    guarded.upstream = None;
    Ok(CallKeys { client, adds: None })
}

/// The key in a field that is named like one, on any host. Of several, the first by name.
fn key_by_name(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut names: Vec<&HeaderName> = headers
        .iter()
        .filter(|(name, value)| is_key_field(name.as_str()) && is_key_value(value.as_bytes()))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable_by_key(|name| name.as_str());
    names.first().map_or(Ok(None), |name| key_at(&KeyPlace::Header((*name).clone()), headers, None))
}

/// The client's own key at `place`. Refuses two of them, and one that is not 1 to 255 printable
/// ASCII characters.
fn key_at(
    place: &KeyPlace,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Result<Option<String>, Error> {
    match place {
        KeyPlace::Header(name) => {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => key_text(name.as_str(), value.as_bytes()).map(Some),
                _ => Err(Error::Malformed(format!("the request has more than one {name} header"))),
            }
        }
        KeyPlace::Member(pointer) => body
            .and_then(|body| member(pointer, headers, body))
            .map(|value| key_text(&pointer.to_string(), &value))
            .transpose(),
    }
}

/// A string or a number of a JSON body, or the only field of this name in a form.
fn member(pointer: &Pointer, headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
    let body = decoded(headers, body)?;
    match body_kind(headers) {
        BodyKind::Json => {
            let form = String::from_utf8(canonical::json(&body)?).ok()?;
            let value = pointer.get(&form)?;
            match value.as_bytes().first()? {
                b'"' => serde_json::from_str::<String>(value).ok().map(String::into_bytes),
                b'-' | b'0'..=b'9' => Some(value.as_bytes().to_vec()),
                _ => None,
            }
        }
        BodyKind::Form => {
            let name = pointer.only_name()?;
            let mut values =
                pairs(&body)?.into_iter().filter(|(other, _)| *other == name.as_bytes());
            let (_, value) = values.next()?;
            values.next().is_none().then_some(value)?
        }
        BodyKind::Multipart { .. } | BodyKind::Raw => None,
    }
}

/// Whether a key can be put at `place` of this request.
fn has_room(place: &KeyPlace, headers: &HeaderMap, body: Option<&[u8]>) -> bool {
    match place {
        KeyPlace::Header(_) => true,
        KeyPlace::Member(pointer) => {
            body.is_some_and(|body| with_member(pointer, headers, body, "").is_some())
        }
    }
}

/// The engine's own key for an upstream: the execution's id, until an attempt is settled as not
/// executed. The key of the attempts after that is derived from the id: the upstream would answer
/// the old one with its old refusal. `attempt`: the one that began to use the key.
pub fn own_key(execution: Uuid, attempt: u32) -> Uuid {
    if attempt <= 1 {
        return execution;
    }
    let digest = Encoder::new("upstream-key-of-attempt/v1")
        .field(execution)
        .field(attempt.to_be_bytes())
        .finish();
    uuid::Builder::from_custom_bytes(digest.short()).into_uuid()
}

/// A JSON object with one more member at its beginning. All other bytes stay as they came. `None`
/// if the body is not a plain JSON object, or has the member.
pub fn with_member(
    pointer: &Pointer,
    headers: &HeaderMap,
    body: &[u8],
    value: &str,
) -> Option<Bytes> {
    if body_kind(headers) != BodyKind::Json || headers.contains_key(http::header::CONTENT_ENCODING)
    {
        return None;
    }
    let form = String::from_utf8(canonical::json(body)?).ok()?;
    let name = pointer.only_name()?;
    if !form.starts_with('{') || pointer.get(&form).is_some() {
        return None;
    }
    let inside = body.iter().position(|byte| *byte == b'{')? + 1;
    let mut with = body[..inside].to_vec();
    serde_json::to_writer(&mut with, &name).ok()?;
    with.push(b':');
    serde_json::to_writer(&mut with, value).ok()?;
    if form != "{}" {
        with.push(b',');
    }
    with.extend_from_slice(&body[inside..]);
    Some(with.into())
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    fn typed(kind: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers
    }

    fn found(place: &str, kind: &'static str, body: &str) -> Option<String> {
        key_at(&place.parse().unwrap(), &typed(kind), Some(body.as_bytes())).unwrap()
    }

    #[test]
    fn a_key_in_the_body_is_a_text_or_a_number() {
        let json = "application/json";
        assert_eq!(found("/a/b", json, r#"{"a":{"b":"k-1"}}"#).as_deref(), Some("k-1"));
        assert_eq!(found("/a", json, r#"{"a":"\u006b"}"#).as_deref(), Some("k"));
        assert_eq!(found("/a", json, r#"{"a":1.50}"#).as_deref(), Some("1.50"));
        for none in [r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"b":1}"#, "[1]", r#"{"a":1,"a":1}"#] {
            assert_eq!(found("/a", json, none), None, "{none}");
        }
        let form = "application/x-www-form-urlencoded";
        assert_eq!(found("/a", form, "b=1&a=k%201").as_deref(), Some("k 1"));
        assert_eq!(found("/a", form, "a=1&a=2"), None);
        assert_eq!(found("/a", "text/plain", r#"{"a":"k"}"#), None);
        let bad = key_at(&"/a".parse().unwrap(), &typed(json), Some(br#"{"a":""}"#));
        assert!(bad.is_err());
    }

    #[test]
    fn a_member_is_added_and_nothing_else_changes() {
        let pointer = "/idempotency_key".parse().unwrap();
        let with = |body: &str| {
            let json = typed("application/json");
            with_member(&pointer, &json, body.as_bytes(), "k")
                .map(|body| String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(
            with(" {\n \"b\": 1e0, \"a\": 2}").as_deref(),
            Some(" {\"idempotency_key\":\"k\",\n \"b\": 1e0, \"a\": 2}")
        );
        assert_eq!(with("{ }").as_deref(), Some("{\"idempotency_key\":\"k\" }"));
        for none in [r#"{"idempotency_key":null}"#, "[]", "", r#"{"a":1,"a":2}"#] {
            assert_eq!(with(none), None, "{none}");
        }
    }
}
