//! Step 2, which execution it means: puts together what the store is asked, and what goes out.

use std::borrow::Cow;
use std::io;

use hyper::HeaderMap;
use hyper::http::request::Parts;
use store::call::{Call, CallKey, Scope};
use store::key::Digest;
use store::model::EffectClass;
use tokio::task::spawn_blocking;

use crate::Shared;
use crate::body::Outgoing;
use crate::claim::Prepared;
use crate::error::Error;
use crate::forms;
use crate::forward;
use crate::intake::Taken;
use crate::key::{self, KeyInput, Keyed};
use crate::policy::Decision;
use crate::request::{Asked, Target};
use crate::respond::Label;
use crate::spool::StoredReader;
use crate::stored;

/// A request whose body has not been looked at.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) target: Target,
    pub(crate) head: Parts,
    pub(crate) asked: Asked,
}

/// Whose call it is.
pub(crate) async fn scope(shared: &Shared, request: &Received) -> Result<Scope, Error> {
    Ok(shared.config.store.scope(&request.asked.scope).await?)
}

/// The decision, now that the body is there.
pub(crate) fn decide(
    shared: &Shared,
    request: &Received,
    taken: &Taken,
    decision: Decision,
) -> Decision {
    if decision != Decision::NeedsBody {
        return decision;
    }
    let body = taken.stored.in_memory().map(|body| &body[..]);
    let Received { target, head, .. } = request;
    shared.policy.decide_body(&head.method, target, &head.headers, body)
}

/// A request that turned out not to be guarded after its body was taken.
pub(crate) fn unguarded(mut head: Parts, taken: &Taken) -> (Parts, Outgoing) {
    forward::set_framing(&mut head, taken.stored.len(), taken.trailers.as_ref());
    (head, Outgoing::stored(&taken.stored, taken.trailers.as_ref()))
}

/// A request whose execution is known.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) request: Received,
    taken: Taken,
    scope: Scope,
    class: EffectClass,
    rule: Cow<'static, str>,
    tool_name: String,
    keyed: Keyed,
}

/// Derives its keys.
pub(crate) async fn identify(
    shared: &Shared,
    request: Received,
    taken: Taken,
    scope: Scope,
    (class, rule): (EffectClass, Cow<'static, str>),
) -> Result<Identified, Error> {
    let Received { target, head, asked } = &request;
    let digest = body_digest(&head.headers, &taken.stored, taken.sha256).await;
    let (body, undone) = digest.map_err(|error| {
        tracing::error!(%error, "cannot read a spooled body");
        Error::Internal
    })?;
    let tool_name = key::tool_name(None, &head.method, target);
    let none = HeaderMap::new();
    let store = &shared.config.store;
    let keyed = key::derive(&KeyInput {
        whose: (&scope).into(),
        method: &head.method,
        target,
        headers: &head.headers,
        asked,
        body,
        undone,
        trailers: taken.trailers.as_ref().unwrap_or(&none),
        class,
        tool: &tool_name,
        keyed_digest: &|label, bytes| store.keyed_digest(label, bytes),
    });
    Ok(Identified { request, taken, scope, class, rule, tool_name, keyed })
}

impl Identified {
    pub(crate) fn key(&self) -> Option<&CallKey> {
        self.keyed.key.as_ref()
    }

    pub(crate) fn fingerprint(&self) -> &Digest {
        &self.keyed.fingerprint
    }

    pub(crate) fn label(&self) -> Label {
        let key = self.key().map(|key| (key.text.clone(), key.explicit));
        Label { key, ..Label::default() }
    }

    /// What the store is asked, and what goes out if it says yes.
    pub(crate) fn into_call(self, label: Label) -> (Call, Prepared) {
        let Received { target, head, asked } = self.request;
        let Taken { stored: body, sha256, trailers } = self.taken;
        let text = body.in_memory().map(|body| &body[..]);
        let (method, size) = (&head.method, body.len());
        let call = Call {
            scope: self.scope,
            tool_name: self.tool_name,
            input: stored::input_json(method, &target, &head.headers, text, &sha256, size),
            class: self.class,
            fingerprint: self.keyed.fingerprint,
            content: self.keyed.content,
            principal: self.keyed.principal,
            repeat: self.keyed.repeat,
            upstream_key_lifetime: key::UPSTREAM_KEY_LIFETIME,
            retry_token: asked.retry_token,
            rule: self.rule.into_owned(),
            key: self.keyed.key,
        };
        (call, Prepared { target, class: self.class, head, body, trailers, label })
    }
}

/// The digest of the body's canonical form; of a body on disk without blocking this task.
async fn body_digest(
    headers: &HeaderMap,
    body: &crate::spool::Stored,
    sha256: Digest,
) -> io::Result<(Digest, bool)> {
    let mut reader = StoredReader::new(body.clone());
    if body.in_memory().is_some() {
        return forms::body_digest(headers, &mut reader, sha256);
    }
    let headers = headers.clone();
    let digest = spawn_blocking(move || forms::body_digest(&headers, &mut reader, sha256)).await;
    digest.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
