//! Passes messages between the client on our stdin and stdout, and the server on its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxy::mcp::{self, Message, WrapperProblem};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::canonical;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;
use super::child::Child;
use super::loopback::Loopback;
use crate::exit::ExitStatus;
use crate::launch::signals::Signals;

/// How many messages may wait for the client to read them.
const MESSAGES: usize = 64;

/// How long to wait for the response to a cancelled call; most servers send none.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

/// How long running calls have to be recorded once the client is gone.
const DRAIN: Duration = Duration::from_secs(30);

/// How long to wait for the last messages of a server that has ended.
const LEFTOVER: Duration = Duration::from_secs(2);

/// The queue of messages to the client.
type ToClient = mpsc::Sender<Bytes>;

/// Passes messages until the server ends: by itself, because its client is gone, or by a signal.
pub(super) async fn run(
    mut child: Child,
    stdout: ChildStdout,
    loopback: Arc<Loopback>,
    calls: Arc<Calls>,
    signals: &mut Signals,
) -> anyhow::Result<ExitStatus> {
    let (to_client, messages) = mpsc::channel(MESSAGES);
    let writing = tokio::spawn(write(messages));
    let server_done = CancellationToken::new();
    let running = TaskTracker::new();
    let reading = from_server(stdout, Arc::clone(&loopback), to_client.clone());
    let guard = server_done.clone().drop_guard();
    tokio::spawn(async move {
        reading.await;
        drop(guard);
    });
    let client = FromClient {
        loopback: Arc::clone(&loopback),
        calls,
        lines: to_client,
        running: running.clone(),
    };
    let client_gone = CancellationToken::new();
    let guard = client_gone.clone().drop_guard();
    let client = tokio::spawn(async move {
        client.listen().await;
        drop(guard);
    });
    tokio::select! {
        () = server_done.cancelled() => {}
        () = client_gone.cancelled() => {
            running.close();
            tokio::select! {
                _ = timeout(DRAIN, running.wait()) => {}
                _ = signals.next_to_stop() => {}
            }
        }
        signal = signals.next_to_stop() => signal.forward(child.pid()),
    }
    loopback.close();
    let ending = async {
        let ended = child.end().await?;
        // The pipe still holds what the server wrote before it ended. A process that it left behind
        // may keep the pipe open.
        let _ = timeout(LEFTOVER, server_done.cancelled()).await;
        loopback.end();
        client.abort();
        running.close();
        running.wait().await;
        let _ = writing.await;
        Ok(ended)
    };
    // The first signal asks the server to end; the next one waits for nobody.
    let signal = tokio::select! {
        ended = ending => return ended,
        signal = signals.next_to_stop() => signal,
    };
    child.kill();
    signal.end_process();
    Ok(ExitStatus::Unexpected)
}

async fn write(mut messages: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(message) = messages.recv().await {
        stdout.write_all(&message).await?;
        stdout.flush().await?;
    }
    Ok(())
}

/// The one message of a line, in the one spelling in which the server gets it; `None` if there is not
/// exactly one that every reader reads alike.
fn message_of(line: &[u8]) -> Option<Bytes> {
    canonical::line(line).map(|text| format!("{text}\n").into())
}

/// The next line with its newline, which the last one may lack. `None` at the end.
async fn line<R: AsyncRead + Unpin>(from: &mut BufReader<R>) -> Option<Bytes> {
    let mut line = Vec::new();
    let read = from.read_until(b'\n', &mut line).await.ok()?;
    (read > 0).then(|| line.into())
}

/// Passes messages of the server: a response to a claimed call goes back through the proxy.
async fn from_server(stdout: ChildStdout, loopback: Arc<Loopback>, to_client: ToClient) {
    let mut stdout = BufReader::new(stdout);
    while let Some(line) = line(&mut stdout).await {
        let id = mcp::id_of_response(&line);
        if id.is_none() {
            loopback.pending.note(&line);
        }
        let claimed = id.is_some_and(|id| loopback.pending.deliver(&id, &line));
        // Without a client the server goes on, so that its calls are recorded.
        if !claimed {
            let _ = to_client.send(line).await;
        }
    }
}

struct FromClient {
    loopback: Arc<Loopback>,
    calls: Arc<Calls>,
    lines: ToClient,
    running: TaskTracker,
}

#[derive(Deserialize)]
struct CancelledNotification<'a> {
    #[serde(borrow)]
    params: CancelledParams<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelledParams<'a> {
    #[serde(borrow)]
    request_id: &'a RawValue,
}

impl FromClient {
    async fn listen(self) {
        let mut stdin = BufReader::new(tokio::io::stdin());
        while let Some(line) = line(&mut stdin).await {
            self.dispatch(line).await;
        }
    }

    /// Only tool calls go through the engine, and lists of tools, whose hints it may trust.
    ///
    /// The server gets what was parsed, never what was written: it may read that differently.
    async fn dispatch(&self, line: Bytes) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some(line) = message_of(&line) else {
            let why = "a line must be one message in JSON (RFC 8259) and UTF-8, without duplicate \
                       members, lone surrogates or nesting over 128; this one was not sent";
            return self.refuse(&line, why).await;
        };
        match mcp::read(&line) {
            Some(Message::Call(call)) => {
                let (calls, to_client) = (Arc::clone(&self.calls), self.lines.clone());
                self.running.spawn(async move {
                    let _ = to_client.send(calls.call(&line, &call).await).await;
                });
            }
            Some(Message::Other { method }) if method.as_deref() == Some("tools/list") => {
                self.list_tools(line);
            }
            Some(Message::Other { method }) => {
                self.loopback.send(line.clone()).await;
                if method.as_deref() == Some("notifications/cancelled") {
                    self.give_up_later(&line);
                }
            }
            None if mcp::is_batch_without_calls(&line) => {
                self.loopback.send(line).await;
            }
            None => {
                let why = "a message must be a single request, notification or response of JSON-RPC \
                           2.0 with its members in lower case, and a tools/call must have an id (a \
                           string or an integer) and a name; this one was not sent";
                self.refuse(&line, why).await;
            }
        }
    }

    fn list_tools(&self, line: Bytes) {
        let (calls, to_client) = (Arc::clone(&self.calls), self.lines.clone());
        let loopback = Arc::clone(&self.loopback);
        self.running.spawn(async move {
            match calls.list_tools(&line).await {
                Some(response) => {
                    let _ = to_client.send(response).await;
                }
                None => {
                    loopback.send(line).await;
                }
            }
        });
    }

    async fn refuse(&self, line: &[u8], why: &str) {
        let mut refusal = WrapperProblem::Malformed(why.to_owned()).refusal(line);
        refusal.push(b'\n');
        let _ = self.lines.send(refusal.into()).await;
    }

    /// A server sends no response to a call that it has cancelled, so its outcome is unknown.
    fn give_up_later(&self, line: &[u8]) {
        let Ok(cancelled) = serde_json::from_slice::<CancelledNotification<'_>>(line) else {
            return;
        };
        let Some(id) = mcp::canonical_id(cancelled.params.request_id) else { return };
        let loopback = Arc::clone(&self.loopback);
        tokio::spawn(async move {
            sleep(AFTER_CANCEL).await;
            loopback.pending.give_up(&id);
        });
    }
}
