//! Which execution a request means: its explicit key, or its content (docs/SEMANTICS.md, "Which
//! execution a request means").

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use store_core::call::{CallKey, Scope};
use store_core::key::{Digest, Encoder, HolderKey, derived_text};
use store_core::model::{EffectClass, Timestamp};
use uuid::Uuid;

use crate::http::forms::kind::media_type;
use crate::http::target::Target;
use crate::identity::metadata::Asked;
use crate::identity::principal::principal_parts;
use crate::policy::decision::Guarded;
use crate::policy::rule::Principal;

/// How long an explicit key stays held after its call became terminal.
const EXPLICIT_WINDOW: Duration = Duration::from_hours(30 * 24);
/// The same of a derived key, in a named session.
const NAMED_WINDOW: Duration = Duration::from_hours(24);
/// The same in the session `default`, which knows no task and only protects from retries.
const DEFAULT_WINDOW: Duration = Duration::from_mins(10);

/// The namespace of derived keys; no explicit key can meet one.
const DERIVED_NAMESPACE: &[u8] = b"proxy/derived/v1";

/// Whose key it is: what of a [`Scope`] is part of one.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
    user_id: Uuid,
    session_id: Uuid,
    session_created: Timestamp,
    named: bool,
}

impl From<&Scope> for Whose {
    fn from(scope: &Scope) -> Self {
        Self {
            user_id: scope.user_id,
            session_id: scope.session_id,
            session_created: scope.session_created,
            named: scope.named,
        }
    }
}

/// What a key is derived from. Nothing else is: no time, no connection, no order of headers.
pub struct KeyInput<'a> {
    pub whose: Whose,
    pub method: &'a Method,
    pub target: &'a Target,
    /// As the client sent them; it does no harm if they are stripped already.
    pub headers: &'a HeaderMap,
    pub asked: &'a Asked,
    /// From [`crate::http::forms::digest::body_digest`].
    pub body: Digest,
    /// The same without regard to rules, but for where they see a key.
    pub content_body: Digest,
    /// The same with all keys in it.
    pub literal_body: Digest,
    /// Gzip was undone for the digest: Content-Encoding no longer counts.
    pub undone: bool,
    pub trailers: &'a HeaderMap,
    pub guarded: &'a Guarded,
    /// From [`tool_name`].
    pub tool: &'a str,
    pub keyed_digest: &'a KeyedDigest<'a>,
}

/// HMAC with a secret of the store, over a label and bytes.
pub type KeyedDigest<'a> = dyn Fn(&str, &[u8]) -> Result<Digest, store_core::Error> + Sync + 'a;

/// What the store compares.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// `None`: an execution of its own (class `idempotent` without an explicit key).
    pub key: Option<CallKey>,
    pub fingerprint: Digest,
    pub content: Digest,
    pub literal: Digest,
    pub principal: Digest,
    pub repeat: Option<Digest>,
}

/// The rule's name for a call, else `METHOD host`; never the path, which may hold a secret.
pub fn tool_name(rule: Option<&str>, method: &Method, target: &Target) -> String {
    rule.map_or_else(|| format!("{method} {}", target.authority.host), str::to_owned)
}

/// The key and the digests of a guarded request. The same request has the same ones over restarts,
/// and whether it came in absolute form or through a tunnel.
pub fn derive(input: &KeyInput<'_>) -> Result<Keyed, store_core::Error> {
    let principal = principal(input)?;
    let request = request(input, input.body, &|name| input.guarded.counts(name));
    let repeat =
        input.asked.repeat.as_ref().map(|value| Encoder::new("repeat/v1").field(value).finish());
    let key = match (&input.asked.key, input.guarded.class) {
        (Some(text), _) => Some(explicit(input, text, &principal)),
        (None, EffectClass::Idempotent) => None,
        (None, _) => Some(derived(input, &request, &principal, repeat.as_ref())),
    };
    let plain = match &input.guarded.rule {
        Some(rule) if rule.alters_input() => {
            let counted = |name: &str| input.guarded.counts_without_rule(name);
            self::request(input, input.content_body, &counted)
        }
        _ => request,
    };
    let literal = if input.guarded.key_places().next().is_some() {
        let counted = |name: &str| input.guarded.counts_literally(name);
        self::request(input, input.literal_body, &counted)
    } else {
        plain
    };
    let [content, literal] = [plain, literal].map(|request| in_session(input, &request));
    Ok(Keyed { key, fingerprint: request, content, literal, principal, repeat })
}

/// A request of this session of this user.
fn in_session(input: &KeyInput<'_>, request: &Digest) -> Digest {
    Encoder::new("content/v1")
        .field(input.whose.user_id)
        .field(input.whose.session_id)
        .field(request.as_bytes())
        .finish()
}

fn explicit(input: &KeyInput<'_>, text: &str, principal: &Digest) -> CallKey {
    let namespace = located(Encoder::new("proxy/explicit/v1").field(principal.as_bytes()), input)
        .field(input.target.path())
        .finish();
    CallKey {
        holder: HolderKey::new(input.whose.user_id, namespace.as_bytes(), text),
        text: text.to_owned(),
        explicit: true,
        window: Some(window(input, EXPLICIT_WINDOW)),
    }
}

fn derived(
    input: &KeyInput<'_>,
    request: &Digest,
    principal: &Digest,
    repeat: Option<&Digest>,
) -> CallKey {
    let hash = Encoder::new("proxy-call/v1")
        .field(input.whose.user_id)
        .field(input.whose.session_id)
        .field(principal.as_bytes())
        .field(request.as_bytes())
        .optional(repeat.map(Digest::as_bytes))
        .finish();
    let usual = if input.whose.named { NAMED_WINDOW } else { DEFAULT_WINDOW };
    let text = derived_text(input.tool, input.whose.session_created, &hash);
    CallKey {
        holder: HolderKey::new(input.whose.user_id, DERIVED_NAMESPACE, &text),
        text,
        explicit: false,
        window: Some(window(input, usual)),
    }
}

/// The key of one of several identical calls; the first has the plain one.
pub fn number(key: &mut CallKey, user_id: Uuid, ordinal: u32) {
    if ordinal > 1 {
        key.text = format!("{}.{ordinal}", key.text);
        key.holder = HolderKey::new(user_id, DERIVED_NAMESPACE, &key.text);
    }
}

/// The rule's window, else the usual one.
fn window(input: &KeyInput<'_>, usual: Duration) -> Duration {
    let rule = input.guarded.rule.as_ref();
    rule.and_then(|rule| rule.given.window).map_or(usual, |span| span.0)
}

/// Method, scheme, host and port.
fn located(encoder: Encoder, input: &KeyInput<'_>) -> Encoder {
    encoder
        .field(input.method.as_str())
        .field(input.target.scheme.as_str())
        .field(&input.target.authority.host)
        .field(input.target.authority.port.to_be_bytes())
}

/// What is asked, whoever asks: method, URL, counted headers, body, counted trailers.
fn request(input: &KeyInput<'_>, body: Digest, counts: &dyn Fn(&str) -> bool) -> Digest {
    let encoder = located(Encoder::new("request/v1"), input).field(&input.target.path_and_query);
    let encoder = counted(encoder, input.headers, input.undone, counts);
    counted(encoder.field(body.as_bytes()), input.trailers, false, counts).finish()
}

/// Appends the fields that count, sorted by name; the values of one name in their order.
fn counted(
    encoder: Encoder,
    headers: &HeaderMap,
    undone: bool,
    counts: &dyn Fn(&str) -> bool,
) -> Encoder {
    let mut names: Vec<_> = headers
        .keys()
        .filter(|name| counts(name.as_str()) && !(undone && *name == CONTENT_ENCODING))
        .collect();
    names.sort_unstable_by_key(|name| name.as_str());
    let mut encoder = encoder.field(names.len().to_be_bytes());
    for name in names {
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        encoder = encoder.field(name.as_str()).field(values.len().to_be_bytes());
        encoder = if *name == CONTENT_TYPE
            && let Some(parameters) = without_boundary(headers)
        {
            encoder.field(parameters)
        } else {
            values.iter().fold(encoder, |encoder, value| encoder.field(value.as_bytes()))
        };
    }
    encoder
}

/// The Content-Type of a multipart body without its boundary, which is drawn at random.
fn without_boundary(headers: &HeaderMap) -> Option<Vec<u8>> {
    let media_type = media_type(headers).filter(|kind| kind.type_() == mime::MULTIPART)?;
    // Of several, readers take one or the other.
    if media_type.params().filter(|(name, _)| *name == mime::BOUNDARY).count() != 1 {
        return None;
    }
    let mut text = media_type.essence_str().as_bytes().to_vec();
    for (name, value) in media_type.params().filter(|(name, _)| *name != mime::BOUNDARY) {
        for part in [name.as_str(), value.as_str()] {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
    }
    Some(text)
}

/// A keyed digest, so that a stolen database tells nobody's password.
fn principal(input: &KeyInput<'_>) -> Result<Digest, store_core::Error> {
    let rule = input.guarded.rule.as_ref();
    if rule.is_some_and(|rule| rule.given.principal == Principal::Session) {
        return (input.keyed_digest)("principal/v1", b"session");
    }
    let parts = principal_parts(input.headers, input.target.query());
    let parts = parts.iter().fold(Encoder::new("principal/v1"), |encoder, (name, value)| {
        encoder.field(name).field(value)
    });
    (input.keyed_digest)("principal/v1", parts.finish().as_bytes())
}

#[cfg(test)]
mod tests;
