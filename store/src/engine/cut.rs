//! Whether a database file was cut. SQLite notices that only if there is no log: with one, it takes the number of
//! pages from there, and reads pages that are in neither as zeroes.

use std::collections::HashSet;
use std::io::{self, BufReader, Read};
use std::path::Path;

use rusqlite::Connection;

use crate::engine::log_format;
use crate::files::{self, private};
use crate::sqlite::connection;

/// The first page that is neither in the file nor in the log; `None` if there is none. After a crash, pages
/// that no checkpoint has moved yet are in the log only.
pub(crate) fn missing_page(path: &Path, conn: &Connection) -> io::Result<Option<u64>> {
    let (Ok(page_size), Ok(pages)) = (connection::page_size(conn), connection::page_count(conn))
    else {
        return Ok(None);
    };
    let in_file = files::size(path) / page_size;
    if in_file >= pages {
        return Ok(None);
    }
    let in_log = pages_in_log(&files::log(path), page_size)?;
    Ok((in_file + 1..=pages).find(|page| !in_log.contains(page)))
}

/// The numbers of the pages in the log. Frames behind its end have the salts of an earlier use.
fn pages_in_log(log: &Path, page_size: u64) -> io::Result<HashSet<u64>> {
    let mut pages = HashSet::new();
    let mut log = BufReader::new(private::read(log)?);
    let mut header = [0; log_format::HEADER];
    if log.read_exact(&mut header).is_err() {
        return Ok(pages);
    }
    let mut frame = [0; log_format::FRAME_HEADER];
    let salts = log_format::salts(&header);
    while log.read_exact(&mut frame).is_ok() && log_format::frame_salts(&frame) == salts {
        let page = [frame[0], frame[1], frame[2], frame[3]];
        pages.insert(u64::from(u32::from_be_bytes(page)));
        log.seek_relative(i64::try_from(page_size).unwrap_or(i64::MAX))?;
    }
    Ok(pages)
}
