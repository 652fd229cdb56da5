//! What a message of a client means.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store_core::MAX_NAME;
use store_core::canonical;
use store_core::key::{BLANK_KEY, is_blank};

use crate::masking::shown;

/// The member of `_meta` that names a call's idempotency key, 1 to 255 characters.
pub const KEY_MEMBER: &str = "openclaw-state-engine/idempotency-key";

/// The member of `_meta` that every request of the stateless protocol (2026-07-28 on) has.
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";

/// The longest tool name that is shown, in characters.
const SHOWN_NAME: usize = 128;

/// A message from an MCP client.
#[derive(Debug)]
pub enum Message {
    /// A `tools/call` request, which may have an effect.
    Call(Box<ToolCall>),
    /// Any other single message, which has none.
    Other {
        /// The method of a request or notification; `None` for a response.
        method: Option<String>,
    },
}

/// A `tools/call` request.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// As text: a number or a string.
    pub id: Box<RawValue>,
    /// `params.name`.
    pub name: String,
    /// The key that `_meta` names. The error says why it cannot be one.
    pub key: Result<Option<String>, String>,
    /// The canonical text of the token that notes of its progress name, if it asks for them.
    pub progress_token: Option<String>,
    /// The client speaks the stateless protocol, whose results name their type.
    pub stateless: bool,
    /// What distinguishes it from other calls of its server, as canonical JSON: all of `params` but
    /// `_meta`.
    pub meaning: String,
}

impl ToolCall {
    /// The tool's name in printable ASCII, as keys have it.
    pub fn shown_name(&self) -> String {
        printable(&self.name)
    }

    /// The same for people, without its secrets.
    pub fn masked_name(&self) -> String {
        printable(&shown::text(&self.name))
    }
}

fn printable(name: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.chars().take(SHOWN_NAME).map(shown).collect()
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The members of a message, and those of a call's `params` that the engine reads.
const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS: &[&str] = &["name", "arguments", "_meta"];

/// Reads one message. `None`: readers may read it differently (a batch, duplicate members, members
/// that only some readers treat as those of the protocol, a `tools/call` without an id or a name), so
/// that nothing may be concluded from it.
pub fn read(text: &[u8]) -> Option<Message> {
    // The canonical form has no duplicate members, and the arguments in the form to be compared.
    let canonical = canonical::json(text)?;
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&canonical).ok()?;
    let envelope: Envelope<'_> = serde_json::from_slice(&canonical).ok()?;
    if envelope.jsonrpc != "2.0" || has_lookalike(&members, ENVELOPE) {
        return None;
    }
    match envelope.method {
        Some(method) if is_lookalike(&method, "tools/call") => None,
        Some(method) if method == "tools/call" => {
            call(envelope.id?, envelope.params?).map(Message::Call)
        }
        Some(method) => Some(Message::Other { method: Some(method.into_owned()) }),
        None if envelope.result.is_some() || envelope.error.is_some() => {
            Some(Message::Other { method: None })
        }
        None => None,
    }
}

/// Whether a batch has only messages without an effect.
pub fn is_batch_without_calls(text: &[u8]) -> bool {
    let Ok(messages) = serde_json::from_slice::<Vec<&RawValue>>(text) else { return false };
    let has_no_effect =
        |one: &&RawValue| matches!(read(one.get().as_bytes()), Some(Message::Other { .. }));
    !messages.is_empty() && messages.iter().all(has_no_effect)
}

/// Whether some reader could treat `text` as `word`: Go's JSON ignores the case of members, and others
/// trim.
fn is_lookalike(text: &str, word: &str) -> bool {
    let counts = |c: &char| c.is_alphanumeric() || matches!(c, '/' | '_');
    // The upper case first: `ſ` and the Kelvin sign are letters of ASCII in another case.
    let folded: String = text.chars().filter(counts).collect();
    text != word && folded.to_uppercase().to_lowercase() == word
}

fn has_lookalike(members: &BTreeMap<Cow<'_, str>, &RawValue>, words: &[&str]) -> bool {
    members.keys().any(|name| words.iter().any(|word| is_lookalike(name, word)))
}

/// Whether every reader writes an id as it was written. A fraction or an exponent is a number that
/// servers write in another way.
fn is_plain_id(id: &str) -> bool {
    let digits = id.strip_prefix('-').unwrap_or(id);
    id.starts_with('"') || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn call(id: &RawValue, params: &RawValue) -> Option<Box<ToolCall>> {
    if !is_plain_id(id.get()) {
        return None;
    }
    let params: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(params.get()).ok()?;
    if has_lookalike(&params, PARAMS) {
        return None;
    }
    let name: String = serde_json::from_str(params.get("name")?.get()).ok()?;
    let meta: BTreeMap<Cow<'_, str>, &RawValue> = match params.get("_meta") {
        Some(meta) => serde_json::from_str(meta.get()).ok()?,
        None => BTreeMap::new(),
    };
    let key = meta.get(KEY_MEMBER).map(|key| key_of(key)).transpose();
    let meaning = meaning(&params)?;
    let stateless = meta.contains_key(VERSION_MEMBER);
    let progress_token = meta.get("progressToken").map(|token| token.get().to_owned());
    let id = id.to_owned();
    Some(Box::new(ToolCall { id, name, key, progress_token, stateless, meaning }))
}

/// A form that no ordinary body has.
fn meaning(params: &BTreeMap<Cow<'_, str>, &RawValue>) -> Option<String> {
    #[derive(Serialize)]
    struct Meaning<'a> {
        mcp: &'static str,
        params: BTreeMap<&'a str, &'a RawValue>,
    }
    let counted = params.iter().filter(|(name, _)| *name != "_meta");
    let params = counted.map(|(name, value)| (name.as_ref(), *value)).collect();
    serde_json::to_string(&Meaning { mcp: "tools/call", params }).ok()
}

fn key_of(value: &RawValue) -> Result<String, String> {
    let key: Option<String> = serde_json::from_str(value.get()).ok();
    if key.as_deref().is_some_and(is_blank) {
        return Err(format!("_meta[{KEY_MEMBER:?}] {BLANK_KEY}"));
    }
    key.filter(|key| {
        (1..=MAX_NAME).contains(&key.chars().count()) && !key.contains(char::is_control)
    })
    .ok_or_else(|| format!("_meta[{KEY_MEMBER:?}] must be a string of 1 to {MAX_NAME} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> ToolCall {
        match read(text.as_bytes()) {
            Some(Message::Call(call)) => *call,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn id_and_meta_do_not_distinguish_calls() {
        let first = call(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send",
            "arguments":{"to":"ada","n":1},"_meta":{"progressToken":1}}}"#,
        );
        let second = call(
            r#"{"method":"tools/call","id":"b","jsonrpc":"2.0","params":{"arguments":
            {"n":1,"to":"\u0061da"},"name":"send"}}"#,
        );
        assert_eq!(first.meaning, second.meaning);
        assert_eq!((first.id.get(), second.id.get()), ("1", r#""b""#));
        assert!(first.key == Ok(None) && !first.stateless);
    }

    #[test]
    fn everything_else_does() {
        let digest = |params: &str| {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            call(&text).meaning
        };
        let all = [
            r#"{"name":"a"}"#,
            r#"{"name":"b"}"#,
            r#"{"name":"a","arguments":{}}"#,
            r#"{"name":"a","arguments":{"n":1}}"#,
            r#"{"name":"a","arguments":{"n":1.0}}"#,
            r#"{"name":"a","arguments":{"n":12345678901234567890}}"#,
            r#"{"name":"a","arguments":{"n":12345678901234567891}}"#,
            r#"{"name":"a","arguments":{"n":1},"inputResponses":{"x":{}}}"#,
            r#"{"name":"a","arguments":{"n":1},"requestState":"s"}"#,
            r#"{"name":"a","arguments":{"n":1},"inputResponses":{"x":{}},"requestState":"s"}"#,
            r#"{"name":"a","task":{"ttl":1}}"#,
        ];
        let digests: std::collections::HashSet<_> = all.iter().map(|one| digest(one)).collect();
        assert_eq!(digests.len(), all.len());
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_not_a_call() {
        for text in [
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}]"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{},"param\u017f":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":" tools/call\u0000","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            "",
            "tools/call",
        ] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_batch_is_without_effect_if_each_of_its_messages_is() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"a"}}"#;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert!(is_batch_without_calls(format!("[{ping},{ping}]").as_bytes()));
        for text in [
            format!("[{call}]"),
            format!("[{ping},{call}]"),
            format!("[[{ping}]]"),
            "[]".to_owned(),
            "[1]".to_owned(),
            ping.to_owned(),
        ] {
            assert!(!is_batch_without_calls(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_messages_have_no_effect() {
        let method = |text: &str| match read(text.as_bytes()) {
            Some(Message::Other { method }) => method,
            other => panic!("{text}: {other:?}"),
        };
        let list = method(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(list.as_deref(), Some("tools/list"));
        assert!(method(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_none());
    }

    #[test]
    fn a_key_in_meta_is_read_and_a_bad_one_refused() {
        let with = |key: &str| {
            let meta = format!(r#"{{"{KEY_MEMBER}":{key},"{VERSION_MEMBER}":"2026-07-28"}}"#);
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","_meta":{meta}}}}}"#
            );
            call(&text)
        };
        let good = with(r#""order 7""#);
        assert_eq!(good.key, Ok(Some("order 7".to_owned())));
        assert!(good.stateless);
        let long = format!("\"{}\"", "x".repeat(256));
        for bad in ["7", "\"\"", "\"  \"", "null", r#""\n""#, &long] {
            assert!(with(bad).key.unwrap_err().contains(KEY_MEMBER), "{bad}");
        }
    }
}
