//! Writes down all that a process does to its database, its log and their folder, by a shared object that is
//! preloaded into it. See [`History`].

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::engine::Builder;
use crate::history::History;
use crate::shim::{Shim, compile};

/// The journal of the processes that were started with it, one after the other.
pub struct Recorder {
    object: PathBuf,
    journal: PathBuf,
    board_path: PathBuf,
    board: File,
}

impl Recorder {
    /// Compiles the recorder into `folder` with `cc`.
    pub fn build(folder: &Path) -> Self {
        let object = compile(folder, "recorder", include_str!("recorder.c"));
        let journal = folder.join("recorder.journal");
        fs::write(&journal, []).unwrap();
        let board_path = folder.join("recorder.board");
        fs::write(&board_path, [0; 8]).unwrap();
        let board = OpenOptions::new().write(true).open(&board_path).unwrap();
        Self { object, journal, board_path, board }
    }

    /// Records what the engine does, below a shim that makes its fsyncs fail.
    pub fn preload(&self, builder: Builder, shim: &Shim) -> Builder {
        let [(_, failing), (board, of_shim)] = shim.env();
        let both = format!("{}:{}", self.object.display(), failing.display());
        let database = builder.database_path().to_owned();
        builder
            .env("LD_PRELOAD", both)
            .env(board, of_shim)
            .env("RECORD_DATABASE", database)
            .env("RECORD_TO", &self.journal)
            .env("RECORD_BOARD", &self.board_path)
    }

    /// Whether there is no space for the database to grow, while its log still has some.
    pub fn set_full(&self, full: bool) {
        self.board.write_all_at(&u64::from(full).to_ne_bytes(), 0).unwrap();
    }

    /// How much has happened so far. All that an answer which is there already rests on is before it.
    pub fn moment(&self) -> u64 {
        self.journal.metadata().unwrap().len()
    }

    /// All that happened.
    pub fn history(&self) -> History {
        History::parse(&fs::read(&self.journal).unwrap())
    }
}
