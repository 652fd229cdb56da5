//! The server as an upstream of the proxy: a port on the loopback accepts a claimed call, passes it
//! to the stdin of the server, and answers with its response.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use proxy::mcp::{self, Message, ToolCall, WrapperProblem};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// The header that proves that a request of the proxy is ours.
pub(super) const PASS_HEADER: &str = "mcp-stdio-pass";

/// How many lines may wait for the server to read them.
const LINES: usize = 64;

/// Lines to the server, and the responses that calls wait for.
#[derive(Debug)]
pub(super) struct Loopback {
    pub(super) address: SocketAddr,
    /// Random, because other users of this machine can reach the port.
    pub(super) pass: String,
    to_server: Mutex<Option<mpsc::Sender<Bytes>>>,
    pending: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
}

/// Opens the port and starts to write to the server.
pub(super) async fn open(stdin: ChildStdin) -> io::Result<Arc<Loopback>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (sender, lines) = mpsc::channel(LINES);
    let loopback = Arc::new(Loopback {
        address: listener.local_addr()?,
        pass: [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string()).concat(),
        to_server: Mutex::new(Some(sender)),
        pending: Mutex::default(),
    });
    tokio::spawn(write(stdin, lines));
    tokio::spawn(accept(listener, Arc::clone(&loopback)));
    Ok(loopback)
}

/// Ends, and closes the stdin of the server, when nobody can send any more or the server stops
/// reading.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn accept(listener: TcpListener, loopback: Arc<Loopback>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let loopback = Arc::clone(&loopback);
        let service = service_fn(move |request| answer(Arc::clone(&loopback), request));
        // A call without a response ends its connection without an answer, so the proxy knows that
        // the outcome is unknown.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    loopback: Arc<Loopback>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let shown = request.headers().get(PASS_HEADER).map(hyper::http::HeaderValue::as_bytes);
    if shown != Some(loopback.pass.as_bytes()) {
        return Ok(json_response(StatusCode::FORBIDDEN, Bytes::new()));
    }
    let line = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let Some(id) = mcp::id_of_request(&line) else {
        return Ok(json_response(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    let call = match mcp::read(&line) {
        Some(Message::Call(call)) => Some(call),
        _ => None,
    };
    let Some(response) = loopback.wait_for(&id) else {
        let why = "Another call with the same id is still running. Nothing was executed.";
        let problem = WrapperProblem::Malformed(why.to_owned());
        return Ok(json_response(StatusCode::CONFLICT, refusal(call.as_deref(), &line, &problem)));
    };
    if !loopback.send(line.clone()).await {
        loopback.pending().remove(&id);
        let why = "The MCP server has ended. Nothing was executed.";
        let problem = WrapperProblem::Unsent(why.to_owned());
        let refusal = refusal(call.as_deref(), &line, &problem);
        let mut refused = json_response(StatusCode::SERVICE_UNAVAILABLE, refusal);
        refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(refused);
    }
    let response = response.await;
    response
        .map(|line| json_response(StatusCode::OK, line))
        .map_err(|_| io::Error::other("the server sent no response"))
}

fn refusal(call: Option<&ToolCall>, line: &[u8], problem: &WrapperProblem) -> Bytes {
    match call {
        Some(call) => problem.result(call).into(),
        None => problem.refusal(line).into(),
    }
}

fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Loopback {
    fn pending(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Bytes>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if a call with this id is waiting already.
    fn wait_for(&self, id: &str) -> Option<oneshot::Receiver<Bytes>> {
        let mut pending = self.pending();
        if pending.get(id).is_some_and(|waiting| !waiting.is_closed()) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        pending.insert(id.to_owned(), sender);
        Some(receiver)
    }

    /// Sends a line to the server; false if the server no longer reads, so that nothing was sent.
    pub(super) async fn send(&self, line: Bytes) -> bool {
        let sender = self.to_server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender {
            Some(sender) => sender.send(line).await.is_ok(),
            None => false,
        }
    }

    /// Takes a line of the server if it answers a call from here; also if nobody waits for that
    /// answer any more, because its caller already has another one.
    pub(super) fn deliver(&self, id: &str, line: &Bytes) -> bool {
        let waiting = self.pending().remove(id);
        waiting.map(|waiting| waiting.send(line.clone())).is_some()
    }

    /// Stops waiting for a response: the outcome of the call is unknown.
    pub(super) fn give_up(&self, id: &str) {
        self.pending().remove(id);
    }

    /// Sends no more lines: the stdin of the server closes after those that are queued.
    pub(super) fn close(&self) {
        self.to_server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The server has ended: no more responses will arrive.
    pub(super) fn end(&self) {
        self.close();
        self.pending().clear();
    }
}
