//! The process of the server: started, signalled, and never left behind.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::exit::ExitStatus;
use crate::launch::start::Start;

/// How long a server has to stop after its stdin is closed, and again after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server; dropping it kills it.
pub(super) struct Child(tokio::process::Child);

/// Its stdin and stdout. It shares our stderr.
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

    /// `None` if it has ended.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()))
    }

    /// Kills it without waiting for its end.
    pub(super) fn kill(&mut self) {
        let _ = self.0.start_kill();
    }

    /// Waits for its end, then forces it: SIGTERM, then SIGKILL.
    pub(super) async fn end(&mut self) -> io::Result<ExitStatus> {
        for signal in [Signal::TERM, Signal::KILL] {
            if let Ok(ended) = timeout(STOP_TIMEOUT, self.ended()).await {
                return ended;
            }
            if let Some(pid) = self.pid() {
                // The server may have ended in the meantime.
                let _ = kill_process(pid, signal);
            }
        }
        self.ended().await
    }
}
