//! The program: starts it in our process group and terminal, forwards signals to it, waits for it.

use std::io;
use std::process::ExitStatus as Ended;

use rustix::process::Pid;
use tokio::process::Child;

use super::signals::Signals;
use super::start::Start;
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Runs a program to its end. Returns its status as a shell would: 128 + n for signal n.
pub(super) fn run(start: &Start<'_>, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the program starts, so that no signal is lost.
    let mut signals = Signals::listen()?;
    let ended = runtime.block_on(async { wait(start.spawn(|_| {})?, &mut signals).await });
    Ok(match ended {
        Ok(ended) => ExitStatus::of_child(ended),
        Err(error) => {
            printer.note(format_args!("error: cannot run {}: {error}", start.program().display()));
            ExitStatus::of_failed_start(&error)
        }
    })
}

/// Only this task reaps the program: while it has an id, a signal cannot reach another process.
async fn wait(mut child: Child, signals: &mut Signals) -> io::Result<Ended> {
    loop {
        let signal = tokio::select! {
            ended = child.wait() => return ended,
            signal = signals.next() => signal,
        };
        signal.forward(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    }
}
