//! What a program inherits of this process, and an engine in it changes for itself.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::process::{Child, Command};

use super::variables::{self, Variables};

/// The environment, the umask, and the limit of open files. The engine's files are the owner's alone and its
/// connections are many; neither of the last two is the program's affair.
pub(crate) struct Inheritance {
    pub(crate) variables: Variables,
    umask: Mode,
    files: Rlimit,
}

impl Inheritance {
    /// As it is now: to be called before an engine is brought.
    pub(crate) fn now() -> Self {
        // It can only be read by being set.
        let mask = umask(Mode::from_raw_mode(0o077));
        umask(mask);
        Self { variables: variables::inherited(), umask: mask, files: getrlimit(Resource::Nofile) }
    }

    /// Starts the program with it. Both belong to the whole process; what the engine makes in that
    /// moment has a mode of its own.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let (mask, files) = (umask(self.umask), getrlimit(Resource::Nofile));
        // Lowered or raised below the hard limit, which is as it was: this does not fail.
        let _ = setrlimit(Resource::Nofile, self.files);
        let child = command.spawn();
        let _ = (umask(mask), setrlimit(Resource::Nofile, files));
        child
    }
}
