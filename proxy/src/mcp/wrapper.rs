//! Problems of the wrapper of a server on stdio, in the form of the proxy's own.

use proxy_core::error::Error;
use proxy_core::mcp::message::ToolCall;
use proxy_core::mcp::reply::{refusal, tool_error};
use serde_json::value::{RawValue, to_raw_value};
use store::call::Sent;

use crate::steps::respond::problem::document;

/// Why the wrapper has no response of the server.
#[derive(Debug)]
pub enum WrapperProblem {
    /// The message cannot be passed on.
    Malformed(String),
    /// Nothing was sent to the server.
    Unsent(String),
    /// The call may have run.
    Lost(String),
    /// The proxy's own problem, with its text for the model.
    Proxy(String, Box<RawValue>),
}

impl WrapperProblem {
    /// The response to a tool call: a result, which a model reads.
    pub fn result(&self, call: &ToolCall) -> Vec<u8> {
        tool_error(&call.id, self.text(), &self.document(), call.stateless)
    }

    /// The error response to another request, of which `request` is the text.
    pub fn refusal(&self, request: &[u8]) -> Vec<u8> {
        refusal(request, self.text(), &self.document())
    }

    fn text(&self) -> &str {
        let (Self::Malformed(text) | Self::Unsent(text) | Self::Lost(text) | Self::Proxy(text, _)) =
            self;
        text
    }

    fn document(&self) -> Box<RawValue> {
        let upstream = |sent| Error::Upstream { detail: String::new(), sent };
        let error = match self {
            Self::Malformed(_) => Error::Malformed(String::new()),
            Self::Unsent(_) => upstream(Sent::Never),
            Self::Lost(_) => upstream(Sent::Maybe),
            Self::Proxy(_, document) => return document.clone(),
        };
        to_raw_value(&document(&error, self.text())).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}
