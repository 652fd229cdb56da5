//! Another program that has the engine's database open.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Keeps a transaction open on a database, as another program.
#[derive(Debug)]
pub struct Foreign(Child);

impl Foreign {
    /// Runs `statements`, the first of which begins a transaction, and stays.
    pub fn hold(database: &Path, statements: &[&str]) -> Self {
        let mut program = Command::new("python3")
            .args([
                "-c",
                "import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement).fetchall()
print('holds', flush=True)
sys.stdin.read()",
            ])
            .arg(database)
            .args(statements)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        program.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        Self(program)
    }

    /// Kills the program: it does nothing more to the database.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends the program, and its transaction with it.
    pub fn leave(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}
