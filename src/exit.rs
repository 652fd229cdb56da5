//! How the process ends: its exit codes, and the report of an error.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{self, ExitCode};

use crate::client;
use crate::printer::Printer;

/// The codes of a shell for a program that does not exist, or cannot run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// What the process reports to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// 0
    Done,
    /// 1: the answer is no.
    No,
    /// 2: wrong usage, or unexpected.
    Unexpected,
    /// 3: the server cannot be reached.
    Unreachable,
    /// 70: the files of the store were lost under the engine.
    StoreLost,
    /// The status of a program that was run.
    Child {
        /// As a shell reports it: 128 + n for signal n.
        code: u8,
    },
}

impl ExitStatus {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Unexpected => 2,
            Self::Unreachable => 3,
            Self::StoreLost => 70,
            Self::Child { code } => code,
        }
    }

    /// The status of a program that has ended.
    pub(crate) fn of_child(ended: process::ExitStatus) -> Self {
        let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
        Self::Child { code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX) }
    }

    /// The status for a program that could not be started.
    pub(crate) fn of_failed_start(error: &io::Error) -> Self {
        let missing = error.kind() == io::ErrorKind::NotFound;
        Self::Child { code: if missing { NOT_FOUND } else { NOT_RUNNABLE } }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Prints an error and returns its exit code. A reader that stops early (`| head`) is not an error.
pub(crate) fn report(error: &anyhow::Error, printer: &mut Printer) -> ExitStatus {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitStatus::Done;
    }
    // Lines printed before the failure are still data.
    let _ = printer.flush();
    printer.note(format_args!("error: {error:#}"));
    match error.downcast_ref::<client::Error>() {
        Some(client::Error::Unreachable { .. }) => ExitStatus::Unreachable,
        _ => ExitStatus::Unexpected,
    }
}
