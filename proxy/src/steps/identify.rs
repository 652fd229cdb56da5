//! Step 2, which execution it means: puts together what the store is asked, and what goes out.

use std::io::{self, Cursor};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use proxy_core::error::Error;
use proxy_core::http::forms::digest::{self, BodyReader, Pick};
use proxy_core::http::next_hop;
use proxy_core::http::target::Target;
use proxy_core::identity::key;
use proxy_core::identity::key::{KeyInput, Keyed};
use proxy_core::identity::metadata::Asked;
use proxy_core::identity::upstream_key;
use proxy_core::masking::input;
use proxy_core::mcp::caller::Asker;
use proxy_core::mcp::message::{self, Message, ToolCall};
use proxy_core::mcp::{decide, head};
use proxy_core::policy::decision::{Decision, Guarded};
use proxy_core::policy::keyed::KeyPlace;
use proxy_core::policy::rule::Repeat;
use proxy_core::received::Received;
use store::Delivery;
use store::call::{Call, CallDigests, Scope, Settled, UpstreamKey};
use store::key::{Digest, Encoder, HolderKey};
use store::model::EffectClass;
use tokio::task::spawn_blocking;

use crate::body::buffer::{Taken, unreadable};
use crate::body::outgoing::Outgoing;
use crate::body::spool::StoredReader;
use crate::context::ProxyContext;
use crate::steps::label::Label;
use crate::steps::prepared::Prepared;

/// Whose call it is.
pub(crate) async fn scope(context: &ProxyContext, request: &Received) -> Result<Scope, Error> {
    Ok(context.config.store.scope(&request.asked.scope).await?)
}

/// The decision, now that the body is there.
pub(crate) fn decide(request: &Received, taken: &Taken, decision: Decision) -> Decision {
    if decision != Decision::NeedsBody {
        return decision;
    }
    let Received { target, head, policy, .. } = request;
    policy.decide_body(&head.method, target, &head.headers, None, taken.in_memory())
}

/// A request that turned out not to be guarded after its body was taken.
pub(crate) fn unguarded(mut head: Parts, taken: &Taken) -> (Parts, Outgoing) {
    next_hop::set_framing(&mut head, taken.stored.len(), taken.trailers.as_ref());
    (head, Outgoing::stored(&taken.stored, taken.trailers.as_ref()))
}

/// The message of MCP in the body of a request that may be one, where it is.
pub(crate) async fn mcp_message(
    request: &Received,
    taken: &mut Taken,
) -> Result<Option<Message>, Error> {
    let Received { head, .. } = request;
    if taken.stored.len() > store::MAX_KEPT_BODY as u64 {
        return Ok(None);
    }
    let body = taken.load().await?;
    if taken.in_memory().is_some() {
        return head::message(&head.headers, &body);
    }
    let headers = head.headers.clone();
    let read = spawn_blocking(move || head::message(&headers, &body)).await;
    read.unwrap_or_else(|panic| Err(unreadable(&io::Error::other(panic))))
}

/// The key that a tool call names: by header, or in its `_meta`.
fn agree(asked: &mut Asked, call: &ToolCall) -> Result<(), Error> {
    match (&asked.key, &call.key) {
        (Some(header), Some(meta)) if header != meta => Err(Error::Malformed(format!(
            "Idempotency-Key and _meta[{:?}] name two keys",
            message::KEY_MEMBER
        ))),
        (None, Some(meta)) => {
            asked.key = Some(meta.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A request of which it is known which execution it means.
#[derive(Debug)]
pub(crate) struct Identified {
    request: Received,
    taken: Taken,
    scope: Scope,
    guarded: Guarded,
    tool_name: String,
    keyed: Keyed,
    /// Where the engine's own key is to go upstream.
    adds_key: Option<KeyPlace>,
    asker: Option<Arc<Asker>>,
}

/// Derives the keys of a request. `keyed_digest` is the store's.
pub(crate) async fn identify(
    keyed_digest: &key::KeyedDigest<'_>,
    mut request: Received,
    taken: Taken,
    scope: Scope,
    mut guarded: Guarded,
    tool: Option<decide::Asked>,
) -> Result<Identified, Error> {
    if let Some((call, _)) = &tool {
        agree(&mut request.asked, call)?;
    }
    let in_meta = tool.as_ref().is_some_and(|(call, _)| call.key.is_some());
    let adds_key = find_keys(&mut request, &taken, &mut guarded, in_meta)?;
    let Received { target, head, asked, .. } = &request;
    let digests = match &tool {
        Some((call, _)) => Digests::of_tool_call(head, call, &guarded),
        None => body_digests(&head.headers, &taken, &guarded).await,
    };
    let digests = digests.map_err(|error| unreadable(&error))?;
    let rule = guarded.rule.as_ref();
    let named = rule.and_then(|rule| rule.given.tool.as_deref());
    let tool_name = match (named, &tool) {
        (None, Some((call, _))) => {
            format!("tools/call {} {}", call.shown_name(), target.authority.host)
        }
        _ => key::tool_name(named, &head.method, target),
    };
    let none = HeaderMap::new();
    let keyed = key::derive(&KeyInput {
        whose: (&scope).into(),
        method: &head.method,
        target,
        headers: &head.headers,
        asked,
        body: digests.body,
        content_body: digests.content,
        literal_body: digests.literal,
        undone: digests.undone,
        trailers: taken.trailers.as_ref().unwrap_or(&none),
        guarded: &guarded,
        tool: &tool_name,
        keyed_digest,
    })?;
    let asker = tool.map(|(_, asker)| asker);
    if let (Some(asker), Some(key)) = (&asker, &keyed.key) {
        asker.means((key.holder, keyed.fingerprint));
    }
    Ok(Identified { request, taken, scope, guarded, tool_name, keyed, adds_key, asker })
}

/// Looks for the client's own key where the rule or the table says; tells where the engine's own is
/// to go where the upstream's place has none. Where nothing tells a repeat apart upstream, the call
/// is one of the class `once`: if that place has no room for a key, or holds the client's while
/// another place names the call, of which the next try may then carry another key upstream.
/// `in_meta`: a tool call names its key itself.
fn find_keys(
    request: &mut Received,
    taken: &Taken,
    guarded: &mut Guarded,
    in_meta: bool,
) -> Result<Option<KeyPlace>, Error> {
    let (headers, body) = (&request.head.headers, taken.in_memory());
    let mut named_elsewhere = in_meta;
    for place in guarded.key_places() {
        if let Some(own) = upstream_key::own(place, headers, body)? {
            request.asked.key = Some(own);
            named_elsewhere |= guarded.upstream.as_ref().is_some_and(|key| key.place != *place);
            break;
        }
    }
    let Some(upstream) = &guarded.upstream else { return Ok(None) };
    if upstream_key::own(&upstream.place, headers, body)?.is_some() {
        if named_elsewhere {
            guarded.class = EffectClass::Once;
        }
        return Ok(None);
    }
    if upstream_key::has_room(&upstream.place, headers, body) {
        return Ok(Some(upstream.place.clone()));
    }
    guarded.class = EffectClass::Once;
    guarded.upstream = None;
    Ok(None)
}

impl Identified {
    /// What names the call to its caller.
    pub(crate) fn label(&self) -> Label {
        let key = self.keyed.key.as_ref().map(|key| (key.text.clone(), key.explicit));
        let (rule, mcp) = (self.guarded.rule.clone(), self.asker.clone());
        Label { key, rule, mcp, ..Label::default() }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.request.target
    }

    /// What it repeats, where its rule says that a delivered call is followed by a new one, and it
    /// says itself neither which call it is (a key) nor which wish (`Agent-Repeat`).
    pub(crate) fn repeats(&self) -> Option<store::Repeat> {
        let rule = self.guarded.rule.as_ref()?;
        let key = self.keyed.key.as_ref().filter(|key| !key.explicit)?;
        (rule.given.repeat == Repeat::Delivered && self.keyed.repeat.is_none())
            .then(|| store::Repeat { first: key.holder, run: self.request.asked.run.clone() })
    }

    /// Makes it the call of this number among those that are identical; the place of its key.
    pub(crate) fn number(&mut self, ordinal: u32) -> Option<HolderKey> {
        let key = self.keyed.key.as_mut()?;
        key::number(key, self.scope.user_id, ordinal);
        Some(key.holder)
    }

    /// How it ended before, where it is known to be over. Most duplicates need no more than this.
    pub(crate) fn replay(&self, context: &ProxyContext) -> Result<Option<Arc<Settled>>, Error> {
        let Some(key) = &self.keyed.key else { return Ok(None) };
        if let Some(settled) = context.config.store.replay(key, &self.keyed.fingerprint)? {
            return Ok(Some(settled));
        }
        let which = self.asker.as_ref().and_then(|asker| asker.which());
        Ok(which.and_then(|which| context.mcp.undelivered.take(&which)))
    }

    /// What it is to be recorded as, and what goes out.
    pub(crate) fn prepare(self) -> (Call, Prepared) {
        let label = self.label();
        let Self { request, taken, scope, guarded, tool_name, keyed, adds_key, .. } = self;
        let Received { target, head, asked, .. } = request;
        let Taken { stored: body, sha256, trailers, .. } = taken;
        let keeps = guarded.rule.as_ref().is_none_or(|rule| rule.given.store_body);
        let text = body.in_memory().map(|body| &body[..]).filter(|_| keeps);
        let (method, headers) = (&head.method, &head.headers);
        let counts = |name: &str| guarded.counts(name);
        let input = input::input_json(method, &target, headers, &counts, text, &sha256, body.len());
        let upstream = guarded.upstream.filter(|_| guarded.class == EffectClass::Keyed);
        let upstream_key = upstream.map(|key| UpstreamKey {
            source: match &keyed.key {
                // A token may have let two keys of the client name one execution.
                Some(own) if adds_key.is_none() => {
                    let text = Encoder::new("upstream-key/v1").field(&own.text).finish();
                    format!("client {} {}", key.place, text.hex(8))
                }
                _ => format!("engine {}", key.place),
            },
            lifetime: key.lifetime,
        });
        let call = Call {
            scope,
            tool_name,
            input,
            class: guarded.class,
            digests: CallDigests {
                fingerprint: keyed.fingerprint,
                content: keyed.content,
                literal: keyed.literal,
                principal: keyed.principal,
                repeat: keyed.repeat,
            },
            run: asked.run,
            upstream_key,
            retry_token: asked.retry_token,
            rule: guarded.why.into_owned(),
            key: keyed.key,
        };
        let class = guarded.class;
        (call, Prepared { target, class, head, body, trailers, label, adds_key })
    }
}

/// The digests of a body.
#[derive(Debug, Clone, Copy)]
struct Digests {
    /// Of its canonical form, as the rule has it.
    body: Digest,
    /// Of the same without regard to rules, but for where they see a key.
    content: Digest,
    /// Of the same with all keys in it.
    literal: Digest,
    /// Gzip was undone for them.
    undone: bool,
}

impl Digests {
    /// Of what a tool call means: its id and `_meta` are no part of it.
    fn of_tool_call(head: &Parts, call: &ToolCall, guarded: &Guarded) -> io::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let meaning = call.meaning.as_bytes();
        let sha256 = Digest::of(meaning);
        let read = Self::read(&headers, &mut Cursor::new(meaning), sha256, guarded)?;
        Ok(Self { undone: head.headers.contains_key(CONTENT_ENCODING), ..read })
    }

    fn read(
        headers: &HeaderMap,
        reader: &mut dyn BodyReader,
        sha256: Digest,
        guarded: &Guarded,
    ) -> io::Result<Self> {
        let (body, undone) = digest::body_digest(headers, reader, sha256, &guarded.pick())?;
        let content = if guarded.rule.as_ref().is_some_and(|rule| rule.alters_input()) {
            digest::body_digest(headers, reader, sha256, &guarded.pick_keyless())?.0
        } else {
            body
        };
        let literal = if guarded.pick_keyless().without.is_empty() {
            content
        } else {
            digest::body_digest(headers, reader, sha256, &Pick::default())?.0
        };
        Ok(Self { body, content, literal, undone })
    }
}

/// Of a body on disk without blocking this task.
async fn body_digests(
    headers: &HeaderMap,
    taken: &Taken,
    guarded: &Guarded,
) -> io::Result<Digests> {
    let (body, sha256) = (&taken.stored, taken.sha256);
    let mut reader = StoredReader::new(body.clone());
    if body.in_memory().is_some() {
        return Digests::read(headers, &mut reader, sha256, guarded);
    }
    let (headers, guarded) = (headers.clone(), guarded.clone());
    let read = move || Digests::read(&headers, &mut reader, sha256, &guarded);
    spawn_blocking(read).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// Finds out which of several identical calls is meant, where the rule leaves that to what was
/// delivered; what is to be recorded once the answer has arrived.
pub(crate) async fn number_repeat(
    context: &ProxyContext,
    identified: &mut Identified,
) -> Result<Option<Delivery>, Error> {
    let Some(repeat) = identified.repeats() else { return Ok(None) };
    context.deliveries.settle(&repeat).await;
    let ordinal = context.config.store.ordinal(&repeat).await?;
    let holder = identified.number(ordinal);
    Ok(holder.map(|holder| Delivery { repeat, ordinal, holder }))
}
