//! What a program inherits from this process, and what an engine in this process changes for
//! itself.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use tokio::process::{Child, Command};

use super::variables::{self, Variables};

/// The environment, the umask and the limit of open files. An engine makes its files private and
/// needs many connections; neither concerns the program.
pub(crate) struct Inheritance {
    pub(crate) variables: Variables,
    umask: Mode,
    files: Rlimit,
}

impl Inheritance {
    /// The values of now; call it before an engine starts.
    pub(crate) fn now() -> Self {
        // Reading the umask means setting it.
        let mask = umask(Mode::from_raw_mode(0o077));
        umask(mask);
        Self { variables: variables::inherited(), umask: mask, files: getrlimit(Resource::Nofile) }
    }

    /// Starts the program with these values. Both limits belong to the whole process; files that
    /// the engine creates in that moment have explicit modes.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let (mask, files) = (umask(self.umask), getrlimit(Resource::Nofile));
        // Stays below the hard limit, which has not changed, so this does not fail.
        let _ = setrlimit(Resource::Nofile, self.files);
        let child = command.spawn();
        let _ = (umask(mask), setrlimit(Resource::Nofile, files));
        child
    }
}
