//! Keys, fingerprints and the encoding they are hashed over. The API and the proxy use the same ones.
//!
//! Encoding v1 is frozen: a stored key must be found again by every later version.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::model::{Json, Timestamp};

/// The refusal of a blank key, after the name of its place. Clients in other languages repeat it.
pub const BLANK_KEY: &str =
    "must not be blank: leave it out, or send 1 to 255 characters that are not only spaces";

/// Whether a key has no visible character, as if its sender had none.
pub fn is_blank(key: &str) -> bool {
    let invisible = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    key.chars().all(invisible)
}

/// Hashes a list of fields so that no two lists collide: each field is preceded by its length, and
/// the list by a label with a version.
#[derive(Clone)]
pub struct Encoder(Sha256);

impl Encoder {
    /// `label` names what is hashed and its version, for example `execution/v1`.
    pub fn new(label: &str) -> Self {
        Self(Sha256::new()).field(label)
    }

    /// Appends one field.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Appends an optional field. Absent and empty hash differently.
    #[must_use]
    pub fn optional(self, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            None => self.field([0]),
            Some(bytes) => self.field([1]).field(bytes),
        }
    }

    /// The SHA-256.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// A SHA-256, or a keyed digest of the same length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes` alone.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a hash that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// All 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 bytes, as database columns store them.
    pub fn short(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }

    /// The first `bytes` bytes in lower-case hex.
    pub fn hex(&self, bytes: usize) -> String {
        hex(&self.0[..bytes.min(32)])
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex(32))
    }
}

/// A key's entry in the index of holders: 8 bytes of the text's hash, so that a text can be looked
/// up across all users and namespaces, then 16 bytes over (user, namespace, text).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HolderKey([u8; 24]);

impl HolderKey {
    /// The entry of `text` for `user`. `namespace` is `api`, or what scopes a key in the proxy
    /// (principal, method, scheme, host, port, path).
    pub fn new(user: Uuid, namespace: &[u8], text: &str) -> Self {
        let whole = Encoder::new("holder/v1").field(user).field(namespace).field(text).finish();
        let mut key = [0; 24];
        key[..8].copy_from_slice(&Self::text_prefix(text));
        key[8..].copy_from_slice(&whole.short());
        Self(key)
    }

    /// The first 8 bytes of every entry of `text`.
    pub fn text_prefix(text: &str) -> [u8; 8] {
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&Encoder::new("key-text/v1").field(text).finish().0[..8]);
        prefix
    }

    /// All 24 bytes.
    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }
}

impl fmt::Debug for HolderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The namespace of API keys.
pub const API_NAMESPACE: &[u8] = b"api";

/// The maximum length of the tool name in a derived key, in bytes.
const TOOL_IN_KEY: usize = 160;

/// The hash of an API tool call. Frozen as v1.
pub fn api_call_v1(user: Uuid, session: Uuid, goal: Uuid, tool: &str, input: &Json) -> Digest {
    Encoder::new("execution/v1")
        .field(user)
        .field(session)
        .field(goal)
        .field(tool)
        .field(crate::canonical::json_or_raw(input.as_str().as_bytes()))
        .finish()
}

/// The fingerprint that distinguishes two inputs under one API key: tool and canonical input.
pub fn api_input_v1(tool: &str, input: &Json) -> Digest {
    Encoder::new("input/v1")
        .field(tool)
        .field(crate::canonical::json_or_raw(input.as_str().as_bytes()))
        .finish()
}

/// The digest of a proxied request within a session. Frozen as v1.
pub fn in_session(user: Uuid, session: Uuid, request: &Digest) -> Digest {
    Encoder::new("content/v1").field(user).field(session).field(request.as_bytes()).finish()
}

/// `auto:{tool}:{YYYYMMDD}:{hash}`, where the date is the session's creation date, so that the key
/// is the same across seconds, midnight and restarts. 128 bits of the hash are shown.
pub fn derived_text(tool: &str, session_created: Timestamp, hash: &Digest) -> String {
    // Built for every request, duplicates included.
    let mut text =
        String::with_capacity("auto::YYYYMMDD:".len() + tool.len().min(TOOL_IN_KEY) + 32);
    text.push_str("auto:");
    text.extend(tool.chars().filter(|c| c.is_ascii_graphic() && *c != ':').take(TOOL_IN_KEY));
    text.push(':');
    text.push_str(&session_created.date());
    text.push(':');
    push_hex(&mut text, &hash.0[..16]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_flow_into_each_other() {
        let hash = |fields: &[&str]| {
            fields.iter().fold(Encoder::new("t/v1"), super::Encoder::field).finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["ab"]), hash(&["ab", ""]));
        let optional = |field: Option<&str>| Encoder::new("t/v1").optional(field).finish();
        assert_ne!(optional(None), optional(Some("")));
    }

    #[test]
    fn encoding_v1_is_frozen() {
        let call = |input: &str| {
            api_call_v1(
                Uuid::from_u128(1),
                Uuid::from_u128(2),
                Uuid::from_u128(3),
                "send_email",
                &Json::parse(input).unwrap(),
            )
        };
        assert_eq!(call(r#"{"to":"a","n":1}"#), call(r#"{ "n" : 1, "to" : "\u0061" }"#));
        assert_ne!(call(r#"{"n":12345678901234567890}"#), call(r#"{"n":12345678901234567891}"#));
        assert_ne!(call(r#"{"n":1}"#), call(r#"{"n":1.0}"#));
        assert_eq!(
            derived_text("send email:x", Timestamp::from_micros(0), &Digest::of(b"")),
            "auto:sendemailx:19700101:e3b0c44298fc1c149afbf4c8996fb924"
        );
    }

    #[test]
    fn one_text_has_one_prefix() {
        let a = HolderKey::new(Uuid::from_u128(1), API_NAMESPACE, "k");
        let b = HolderKey::new(Uuid::from_u128(2), API_NAMESPACE, "k");
        assert_ne!(a, b);
        assert_eq!(a.as_bytes()[..8], b.as_bytes()[..8]);
    }
}
