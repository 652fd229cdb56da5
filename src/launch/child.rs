//! The program: starts it in our process group and terminal, forwards signals to it, waits for it.

use std::io;
use std::process::ExitStatus as Ended;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::start::Start;
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Signals that are forwarded. The terminal itself sends SIGTSTP, SIGCONT and SIGWINCH to the
/// program.
const FORWARDED: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Runs a program to its end. Returns its status as a shell would: 128 + n for signal n.
pub(super) fn run(start: &Start<'_>, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the program starts, so that no signal is lost.
    let mut signals = signals()?;
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
async fn wait(mut child: Child, signals: &mut UnboundedReceiver<Origin>) -> io::Result<Ended> {
    loop {
        let origin = tokio::select! {
            ended = child.wait() => return ended,
            Some(origin) = signals.recv() => origin,
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(origin.signal))
            && !sent_by_terminal(&origin)
        {
            // The program may have ended in the meantime.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The terminal signals its whole foreground group, so the program already has the signal; many
/// programs treat two of them as "stop now".
fn sent_by_terminal(origin: &Origin) -> bool {
    matches!(origin.signal, SIGINT | SIGQUIT) && matches!(origin.cause, Cause::Kernel)
}

/// Signals with their origin. A signal that was ignored at our start stays ignored, for us and for
/// the program: `nohup` and background jobs of a script rely on that.
fn signals() -> io::Result<UnboundedReceiver<Origin>> {
    let ignored = ignored();
    let wanted = FORWARDED.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
    let (sender, receiver) = unbounded_channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for origin in &mut signals {
            if let Err(late) = sender.send(origin) {
                // The program has ended and its end is being recorded: signals from here on are for
                // us.
                let _ = signal_hook::low_level::emulate_default_handler(late.0.signal);
            }
        }
    })?;
    Ok(receiver)
}

/// The signals that this process ignores, one bit each; 0 if the system does not report them.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
