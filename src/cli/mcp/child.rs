//! The server's process: started, told of our signals, and never left behind.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus as Ended, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::cli::ExitStatus;
use crate::cli::run::environment::Changes;
use crate::cli::run::inheritance::Inheritance;

/// How long a server has to end by itself, after its stdin was closed and after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// As a shell says that there is no such program, or that it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// A server that runs; dropping it kills it.
pub(super) struct Child(tokio::process::Child);

/// What it reads and writes. Its stderr is ours.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
}

impl Child {
    pub(super) fn start(
        command: &[OsString],
        changes: &Changes,
        inheritance: &Inheritance,
    ) -> io::Result<(Self, Pipes)> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = inheritance.spawn(&mut command)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the server has no pipes"));
        };
        Ok((Self(child), Pipes { stdin, stdout }))
    }

    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        Ok(status_of(self.0.wait().await?))
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

fn status_of(ended: Ended) -> ExitStatus {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    ExitStatus::Child { code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX) }
}

/// As a shell would say it.
pub(super) fn code_of_failure(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
}
