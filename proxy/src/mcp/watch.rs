//! Streams of MCP that pass, byte for byte, and in which the engine looks for two things: responses
//! to guarded calls, which are held until they are on disk, and what trusted servers say of their
//! tools.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body as _, Frame};
use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use proxy_core::http::forms::kind::media_type;
use proxy_core::http::target::Target;
use proxy_core::mcp::head;
use proxy_core::mcp::session_key::SessionKey;
use proxy_core::mcp::sse::{self, Cutter, SsePiece};
use proxy_core::mcp::tool_hints::Hints;
use proxy_core::policy::decision::{McpPass, PassReason};
use tokio_util::sync::CancellationToken;

use super::servers::McpServers;
use super::sessions::Sessions;
use crate::body::channel::{BodySender, channel};
use crate::body::memory::GrowingShare;
use crate::body::reply::ReplyBody;
use crate::context::ProxyContext;
use crate::upstream::response_body::UpstreamBody;

/// How long a stream may be silent on which nothing may happen: that of a session, or one of gRPC.
pub(crate) const SILENT: Duration = Duration::from_hours(24 * 365);

/// The longest list of tools that is read, in bytes.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// What is looked for in an answer. All of them may be silent for long.
#[derive(Debug)]
pub(crate) enum Watch {
    /// Nothing.
    Nothing,
    /// Nothing, and the answer goes on until one side ends it.
    Endless,
    /// Responses to the calls of a session.
    Session(SessionKey),
    /// The tools of a trusted server.
    Tools(Target),
}

impl Watch {
    /// What to look for in the answer to a request that passes. The request is changed to ask for
    /// an answer that can be read.
    pub(crate) fn of(
        servers: &McpServers,
        target: &Target,
        head: &mut Parts,
        reason: &PassReason,
    ) -> Option<Self> {
        let watch = if head::opens_stream(&head.method, &head.headers) {
            SessionKey::of(&head.headers, target).map_or(Self::Endless, Self::Session)
        } else {
            match reason {
                PassReason::Mcp(McpPass::ToolsList) if servers.hints.trusts(target) => {
                    Self::Tools(target.clone())
                }
                PassReason::Mcp(McpPass::Listen) => Self::Endless,
                PassReason::Mcp(_) => Self::Nothing,
                _ => return None,
            }
        };
        if matches!(watch, Self::Session(_) | Self::Tools(_)) {
            head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        Some(watch)
    }

    /// The answer's body as the client gets it.
    pub(crate) fn body(
        self,
        context: &ProxyContext,
        headers: &HeaderMap,
        source: UpstreamBody,
    ) -> ReplyBody {
        let inspection = match self {
            Self::Session(session) if is_events(headers) => {
                Inspection::Responses(session, Arc::clone(&context.calls.mcp.sessions))
            }
            Self::Tools(target) => {
                let events = is_events(headers).then(Cutter::default);
                Inspection::List {
                    target,
                    hints: Arc::clone(&context.calls.mcp.hints),
                    events,
                    text: Vec::new(),
                }
            }
            Self::Endless if is_events(headers) => Inspection::Nowhere,
            Self::Session(_) | Self::Endless | Self::Nothing => return ReplyBody::upstream(source),
        };
        let (sender, body) = channel(source.size_hint().exact());
        // A stream that does not end by itself must not hold up the engine's shutdown.
        let stop = match inspection {
            Inspection::List { .. } => context.lifecycle.closing.clone(),
            Inspection::Responses(..) | Inspection::Nowhere => context.lifecycle.draining.clone(),
        };
        // Ends with its client, so that no drain has to wait for it.
        let share = GrowingShare::of(&context.bodies.answers);
        tokio::spawn(pass(source, sender, inspection, share, stop));
        ReplyBody::channel(body)
    }
}

fn is_events(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media.essence_str() == "text/event-stream")
}

/// What is done with the parts of an answer.
enum Inspection {
    Nowhere,
    Responses(SessionKey, Arc<Sessions>),
    List {
        target: Target,
        hints: Arc<Hints>,
        /// If the answer is a stream.
        events: Option<Cutter>,
        /// If it is not.
        text: Vec<u8>,
    },
}

/// Passes `source` on. A client that is dropped instead of ended sees an answer that broke off.
async fn pass(
    mut source: UpstreamBody,
    sender: BodySender,
    mut inspection: Inspection,
    mut share: GrowingShare,
    stop: CancellationToken,
) {
    let mut cutter = Cutter::default();
    let mut trailers = None;
    loop {
        let frame = tokio::select! {
            frame = source.frame() => frame,
            () = sender.closed() => return,
            () = stop.cancelled() => return,
        };
        let data = match frame.map(|frame| frame.map(Frame::into_data)) {
            None => break,
            Some(Err(_)) => return,
            Some(Ok(Err(frame))) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
            Some(Ok(Ok(data))) => data,
        };
        let passed = match &mut inspection {
            Inspection::Responses(session, sessions) => {
                cutter.push(&data);
                if !share.covers(cutter.held()) {
                    cutter.overflow();
                }
                send_events(&mut cutter, *session, sessions, &sender).await
            }
            other => {
                other.learn(&data, &mut share);
                sender.data(data).await.is_ok()
            }
        };
        if !passed {
            return;
        }
    }
    let rest = cutter.rest();
    if rest.is_empty() || sender.data(rest).await.is_ok() {
        sender.end(trailers).await;
    }
}

/// Sends the client the events that are there, each response once it is on disk. False: the stream
/// is over.
async fn send_events(
    cutter: &mut Cutter,
    session: SessionKey,
    sessions: &Sessions,
    sender: &BodySender,
) -> bool {
    while let Some(piece) = cutter.next_piece() {
        let bytes = match piece {
            SsePiece::Part(part) | SsePiece::Last(part) => part,
            SsePiece::Event(event) => {
                let message = sse::event(&event).data;
                if let Some(recorded) = sessions.deliver(session, &message).await
                    && recorded.await.is_err()
                {
                    return false;
                }
                event
            }
        };
        if sender.data(bytes).await.is_err() {
            return false;
        }
    }
    true
}

impl Inspection {
    /// Learns the tools before the client gets them. A text that is not whole yet teaches nothing.
    fn learn(&mut self, data: &[u8], share: &mut GrowingShare) {
        let Self::List { target, hints, events, text } = self else { return };
        match events {
            Some(cutter) => {
                cutter.push(data);
                if !share.covers(cutter.held()) {
                    cutter.overflow();
                }
                while let Some(piece) = cutter.next_piece() {
                    if let SsePiece::Event(event) = piece {
                        hints.learn(target, &sse::event(&event).data);
                    }
                }
            }
            None if text.len() + data.len() <= MAX_LIST
                && share.covers(text.len() + data.len()) =>
            {
                text.extend_from_slice(data);
                hints.learn(target, text);
            }
            None => text.clear(),
        }
    }
}
