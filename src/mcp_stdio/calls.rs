//! A tool call on its way: through the proxy, which claims it, to the server, and back.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use hyper_util::rt::TokioIo;
use proxy::mcp::{STDIO_PORT, STDIO_PROOF, ToolCall, WrapperProblem, id_of_response};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;

use super::answer;
use super::engine::{EngineHandle, ProxyAccess};
use super::loopback::{Loopback, PASS_HEADER};
use super::server::Server;

/// Sends calls through the proxy.
pub(super) struct Calls {
    server: Server,
    engine: Arc<EngineHandle>,
    port: u16,
    pass: String,
}

/// Why the proxy gave no answer.
enum CallFailure {
    /// Nothing was sent.
    Unreachable(io::Error),
    /// The call may have run.
    Lost(String),
}

#[derive(Deserialize)]
struct ProblemDetails {
    title: Option<String>,
    detail: Option<String>,
}

impl Calls {
    pub(super) fn new(server: Server, engine: Arc<EngineHandle>, loopback: &Loopback) -> Self {
        Self { server, engine, port: loopback.address.port(), pass: loopback.pass.clone() }
    }

    /// The response to a tool call, as a line: the one of the server, a stored one, or a result
    /// that says what is known.
    pub(super) async fn call(&self, line: &Bytes, call: &ToolCall) -> Bytes {
        let problem = match self.exchange(line).await {
            Ok(body) if id_of_response(&body).is_some() => return as_line(body),
            Ok(body) => problem_of(&body),
            Err(CallFailure::Unreachable(error)) => WrapperProblem::Unsent(format!(
                "The tool call was not sent: openclaw-state-engine cannot be reached ({error}). \
                 Nothing was executed; it can be sent again once the engine is running."
            )),
            Err(CallFailure::Lost(error)) => WrapperProblem::Lost(format!(
                "This call may already have taken effect: openclaw-state-engine stopped while it \
                 ran ({error}). Don't send it again without checking at the tool whether it took \
                 effect."
            )),
        };
        as_line(problem.result(call).into())
    }

    /// The response to a message without side effects that the engine reads; `None` if the engine
    /// cannot be reached and nothing was sent.
    pub(super) async fn list_tools(&self, line: &Bytes) -> Option<Bytes> {
        let problem = match self.exchange(line).await {
            Ok(body) if id_of_response(&body).is_some() => return Some(as_line(body)),
            Ok(body) => problem_of(&body),
            Err(CallFailure::Lost(error)) => WrapperProblem::Lost(format!("no response: {error}")),
            Err(CallFailure::Unreachable(_)) => return None,
        };
        Some(as_line(problem.refusal(line).into()))
    }

    async fn exchange(&self, line: &Bytes) -> Result<Bytes, CallFailure> {
        let proxy = self.engine.proxy();
        match self.send(&proxy, line).await {
            Err(CallFailure::Unreachable(_)) => {
                let proxy = self.engine.reconnect(proxy).await;
                let proxy = proxy.map_err(|error| {
                    CallFailure::Unreachable(io::Error::other(format!("{error:#}")))
                })?;
                self.send(&proxy, line).await
            }
            other => other,
        }
    }

    async fn send(&self, proxy: &ProxyAccess, line: &Bytes) -> Result<Bytes, CallFailure> {
        let unsent = |error| CallFailure::Unreachable(io::Error::other(error));
        let stream = TcpStream::connect(&proxy.address).await.map_err(CallFailure::Unreachable)?;
        let _ = stream.set_nodelay(true);
        let request = self.request(proxy, line).map_err(unsent)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| CallFailure::Unreachable(io::Error::other(error)))?;
        tokio::spawn(connection);
        let response = sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            if unsent {
                CallFailure::Unreachable(io::Error::other(error))
            } else {
                CallFailure::Lost(error.to_string())
            }
        })?;
        answer::message(response).await.map_err(|error| CallFailure::Lost(error.to_string()))
    }

    fn request(
        &self,
        proxy: &ProxyAccess,
        line: &Bytes,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let Server { host, path, principal } = &self.server;
        Request::post(format!("http://{host}{path}"))
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(PROXY_AUTHORIZATION, &proxy.authorization)
            // Identifies the credentials of the server: the proxy keeps a keyed digest of it.
            .header(AUTHORIZATION, format!("Environment {principal}"))
            .header("mcp-method", "stdio")
            .header(PASS_HEADER, &self.pass)
            .header(STDIO_PORT, self.port)
            .header(STDIO_PROOF, &proxy.proof)
            .body(Full::new(line.clone()))
    }
}

/// A problem that the engine reports, which is not about the call itself.
fn problem_of(body: &[u8]) -> WrapperProblem {
    match serde_json::from_slice::<ProblemDetails>(body) {
        Ok(ProblemDetails { title: Some(title), detail }) => {
            let text = format!("{title}. {} Nothing was executed.", detail.unwrap_or_default());
            let document = serde_json::from_slice::<&RawValue>(body).unwrap_or(RawValue::NULL);
            WrapperProblem::Proxy(text, document.to_owned())
        }
        _ => WrapperProblem::Lost("Unexpected answer from the engine.".to_owned()),
    }
}

/// Each message is one line.
fn as_line(message: Bytes) -> Bytes {
    if message.ends_with(b"\n") {
        return message;
    }
    [&message[..], b"\n"].concat().into()
}
