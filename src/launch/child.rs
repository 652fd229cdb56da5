//! The program: started in our process group and terminal, told of our signals, waited for.

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

/// What is passed on. SIGTSTP, SIGCONT and SIGWINCH reach the program by the terminal itself.
const PASSED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Runs a program to its end. Its status is passed as a shell would pass it: 128 + n for signal n.
pub(super) fn run(start: &Start<'_>, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the program is there, so that no signal is lost.
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

/// Only this task reaps the program: as long as it has an id, a signal reaches nobody else.
async fn wait(mut child: Child, signals: &mut UnboundedReceiver<Origin>) -> io::Result<Ended> {
    loop {
        let origin = tokio::select! {
            ended = child.wait() => return ended,
            Some(origin) = signals.recv() => origin,
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(origin.signal))
            && !came_by_terminal(&origin)
        {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The terminal tells its whole foreground group: the program has it already, and two of them mean
/// "at once" to many programs.
fn came_by_terminal(origin: &Origin) -> bool {
    matches!(origin.signal, SIGINT | SIGQUIT) && matches!(origin.cause, Cause::Kernel)
}

/// Signals with where they came from. One that was ignored when we started stays so, for us and for
/// the program: that is how `nohup` and background jobs of a script are told.
fn signals() -> io::Result<UnboundedReceiver<Origin>> {
    let ignored = ignored();
    let wanted = PASSED_ON.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
    let (sender, receiver) = unbounded_channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for origin in &mut signals {
            if let Err(late) = sender.send(origin) {
                // The program is gone, and its end is being recorded: what comes now is for us.
                let _ = signal_hook::low_level::emulate_default_handler(late.0.signal);
            }
        }
    })?;
    Ok(receiver)
}

/// The signals that this process ignores, one bit each; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
