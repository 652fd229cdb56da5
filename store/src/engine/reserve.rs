//! Reserved disk space, so that running calls can be finished when the disk is full.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use rusqlite::Connection;

use crate::files::{self, private};
use crate::sqlite::connection::{page_count, page_size};

/// A file of zeroes beside the database, and a margin below SQLite's page limit, if one is set.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    max_page_count: Option<u64>,
}

impl Reserve {
    pub(crate) fn new(path: PathBuf, bytes: u64, max_page_count: Option<u64>) -> Self {
        Self { path, bytes, max_page_count }
    }

    /// Creates the reserve. An error means that there is no space for it.
    pub(crate) fn create(&self, conn: &Connection) -> io::Result<()> {
        if let Some(pages) = self.max_page_count {
            set_max_pages(conn, pages).map_err(io::Error::other)?;
        }
        let bytes = self.size();
        if bytes == 0 {
            return Ok(());
        }
        let file = private::open(&self.path)?;
        allocate(&file, bytes).inspect_err(|_| {
            // A partial reserve would only take space from the database.
            let _ = std::fs::remove_file(&self.path);
        })
    }

    /// Gives the space of the file back to the disk. False: there was none.
    pub(crate) fn give_up(&self) -> bool {
        match std::fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::error!("the disk is full: the reserve is released, new calls are refused");
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "cannot release the reserve"),
        }
        false
    }

    /// Releases the space to the database.
    pub(crate) fn release(&self, conn: &Connection) {
        self.give_up();
        if let Some(pages) = self.max_page_count {
            let raised = page_size(conn)
                .and_then(|size| set_max_pages(conn, pages.saturating_add(self.bytes / size)));
            if let Err(error) = raised {
                tracing::error!(%error, "cannot raise the page limit");
            }
        }
    }

    /// Whether pages are what is short, and not the disk.
    pub(crate) fn is_page_limit(&self) -> bool {
        self.max_page_count.is_some()
    }

    /// How much is to be reserved, in bytes: on a small disk a quarter of it.
    fn size(&self) -> u64 {
        match rustix::fs::statvfs(files::folder(&self.path)) {
            Ok(disk) => self.bytes.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 4),
            Err(_) => self.bytes,
        }
    }

    /// Whether the disk has space for new calls besides the reserve. Without some, the next of them would release
    /// it again.
    pub(crate) fn leaves_space(&self) -> bool {
        files::free(&self.path) >= self.size() / 8
    }

    /// Whether the page limit, if there is one, leaves space again.
    pub(crate) fn has_space(&self, conn: &Connection) -> bool {
        let Some(limit) = self.max_page_count else { return true };
        page_count(conn).is_ok_and(|count| count < limit)
    }
}

fn set_max_pages(conn: &Connection, pages: u64) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "max_page_count", pages as i64, |_| Ok(()))
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;

    if file.metadata()?.len() >= bytes {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // Not every file system supports it. Written zeroes take space everywhere except on file systems
        // that compress; there the reserve is smaller than it looks.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            io::copy(&mut io::repeat(0).take(bytes), &mut &*file)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
