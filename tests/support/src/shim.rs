//! Counts, fails and delays the fsyncs of a process, and moves its wall clock, by a shared object that is
//! preloaded into it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::engine::Builder;
use crate::gate::wait_until;

/// The board that the shim and the test share.
pub struct Shim {
    object: PathBuf,
    board: PathBuf,
    file: File,
}

impl Shim {
    /// Compiles the shim into `folder` with `cc`, which the bundled `SQLite` needs too.
    pub fn build(folder: &Path) -> Self {
        let object = compile(folder, "shim", include_str!("shim.c"));
        let board = folder.join("shim.board");
        fs::write(&board, [0; 64]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&board).unwrap();
        Self { object, board, file }
    }

    /// The environment that puts the shim into a process.
    pub fn env(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.object), ("SHIM_BOARD", &self.board)]
    }

    pub fn preload(&self, builder: Builder) -> Builder {
        self.env().into_iter().fold(builder, |builder, (name, value)| builder.env(name, value))
    }

    /// How many succeeded so far.
    pub fn syncs(&self) -> u64 {
        self.member(0)
    }

    /// How many were made to fail so far.
    pub fn failed(&self) -> u64 {
        self.member(2)
    }

    /// Lets the `n`-th from now, and all after it, fail with EIO.
    pub fn fail_nth(&self, n: u64) {
        self.set(1, self.syncs() + n);
    }

    pub fn stop_failing(&self) {
        self.set(1, 0);
    }

    /// Adds this to each, in microseconds.
    pub fn delay_us(&self, delay: u64) {
        self.set(3, delay);
    }

    /// Lets this time pass, as if the machine had slept: for the wall clock and the clock that counts suspend.
    pub fn passed(&self, time: Duration) {
        self.set(5, time.as_secs());
    }

    /// Sets the wall clock ahead of the machine's. The other clocks go on as they were.
    pub fn wall_ahead(&self, ahead: Duration) {
        self.set(4, ahead.as_secs());
    }

    /// Sets the wall clock to `unix` seconds; it runs on from there.
    pub fn wall_at(&self, unix: u64) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        // The shim adds without looking at the sign.
        self.set(4, unix.wrapping_sub(now.unsigned_abs()));
    }

    /// Lets each fsync of a folder fail, or none.
    pub fn fail_folders(&self, fail: bool) {
        self.set(6, u64::from(fail));
    }

    /// Lets no spool file be opened, with this error; 0: they are opened.
    pub fn fail_spool(&self, errno: i32) {
        self.set(7, u64::from(errno.unsigned_abs()));
    }

    /// Waits until one was made to fail.
    pub fn wait_for_failure(&self) {
        wait_until("an fsync fails", || (self.failed() > 0).then_some(()));
    }

    fn member(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, n * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn set(&self, n: u64, value: u64) {
        self.file.write_all_at(&value.to_ne_bytes(), n * 8).unwrap();
    }
}

/// Compiles a shared object for `LD_PRELOAD` into `folder`.
pub(crate) fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (object, file) =
        (folder.join(name).with_extension("so"), folder.join(name).with_extension("c"));
    fs::write(&file, source).unwrap();
    let cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&object)
        .arg(&file)
        .arg("-ldl")
        .status();
    assert!(cc.is_ok_and(|status| status.success()), "cc could not compile {name}.c");
    object
}
