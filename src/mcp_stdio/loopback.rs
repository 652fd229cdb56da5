//! The server as an upstream of the proxy: a port on the loopback accepts a claimed call, passes it
//! to the stdin of the server, and answers with its response.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
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
use tokio::sync::mpsc;
use uuid::Uuid;

use super::pending::{ExpectedResponse, PendingCalls, ProgressStream, no_response};

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
    pub(super) pending: PendingCalls,
}

/// Opens the port and starts to write to the server.
pub(super) async fn open(stdin: ChildStdin) -> io::Result<Arc<Loopback>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (sender, lines) = mpsc::channel(LINES);
    let loopback = Arc::new(Loopback {
        address: listener.local_addr()?,
        pass: [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string()).concat(),
        to_server: Mutex::new(Some(sender)),
        pending: PendingCalls::default(),
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

type Answer = Response<Either<Full<Bytes>, ProgressStream>>;

async fn answer(loopback: Arc<Loopback>, request: Request<Incoming>) -> io::Result<Answer> {
    let shown = request.headers().get(PASS_HEADER).map(hyper::http::HeaderValue::as_bytes);
    if shown != Some(loopback.pass.as_bytes()) {
        return Ok(json_answer(StatusCode::FORBIDDEN, Bytes::new()));
    }
    let line = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let Some(id) = mcp::id_of_request(&line) else {
        return Ok(json_answer(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    let call = match mcp::read(&line) {
        Some(Message::Call(call)) => Some(call),
        _ => None,
    };
    let progress_token = call.as_ref().and_then(|call| call.progress_token.clone());
    let Some(expected) = loopback.pending.expect(&id, progress_token) else {
        let why = "Another call with the same id is still running. Nothing was executed.";
        let problem = WrapperProblem::Malformed(why.to_owned());
        return Ok(json_answer(StatusCode::CONFLICT, refusal(call.as_deref(), &line, &problem)));
    };
    if !loopback.send(line.clone()).await {
        loopback.pending.give_up(&id);
        let why = "The MCP server has ended. Nothing was executed.";
        let problem = WrapperProblem::Unsent(why.to_owned());
        let refusal = refusal(call.as_deref(), &line, &problem);
        let mut refused = json_answer(StatusCode::SERVICE_UNAVAILABLE, refusal);
        refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(refused);
    }
    answer_with(expected).await
}

/// The response, or a stream that ends with it if a note of progress comes before.
async fn answer_with(mut expected: ExpectedResponse) -> io::Result<Answer> {
    tokio::select! {
        biased;
        response = &mut expected.response => {
            response.map(|line| json_answer(StatusCode::OK, line)).map_err(no_response)
        }
        Some(()) = expected.notes.recv() => Ok(stream_answer(expected)),
    }
}

fn refusal(call: Option<&ToolCall>, line: &[u8], problem: &WrapperProblem) -> Bytes {
    match call {
        Some(call) => problem.result(call).into(),
        None => problem.refusal(line).into(),
    }
}

fn json_answer(status: StatusCode, body: Bytes) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn stream_answer(expected: ExpectedResponse) -> Answer {
    let mut response = Response::new(Either::Right(ProgressStream::new(expected)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

impl Loopback {
    /// Sends a line to the server; false if the server no longer reads, so that nothing was sent.
    pub(super) async fn send(&self, line: Bytes) -> bool {
        let sender = self.to_server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender {
            Some(sender) => sender.send(line).await.is_ok(),
            None => false,
        }
    }

    /// Sends no more lines: the stdin of the server closes after those that are queued.
    pub(super) fn close(&self) {
        self.to_server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The server has ended: no more responses will arrive.
    pub(super) fn end(&self) {
        self.close();
        self.pending.end();
    }
}
