//! Step 2, which execution it means: puts together what the store is asked, and what goes out.

use std::io;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::http::request::Parts;
use store::call::{Call, Scope, Settled};
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

/// A request of which it is known which execution it means.
#[derive(Debug)]
pub(crate) struct Identified {
    request: Received,
    taken: Taken,
    scope: Scope,
    class: EffectClass,
    tool_name: String,
    keyed: Keyed,
}

/// Derives the keys of a request.
pub(crate) async fn identify(
    shared: &Shared,
    request: Received,
    taken: Taken,
    scope: Scope,
    class: EffectClass,
) -> Result<Identified, Error> {
    let Received { target, head, asked } = &request;
    let read = body_digest(&head.headers, &taken.stored, taken.sha256).await;
    let (body, undone) = read.map_err(|error| {
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
    Ok(Identified { request, taken, scope, class, tool_name, keyed })
}

impl Identified {
    /// What names the call to its caller.
    pub(crate) fn label(&self) -> Label {
        let key = self.keyed.key.as_ref().map(|key| (key.text.clone(), key.explicit));
        Label { key, ..Label::default() }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.request.target
    }

    /// How it ended before, where it is known to be over. Most duplicates need no more than this.
    pub(crate) fn replay(&self, shared: &Shared) -> Result<Option<Arc<Settled>>, Error> {
        match &self.keyed.key {
            Some(key) => Ok(shared.config.store.replay(key, &self.keyed.fingerprint)?),
            None => Ok(None),
        }
    }

    /// What it is to be recorded as, and what goes out.
    pub(crate) fn prepare(self, rule: &str) -> (Call, Prepared) {
        let label = self.label();
        let Self { request, taken, scope, class, tool_name, keyed } = self;
        let Received { target, head, asked } = request;
        let Taken { stored: body, sha256, trailers } = taken;
        let text = body.in_memory().map(|body| &body[..]);
        let (method, headers) = (&head.method, &head.headers);
        let call = Call {
            scope,
            tool_name,
            input: stored::input_json(method, &target, headers, text, &sha256, body.len()),
            class,
            fingerprint: keyed.fingerprint,
            content: keyed.content,
            principal: keyed.principal,
            repeat: keyed.repeat,
            upstream_key_lifetime: key::UPSTREAM_KEY_LIFETIME,
            retry_token: asked.retry_token,
            rule: rule.to_owned(),
            key: keyed.key,
        };
        (call, Prepared { target, class, head, body, trailers, label })
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
