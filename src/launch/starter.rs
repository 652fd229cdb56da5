//! The process that becomes the program: it asks the kernel to end it with its wrapper, and then runs
//! the program in its place.
//!
//! Only a process itself can ask for that, and only before the program starts. So the wrapper starts
//! this binary, which recognises the role by its name.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process;

use crate::exit::ExitStatus;
use crate::printer::{Format, Printer};

/// The name by which the process knows its role.
const NAME: &str = "openclaw-state-engine: starter";

/// This binary, also after its file was replaced.
const SELF: &str = "/proc/self/exe";

/// A command that runs `program` and gets SIGTERM when this process ends, however it ends. The thread
/// that spawns it must last as long as this process.
pub(super) fn command(program: &OsStr) -> process::Command {
    if !cfg!(target_os = "linux") || !Path::new(SELF).exists() {
        return process::Command::new(program);
    }
    let mut command = process::Command::new(SELF);
    command.arg0(NAME).arg(process::id().to_string()).arg(program);
    command
}

/// Becomes the program, if this process was started by [`command`]. Returns only if it cannot.
pub(crate) fn run_if_named() -> Option<ExitStatus> {
    let mut args = std::env::args_os();
    if args.next().as_deref() != Some(OsStr::new(NAME)) {
        return None;
    }
    let wrapper = args.next().and_then(|id| id.to_str()?.parse().ok());
    let command: Vec<OsString> = args.collect();
    Some(start(wrapper, &command))
}

fn start(wrapper: Option<u32>, command: &[OsString]) -> ExitStatus {
    let Some((program, args)) = command.split_first() else { return ExitStatus::Unexpected };
    end_with(wrapper);
    let error = process::Command::new(program).args(args).exec();
    let mut printer = Printer::stdio(Format::Text);
    printer.note(format_args!("error: cannot run {}: {error}", program.display()));
    ExitStatus::of_failed_start(&error)
}

#[cfg(target_os = "linux")]
fn end_with(wrapper: Option<u32>) {
    use rustix::process::{Signal, getpid, getppid, kill_process, set_parent_process_death_signal};

    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    // It may have ended before we asked.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if wrapper.is_some() && parent != wrapper {
        let _ = kill_process(getpid(), Signal::TERM);
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with(_wrapper: Option<u32>) {}
