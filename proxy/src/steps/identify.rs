//! Step 2, which execution it means: the key and the digests of a call.

use std::io;

use hyper::HeaderMap;
use proxy_core::error::Error;
use proxy_core::identity::body_digests::BodyDigests;
use proxy_core::identity::key::{self, KeyInput, KeyedDigest};
use proxy_core::identity::metadata::RequestMetadata;
use proxy_core::identity::upstream_key::find_keys;
use proxy_core::mcp::message::{KEY_MEMBER, ToolCall};
use proxy_core::policy::decision::Guarded;
use proxy_core::policy::rule::Repeat;
use store::Delivery;
use tokio::task::spawn_blocking;

use super::exchange::Exchange;
use super::label::LabelKey;
use super::states::{Buffered, Identified, Step};
use crate::body::buffer::{BufferedBody, unreadable};
use crate::body::spool::SpooledReader;
use crate::context::ProxyContext;

/// Derives the key of a call. Among identical calls it may be the one after the last that was
/// delivered.
pub(crate) async fn identify(buffered: Exchange<Buffered>) -> Step<Identified> {
    let (mut exchange, buffered) = buffered.split();
    let context = &exchange.context;
    let digest = |label: &str, bytes: &[u8]| Ok(context.store.keyed_digest(label, bytes));
    let derived = async {
        let mut identified = derive(&digest, buffered).await?;
        let delivery = number_repeat(context, &mut identified).await?;
        Ok((identified, delivery))
    };
    let derived = derived.await.map(|(identified, delivery)| {
        exchange.repeat = delivery;
        exchange.label.key = identified.label_key();
        exchange.label.rule.clone_from(&identified.guarded.rule);
        identified
    });
    exchange.step(derived)
}

/// Derives the key and the digests of a request. `keyed_digest` is the store's.
pub(crate) async fn derive(
    keyed_digest: &KeyedDigest<'_>,
    buffered: Buffered,
) -> Result<Identified, Error> {
    let Buffered { mut request, body, scope, mut guarded, tool } = buffered;
    let tool_call = tool.as_ref().map(|tool| &*tool.call);
    if let Some(call) = tool_call {
        take_tool_key(&mut request.metadata, call)?;
    }
    let tool_key = tool_call.and_then(|call| call.key.as_ref().ok()?.as_deref());
    let headers = &request.parts.headers;
    let keys = find_keys(&mut guarded, headers, body.in_memory(), tool_key)?;
    if keys.client.is_some() {
        request.metadata.key = keys.client;
    }
    let digests = match tool_call {
        Some(call) => BodyDigests::of_tool_call(headers, call, &guarded),
        None => body_digests(headers, &body, &guarded).await,
    };
    let digests = digests.map_err(|error| unreadable(&error))?;
    let named = guarded.rule.as_ref().and_then(|rule| rule.tool.as_deref());
    let of_tool = |name: String| format!("tools/call {name} {}", request.target.authority.host);
    let (tool_name, recorded_tool) = if let (None, Some(call)) = (named, tool_call) {
        (of_tool(call.shown_name()), of_tool(call.masked_name()))
    } else {
        let name = key::tool_name(named, &request.parts.method, &request.target);
        (name.clone(), name)
    };
    let no_trailers = HeaderMap::new();
    let identity = key::derive(&KeyInput {
        owner: (&scope).into(),
        head: request.head(),
        metadata: &request.metadata,
        login: &request.login,
        body: digests,
        trailers: body.trailers.as_ref().unwrap_or(&no_trailers),
        guarded: &guarded,
        tool: &tool_name,
        keyed_digest,
    })?;
    let adds_key = keys.adds;
    Ok(Identified { request, body, scope, guarded, tool_name, recorded_tool, identity, adds_key })
}

/// The key that a tool call names: by header, or in its `_meta`.
fn take_tool_key(metadata: &mut RequestMetadata, call: &ToolCall) -> Result<(), Error> {
    let named = call.key.as_ref().map_err(|why| Error::Malformed(why.clone()))?;
    match (&metadata.key, named) {
        (Some(header), Some(meta)) if header != meta => Err(Error::Malformed(format!(
            "Idempotency-Key and _meta[{KEY_MEMBER:?}] name different keys"
        ))),
        (None, Some(meta)) => {
            metadata.key = Some(meta.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The digests of a body. One on disk is read without blocking this task.
async fn body_digests(
    headers: &HeaderMap,
    body: &BufferedBody,
    guarded: &Guarded,
) -> io::Result<BodyDigests> {
    let sha256 = body.sha256;
    let mut reader = SpooledReader::new(body.bytes.clone());
    if body.in_memory().is_some() {
        return BodyDigests::read(headers, &mut reader, sha256, guarded);
    }
    let (headers, guarded) = (headers.clone(), guarded.clone());
    let read = move || BodyDigests::read(&headers, &mut reader, sha256, &guarded);
    spawn_blocking(read).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// Finds out which of several identical calls is meant, if the rule says that a delivered call is
/// followed by a new one. Returns what is recorded once the answer has arrived.
async fn number_repeat(
    context: &ProxyContext,
    identified: &mut Identified,
) -> Result<Option<Delivery>, Error> {
    let Some(repeat) = identified.repeat() else { return Ok(None) };
    context.calls.deliveries.settle_repeat(&repeat).await;
    let ordinal = context.store.ordinal(&repeat).await?;
    let user_id = identified.scope.user_id;
    Ok(identified.identity.key.as_mut().map(|call_key| {
        key::number(call_key, user_id, ordinal);
        Delivery { repeat, ordinal, holder: call_key.holder }
    }))
}

impl Identified {
    fn label_key(&self) -> Option<LabelKey> {
        let key = self.identity.key.as_ref()?;
        let label = if key.explicit { LabelKey::Explicit } else { LabelKey::Derived };
        Some(label(key.text.clone()))
    }

    /// What the call may repeat: its rule says that a delivered call is followed by a new one, and
    /// the request names neither its call (a key) nor a new one (`Agent-Repeat`).
    fn repeat(&self) -> Option<store::Repeat> {
        let rule = self.guarded.rule.as_ref()?;
        let key = self.identity.key.as_ref().filter(|key| !key.explicit)?;
        (rule.keys.repeat == Repeat::Delivered && self.identity.digests.repeat.is_none())
            .then(|| store::Repeat { first: key.holder, run: self.request.metadata.run.clone() })
    }
}
