//! Messages between the client on our stdin and stdout, and the server on its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxy::mcp::{self, Message};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;
use super::child::Child;
use super::loopback::Loopback;
use crate::exit::ExitStatus;

/// How many messages may wait for the client to read them.
const MESSAGES: usize = 64;

/// How long the response to a cancelled call is waited for; most servers give none.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

/// How long running calls get when the client has left, so that they are recorded.
const DRAIN: Duration = Duration::from_secs(30);

/// How long the last messages of a server that has ended are waited for.
const LEFTOVER: Duration = Duration::from_secs(2);

/// A message to the client.
type ToClient = mpsc::Sender<Bytes>;

/// Passes messages until the server ends: by itself, because its client has left, or by a signal.
pub(super) async fn run(
    child: Child,
    stdout: ChildStdout,
    loopback: Arc<Loopback>,
    calls: Arc<Calls>,
) -> anyhow::Result<ExitStatus> {
    let (to_client, messages) = mpsc::channel(MESSAGES);
    let writing = tokio::spawn(write(messages));
    let heard = CancellationToken::new();
    let under_way = TaskTracker::new();
    let reading = from_server(stdout, Arc::clone(&loopback), to_client.clone());
    let guard = heard.clone().drop_guard();
    tokio::spawn(async move {
        reading.await;
        drop(guard);
    });
    let client = FromClient {
        loopback: Arc::clone(&loopback),
        calls,
        lines: to_client,
        under_way: under_way.clone(),
    };
    let left = CancellationToken::new();
    let guard = left.clone().drop_guard();
    let client = tokio::spawn(async move {
        client.listen().await;
        drop(guard);
    });
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        () = heard.cancelled() => {}
        () = left.cancelled() => {
            under_way.close();
            tokio::select! {
                _ = timeout(DRAIN, under_way.wait()) => {}
                _ = terminate.recv() => {}
            }
        }
        _ = terminate.recv() => child.tell(Signal::TERM),
        _ = interrupt.recv() => child.tell(Signal::INT),
    }
    loopback.close();
    let ended = child.end().await?;
    // What it wrote before its end is still there to be read. A process that it left behind may keep
    // the pipe open.
    let _ = timeout(LEFTOVER, heard.cancelled()).await;
    loopback.end();
    client.abort();
    under_way.close();
    under_way.wait().await;
    let _ = writing.await;
    Ok(ended)
}

async fn write(mut messages: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(message) = messages.recv().await {
        stdout.write_all(&message).await?;
        stdout.flush().await?;
    }
    Ok(())
}

fn names_a_call(line: &[u8]) -> bool {
    line.windows(10).any(|part| part == b"tools/call")
}

/// The next line with its end; the last one may have none. `None` at the end.
async fn line<R: AsyncRead + Unpin>(from: &mut BufReader<R>) -> Option<Bytes> {
    let mut line = Vec::new();
    let read = from.read_until(b'\n', &mut line).await.ok()?;
    (read > 0).then(|| line.into())
}

/// Messages of the server: responses to claimed calls go the way that these came.
async fn from_server(stdout: ChildStdout, loopback: Arc<Loopback>, to_client: ToClient) {
    let mut stdout = BufReader::new(stdout);
    while let Some(line) = line(&mut stdout).await {
        let claimed = mcp::id_of_response(&line).is_some_and(|id| loopback.deliver(&id, &line));
        // A server whose client has left goes on, so that its calls are recorded.
        if !claimed {
            let _ = to_client.send(line).await;
        }
    }
}

struct FromClient {
    loopback: Arc<Loopback>,
    calls: Arc<Calls>,
    lines: ToClient,
    under_way: TaskTracker,
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
            self.take(line).await;
        }
    }

    /// Only a tool call goes through the engine, and a list of tools, whose hints it may believe.
    async fn take(&self, line: Bytes) {
        match mcp::read(&line) {
            Some(Ok(Message::Call(call))) => {
                let (calls, to_client) = (Arc::clone(&self.calls), self.lines.clone());
                self.under_way.spawn(async move {
                    let _ = to_client.send(calls.call(&line, &call).await).await;
                });
            }
            Some(Ok(Message::Other { method })) if method.as_deref() == Some("tools/list") => {
                self.show(line);
            }
            Some(Ok(Message::Other { method })) => {
                self.loopback.send(line.clone()).await;
                if method.as_deref() == Some("notifications/cancelled") {
                    self.cancelled(&line);
                }
            }
            Some(Err(why)) => self.refuse(&line, &why).await,
            None if names_a_call(&line) => {
                let why = "tools/call is guarded as a single request with an id and a name, in JSON \
                           without duplicate members; this one was not sent";
                self.refuse(&line, why).await;
            }
            None => {
                self.loopback.send(line).await;
            }
        }
    }

    fn show(&self, line: Bytes) {
        let (calls, to_client) = (Arc::clone(&self.calls), self.lines.clone());
        let loopback = Arc::clone(&self.loopback);
        self.under_way.spawn(async move {
            match calls.show(&line).await {
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
        let mut refusal = mcp::refusal(line, why);
        refusal.push(b'\n');
        let _ = self.lines.send(refusal.into()).await;
    }

    /// A server gives no response to a call that it has cancelled: what became of it is unknown.
    fn cancelled(&self, line: &[u8]) {
        let Ok(cancelled) = serde_json::from_slice::<CancelledNotification<'_>>(line) else {
            return;
        };
        let Some(id) = mcp::canonical_id(cancelled.params.request_id) else { return };
        let loopback = Arc::clone(&self.loopback);
        tokio::spawn(async move {
            sleep(AFTER_CANCEL).await;
            loopback.give_up(&id);
        });
    }
}
