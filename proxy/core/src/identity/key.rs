//! Which execution a request means: its explicit key, or its content (docs/SEMANTICS.md, "Which
//! execution a request means").

use std::time::Duration;

use http::Method;
use http::header::HeaderMap;
use store_core::call::{CallDigests, CallKey, Scope};
use store_core::key::{Digest, Encoder, HolderKey, derived_text, in_session};
use store_core::model::{EffectClass, Timestamp};
use uuid::Uuid;

use crate::http::head::RequestHead;
use crate::http::target::Target;
use crate::identity::body_digests::BodyDigests;
use crate::identity::compared::ComparedRequest;
use crate::identity::connection_auth::Login;
use crate::identity::metadata::RequestMetadata;
use crate::identity::principal::principal_parts;
use crate::policy::comparison::Comparison;
use crate::policy::decision::Guarded;
use crate::policy::rule::Principal;

/// How long an explicit key stays held after its call ended.
const EXPLICIT_WINDOW: Duration = Duration::from_hours(30 * 24);
/// How long a derived key stays held in a named session.
const NAMED_WINDOW: Duration = Duration::from_hours(24);
/// How long a derived key stays held in the session `default`, which only protects from retries.
const DEFAULT_WINDOW: Duration = Duration::from_mins(10);

/// The namespace of derived keys. No explicit key can equal one.
const DERIVED_NAMESPACE: &[u8] = b"proxy/derived/v1";

/// Whose key it is: the parts of a [`Scope`] that keys depend on.
#[derive(Debug, Clone, Copy)]
pub struct KeyOwner {
    user_id: Uuid,
    session_id: Uuid,
    session_created: Timestamp,
    named: bool,
}

impl From<&Scope> for KeyOwner {
    fn from(scope: &Scope) -> Self {
        Self {
            user_id: scope.user_id,
            session_id: scope.session_id,
            session_created: scope.session_created,
            named: scope.named,
        }
    }
}

/// What a key is derived from. Time, connection and the order of header fields are not part of it.
pub struct KeyInput<'a> {
    /// Whose key it is.
    pub owner: KeyOwner,
    /// As the client sent it. Fields that were stripped before make no difference.
    pub head: RequestHead<'a>,
    /// What the request says about itself.
    pub metadata: &'a RequestMetadata,
    /// Who its connection speaks as.
    pub login: &'a Login,
    /// The digests of the body.
    pub body: BodyDigests,
    /// The trailers of the body.
    pub trailers: &'a HeaderMap,
    /// How the call is treated.
    pub guarded: &'a Guarded,
    /// The name that the call is recorded under, from [`tool_name`].
    pub tool: &'a str,
    /// The store's keyed digest.
    pub keyed_digest: &'a KeyedDigest<'a>,
}

/// An HMAC over a label and bytes, with a secret of the store.
pub type KeyedDigest<'a> = dyn Fn(&str, &[u8]) -> Result<Digest, store_core::Error> + Sync + 'a;

/// What the store compares calls by. [`store_core::call::Call`] says what each part is for.
#[derive(Debug, Clone)]
pub struct CallIdentity {
    /// `None`: each request is its own execution (class `idempotent` without an explicit
    /// key).
    pub key: Option<CallKey>,
    /// The digests that distinguish the call from others.
    pub digests: CallDigests,
}

/// The rule's name for a call, or `METHOD host`. Never the path, which may hold a secret.
pub fn tool_name(rule: Option<&str>, method: &Method, target: &Target) -> String {
    rule.map_or_else(|| format!("{method} {}", target.authority.host), str::to_owned)
}

/// Derives the key and the digests of a guarded request. They are the same after a restart, and
/// whether the request came in absolute form or through a tunnel.
pub fn derive(input: &KeyInput<'_>) -> Result<CallIdentity, store_core::Error> {
    let principal = principal(input)?;
    let mut compared = ComparedRequest::new(input.head, input.body, input.trailers, input.guarded);
    let mut digest = |comparison: Comparison| {
        compared.digest(|| located(Encoder::new("request/v1"), input), comparison)
    };
    let repeat =
        input.metadata.repeat.as_ref().map(|value| Encoder::new("repeat/v1").field(value).finish());
    let key = match (&input.metadata.key, input.guarded.class) {
        (Some(text), _) => Some(explicit(input, text, &principal, repeat.as_ref())),
        (None, EffectClass::Idempotent) => None,
        (None, _) => {
            Some(derived(input, &digest(Comparison::Derived), &principal, repeat.as_ref()))
        }
    };
    let fingerprint = digest(Comparison::Input);
    let legacy = digest(Comparison::Legacy);
    let content = digest(Comparison::Content);
    let rule = input.guarded.rule.as_ref();
    let ruled = if rule.is_some_and(|rule| rule.input.alters_input()) {
        digest(Comparison::Ruled)
    } else {
        content
    };
    let literal = if input.guarded.key_places().next().is_some() {
        digest(Comparison::Literal)
    } else {
        content
    };
    let requests = [content, ruled, literal];
    let KeyOwner { user_id, session_id, .. } = input.owner;
    let [content, ruled, literal] =
        requests.map(|request| in_session(user_id, session_id, &request));
    let digests =
        CallDigests { fingerprint, legacy, content, ruled, literal, requests, principal, repeat };
    Ok(CallIdentity { key, digests })
}

/// The key that the client chose. `repeat` makes another one of it; without it the encoding is that
/// of earlier versions.
fn explicit(
    input: &KeyInput<'_>,
    text: &str,
    principal: &Digest,
    repeat: Option<&Digest>,
) -> CallKey {
    let namespace = located(Encoder::new("proxy/explicit/v1").field(principal.as_bytes()), input)
        .field(input.head.target.path());
    let namespace = match repeat {
        Some(repeat) => namespace.field(repeat.as_bytes()),
        None => namespace,
    };
    let namespace = namespace.finish();
    CallKey {
        holder: HolderKey::new(input.owner.user_id, namespace.as_bytes(), text),
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
        .field(input.owner.user_id)
        .field(input.owner.session_id)
        .field(principal.as_bytes())
        .field(request.as_bytes())
        .optional(repeat.map(Digest::as_bytes))
        .finish();
    let usual = if input.owner.named { NAMED_WINDOW } else { DEFAULT_WINDOW };
    let text = derived_text(input.tool, input.owner.session_created, &hash);
    CallKey {
        holder: HolderKey::new(input.owner.user_id, DERIVED_NAMESPACE, &text),
        text,
        explicit: false,
        window: Some(window(input, usual)),
    }
}

/// Gives one of several identical calls its own key. The first keeps the plain one.
pub fn number(key: &mut CallKey, user_id: Uuid, ordinal: u32) {
    if ordinal > 1 {
        key.text = format!("{}.{ordinal}", key.text);
        key.holder = HolderKey::new(user_id, DERIVED_NAMESPACE, &key.text);
    }
}

/// The rule's window, or the usual one.
fn window(input: &KeyInput<'_>, usual: Duration) -> Duration {
    let rule = input.guarded.rule.as_ref();
    rule.and_then(|rule| rule.keys.window).unwrap_or(usual)
}

/// Appends method, scheme, host and port.
fn located(encoder: Encoder, input: &KeyInput<'_>) -> Encoder {
    encoder
        .field(input.head.method.as_str())
        .field(input.head.target.scheme.as_str())
        .field(&input.head.target.authority.host)
        .field(input.head.target.authority.port.to_be_bytes())
}

/// Digests the credentials with the store's secret, so that a stolen database reveals none of them.
fn principal(input: &KeyInput<'_>) -> Result<Digest, store_core::Error> {
    let rule = input.guarded.rule.as_ref();
    if rule.is_some_and(|rule| rule.keys.principal == Principal::Session) {
        return (input.keyed_digest)("principal/v1", b"session");
    }
    let parts = principal_parts(input.head.headers, input.head.target.query(), input.login);
    let parts = parts.iter().fold(Encoder::new("principal/v1"), |encoder, (name, value)| {
        encoder.field(name).field(value)
    });
    (input.keyed_digest)("principal/v1", parts.finish().as_bytes())
}

#[cfg(test)]
mod tests;
