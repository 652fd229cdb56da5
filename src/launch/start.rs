//! How a guarded program is started.

use std::ffi::{OsStr, OsString};
use std::io;

use tokio::process::{Child, Command};

use super::environment::{self, Changes};
use super::inheritance::Inheritance;
use super::starter;

/// A program to start.
pub(crate) struct Start<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
    pub(crate) changes: &'a Changes,
    pub(crate) inheritance: &'a Inheritance,
}

impl Start<'_> {
    /// The name of the program, as written.
    pub(crate) fn program(&self) -> &OsStr {
        self.command.first().map(OsString::as_os_str).unwrap_or_default()
    }

    /// Starts it, so that it ends with this process; `set_up` sets its standard streams.
    pub(crate) fn spawn(&self, set_up: impl FnOnce(&mut Command)) -> io::Result<Child> {
        let mut command = Command::from(starter::command(self.program()));
        command.args(self.command.iter().skip(1));
        environment::apply(self.changes, command.as_std_mut());
        set_up(&mut command);
        self.inheritance.spawn(&mut command)
    }
}
