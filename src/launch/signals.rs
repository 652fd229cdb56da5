//! The signals that a wrapper gets, which are for its program first.

use std::io;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Signals that are forwarded. The terminal itself sends SIGTSTP, SIGCONT and SIGWINCH to the
/// program.
const FORWARDED: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// The signals that arrive from now on. When it is dropped, each has its default effect again, so
/// that no wait outlasts a signal.
#[derive(Debug)]
pub(crate) struct Signals(UnboundedReceiver<Origin>);

/// A signal that arrived.
#[derive(Debug)]
pub(crate) struct ArrivedSignal(Origin);

impl Signals {
    /// A signal that was ignored at our start stays ignored, for us and for the program: `nohup`
    /// and background jobs of a script rely on that.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let wanted = FORWARDED.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
        let (sender, receiver) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for origin in &mut signals {
                if let Err(late) = sender.send(origin) {
                    let _ = emulate_default_handler(late.0.signal);
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> ArrivedSignal {
        match self.0.recv().await {
            Some(origin) => ArrivedSignal(origin),
            None => std::future::pending().await,
        }
    }

    /// The next signal that asks a program to end.
    pub(crate) async fn next_to_stop(&mut self) -> ArrivedSignal {
        loop {
            let signal = self.next().await;
            if !matches!(signal.0.signal, SIGUSR1 | SIGUSR2) {
                return signal;
            }
        }
    }
}

impl ArrivedSignal {
    /// Sends it to a program of ours that nobody has reaped, unless the terminal has sent it to the
    /// whole foreground group: the program has it then, and many treat two of them as "stop now".
    pub(crate) fn forward(&self, program: Option<Pid>) {
        let sent_by_terminal =
            matches!(self.0.signal, SIGINT | SIGQUIT) && matches!(self.0.cause, Cause::Kernel);
        if let (Some(pid), Some(signal)) = (program, Signal::from_named_raw(self.0.signal))
            && !sent_by_terminal
        {
            // The program may have ended in the meantime.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends this process as the signal does by default.
    pub(crate) fn end_process(&self) {
        let _ = emulate_default_handler(self.0.signal);
    }
}

/// The signals that this process ignores, one bit each; 0 if the system does not report them.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
