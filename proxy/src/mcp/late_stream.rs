//! Streams that may still bring the response to a tool call, although its caller was given up.

use std::sync::Arc;
use std::time::Duration;

use proxy_core::mcp::caller::Caller;
use store::call::Finish;
use tokio::sync::oneshot;

use super::sessions::ExpectedResponse;
use super::tool_stream::{StreamEvent, ToolStream};
use crate::body::memory::MemoryShare;
use crate::context::ProxyContext;
use crate::steps::label::CallLabel;
use crate::steps::record::client::StreamClient;
use crate::steps::record::facts::AnswerFacts;
use crate::steps::states::SentCall;
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::Silence;

/// What a late answer says.
pub(crate) struct LateFinish {
    pub(crate) finish: Finish,
    /// Learns that it is on disk, if another stream of a session waits for that.
    pub(crate) recorded: Option<oneshot::Sender<()>>,
    /// The memory of a body that is held until it is on disk.
    pub(crate) share: Option<MemoryShare>,
}

/// A stream that may still bring the response, although its caller was given up.
pub(crate) struct LateStream {
    pub(super) facts: AnswerFacts,
    pub(super) source: ResponseSource,
}

pub(super) enum ResponseSource {
    /// The stream of the call.
    Here(Box<ToolStream>),
    /// Another stream of its session.
    Elsewhere(ExpectedResponse),
}

impl LateStream {
    /// A stream of which nothing was read.
    pub(crate) fn begun(
        context: &ProxyContext,
        caller: Arc<Caller>,
        facts: AnswerFacts,
        source: UpstreamBody,
    ) -> Self {
        let silence = Silence { limit: context.timeouts.late, caller: None };
        let stream = ToolStream::new(context, caller, source, silence, None);
        Self { facts, source: ResponseSource::Here(Box::new(stream)) }
    }

    /// The outcome by the response. `None`: none came, or it is too large to be kept.
    pub(crate) async fn finish(
        self,
        label: &CallLabel,
        call: &SentCall,
        limit: Duration,
    ) -> Option<LateFinish> {
        let Self { facts, source } = self;
        let (caller, response) = match source {
            ResponseSource::Here(mut stream) => {
                stream.source.set_limit(limit);
                match stream.response(&mut StreamClient::none()).await {
                    StreamEvent::Here { message, outcome, .. } => {
                        let outcome = facts.judged(label, outcome, Some(&message));
                        let finish = facts.responded(call, outcome, message);
                        return Some(LateFinish { finish, recorded: None, share: None });
                    }
                    StreamEvent::Elsewhere(response) => (stream.caller, response),
                    StreamEvent::Long(..) | StreamEvent::Missing(_) => return None,
                }
            }
            ResponseSource::Elsewhere(mut expected) => {
                (label.mcp.clone()?, expected.response().await?)
            }
        };
        let outcome = caller.outcome(&response.message)?;
        let outcome = facts.judged(label, outcome, Some(&response.message));
        let finish = facts.responded(call, outcome, response.message);
        Some(LateFinish { finish, recorded: Some(response.recorded), share: None })
    }
}
