//! The server's process: started, told of our signals, and never left behind.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::exit::ExitStatus;
use crate::launch::start::Start;

/// How long a server has to end by itself, after its stdin was closed and after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that runs; dropping it kills it.
pub(super) struct Child(tokio::process::Child);

/// What it reads and writes. Its stderr is ours.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
}

impl Child {
    pub(super) fn start(start: &Start<'_>) -> io::Result<(Self, Pipes)> {
        let mut child = start.spawn(|command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the server has no pipes"));
        };
        Ok((Self(child), Pipes { stdin, stdout }))
    }

    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        Ok(ExitStatus::of_child(self.0.wait().await?))
    }

    pub(super) fn tell(&self, signal: Signal) {
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end, and hastens it: SIGTERM, then SIGKILL.
    pub(super) async fn end(mut self) -> io::Result<ExitStatus> {
        for signal in [Signal::TERM, Signal::KILL] {
            if let Ok(ended) = timeout(PATIENCE, self.ended()).await {
                return ended;
            }
            self.tell(signal);
        }
        self.ended().await
    }
}
