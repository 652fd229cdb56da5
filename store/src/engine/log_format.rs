//! The format of SQLite's write-ahead log (<https://www.sqlite.org/fileformat2.html#walformat>), as far as it is
//! read here.

/// The sizes of the log's header, and of the header of each frame, in bytes.
pub(crate) const HEADER: usize = 32;
pub(crate) const FRAME_HEADER: usize = 24;

/// Where the two salts are in these headers. Frames of an earlier use of the log have others.
const SALTS: usize = 16;
const FRAME_SALTS: usize = 8;

pub(crate) type Salts = [u8; 8];

/// The salts of the log.
pub(crate) fn salts(header: &[u8; HEADER]) -> Salts {
    at(header, SALTS)
}

/// The salts of a frame.
pub(crate) fn frame_salts(header: &[u8; FRAME_HEADER]) -> Salts {
    at(header, FRAME_SALTS)
}

fn at(header: &[u8], start: usize) -> Salts {
    let mut salts = Salts::default();
    salts.copy_from_slice(&header[start..start + 8]);
    salts
}
