//! Streams of MCP that pass, byte for byte, and in which the engine looks for two things: responses
//! to guarded calls, which are held until they are on disk, and what trusted servers say of their
//! tools.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use proxy_core::http::target::Target;
use proxy_core::mcp::decide::{LISTEN, TOOLS_LIST};
use proxy_core::mcp::head;
use proxy_core::mcp::session_key::SessionKey;
use proxy_core::mcp::sse::{self, Cutter, Piece};
use proxy_core::mcp::tool_hints::Hints;
use tokio_util::sync::CancellationToken;

use crate::body::stream::{Body, Feeder, fed};
use crate::context::ProxyContext;
use crate::mcp::sessions::Sessions;
use crate::upstream::response_body::FromUpstream;

/// A session's stream, or one of gRPC, may be silent for as long as nothing happens.
pub(crate) const IDLE: Duration = Duration::from_hours(24 * 365);

/// The longest list of tools that is read, in bytes.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// What is looked for in an answer.
#[derive(Debug)]
pub(crate) enum Watch {
    /// Nothing: it may be silent for long.
    Nothing,
    /// Nothing: it goes on until somebody ends it.
    Endless,
    /// Responses to the calls of a session.
    Session(SessionKey),
    /// The tools of a server that is believed.
    Tools(Target),
}

impl Watch {
    /// What to look for in the answer to a request that passes by the rule `rule`. The request asks
    /// for an answer that can be read.
    pub(crate) fn of(
        context: &ProxyContext,
        target: &Target,
        head: &mut Parts,
        rule: &str,
    ) -> Option<Self> {
        let watch = if head::opens_stream(&head.method, &head.headers) {
            SessionKey::of(&head.headers, target).map_or(Self::Endless, Self::Session)
        } else if rule == TOOLS_LIST && context.mcp.hints.trusts(target) {
            Self::Tools(target.clone())
        } else if rule == LISTEN {
            Self::Endless
        } else if rule.starts_with("mcp") {
            Self::Nothing
        } else {
            return None;
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
        source: FromUpstream,
    ) -> Body {
        let look = match self {
            Self::Session(session) if is_events(headers) => {
                Look::Responses(session, Arc::clone(&context.mcp.sessions))
            }
            Self::Tools(target) => {
                let events = is_events(headers).then(Cutter::default);
                Look::List {
                    target,
                    hints: Arc::clone(&context.mcp.hints),
                    events,
                    text: Vec::new(),
                }
            }
            Self::Endless if is_events(headers) => Look::Nowhere,
            Self::Session(_) | Self::Endless | Self::Nothing => return Body::upstream(source),
        };
        let length = hyper::body::Body::size_hint(&source).exact();
        let (feeder, body) = fed(length);
        // What nobody ends by itself must not hold up the engine's own end.
        let stop = match look {
            Look::List { .. } => context.closing.clone(),
            Look::Responses(..) | Look::Nowhere => context.draining.clone(),
        };
        // Ends with its client: no drain has to wait for it.
        tokio::spawn(pass(source, feeder, look, stop));
        Body::fed(body)
    }
}

pub(super) fn is_events(headers: &HeaderMap) -> bool {
    proxy_core::http::forms::kind::media_type(headers)
        .is_some_and(|media| media.essence_str() == "text/event-stream")
}

enum Look {
    Nowhere,
    Responses(SessionKey, Arc<Sessions>),
    List {
        target: Target,
        hints: Arc<Hints>,
        /// Where the answer is a stream.
        events: Option<Cutter>,
        /// Where it is not.
        text: Vec<u8>,
    },
}

/// Passes `source` on. A client that is dropped instead of ended sees an answer that broke off.
async fn pass(mut source: FromUpstream, feeder: Feeder, mut look: Look, stop: CancellationToken) {
    let mut cutter = Cutter::default();
    let mut trailers = None;
    loop {
        let frame = tokio::select! {
            frame = source.frame() => frame,
            () = feeder.closed() => return,
            () = stop.cancelled() => return,
        };
        let data = match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
            None => break,
            Some(Err(_)) => return,
            Some(Ok(Err(frame))) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
            Some(Ok(Ok(data))) => data,
        };
        let passed = match &mut look {
            Look::Responses(session, sessions) => {
                cutter.push(&data);
                events(&mut cutter, *session, sessions, &feeder).await
            }
            other => {
                other.listen(&data);
                feeder.data(data).await.is_ok()
            }
        };
        if !passed {
            return;
        }
    }
    let rest = cutter.rest();
    if rest.is_empty() || feeder.data(rest).await.is_ok() {
        feeder.end(trailers).await;
    }
}

/// Gives the client the events that are there, each response once it is on disk.
async fn events(
    cutter: &mut Cutter,
    session: SessionKey,
    sessions: &Sessions,
    feeder: &Feeder,
) -> bool {
    while let Some(piece) = cutter.next_piece() {
        let bytes = match piece {
            Piece::Part(part) | Piece::Last(part) => part,
            Piece::Event(event) => {
                let message = sse::event(&event).data;
                if let Some(recorded) = sessions.deliver(session, &message).await
                    && recorded.await.is_err()
                {
                    return false;
                }
                event
            }
        };
        if feeder.data(bytes).await.is_err() {
            return false;
        }
    }
    true
}

impl Look {
    /// Learns before the client can know. A text that is not whole yet teaches nothing.
    fn listen(&mut self, data: &[u8]) {
        let Self::List { target, hints, events, text } = self else { return };
        match events {
            Some(cutter) => {
                cutter.push(data);
                while let Some(piece) = cutter.next_piece() {
                    if let Piece::Event(event) = piece {
                        hints.learn(target, &sse::event(&event).data);
                    }
                }
            }
            None if text.len() + data.len() <= MAX_LIST => {
                text.extend_from_slice(data);
                hints.learn(target, text);
            }
            None => text.clear(),
        }
    }
}
