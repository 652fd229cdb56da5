//! Multipart bodies (RFC 2046, 5.1) without their boundary, which clients draw at random.
//!
//! Stricter than any library, on purpose: libraries skip what they do not expect, so that two
//! bodies that mean different things to some server would be equal. A body is compared raw if
//! anything comes before the first or after the last delimiter, or only looks like a delimiter.

use std::io::{self, Read};

use memchr::memmem::{self, Finder};
use sha2::{Digest as _, Sha256};
use store_core::key::{Digest, Encoder};

use super::selection::FieldSelection;

/// The longest header block of a part, in bytes.
const MAX_PART_HEADERS: usize = 16 * 1024;
/// The longest boundary (RFC 2046, 5.1.1), in bytes.
const MAX_BOUNDARY: usize = 70;
/// How much is read at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// For each selection, a digest over the parts in order: each part's header block as it is written,
/// its length and its hash. `None`: the body does not follow the RFC. Holds few chunks in memory.
pub(super) fn digests<const N: usize>(
    body: &mut dyn Read,
    boundary: &str,
    selections: &[FieldSelection<'_>; N],
) -> io::Result<Option<[Digest; N]>> {
    if !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
        return Ok(None);
    }
    let delimiter = format!("--{boundary}");
    let (delimiter, blank_line) = (Finder::new(&delimiter), Finder::new(b"\r\n\r\n"));
    let mut scan = Scan { body, ahead: Vec::new(), at: 0, ended: false };
    if scan.take(delimiter.needle().len())? != delimiter.needle() {
        return Ok(None);
    }
    let mut forms = selections.each_ref().map(|_| Encoder::new("body/v1").field("multipart"));
    let mut parts = 0_u64;
    loop {
        match scan.take(2)?.as_slice() {
            b"\r\n" => {}
            b"--" => {
                let rest = scan.take(3)?;
                let is_end = parts > 0 && (rest.is_empty() || rest == b"\r\n");
                return Ok(is_end.then(|| forms.map(Encoder::finish)));
            }
            _ => return Ok(None),
        }
        let mut headers = Vec::new();
        let found = scan.until(&blank_line, &mut |bytes, _| {
            let room = (MAX_PART_HEADERS + 1).saturating_sub(headers.len());
            headers.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })?;
        if !found
            || headers.len() > MAX_PART_HEADERS
            || memmem::find(&headers, delimiter.needle()).is_some()
        {
            return Ok(None);
        }
        let (mut hash, mut length, mut ended_by_line) = (Sha256::new(), 0_u64, false);
        let found = scan.until(&delimiter, &mut |bytes, last| {
            let content = if last { bytes.strip_suffix(b"\r\n") } else { Some(bytes) };
            ended_by_line = last && content.is_some();
            let content = content.unwrap_or_default();
            hash.update(content);
            length += content.len() as u64;
        })?;
        if !(found && ended_by_line) {
            return Ok(None);
        }
        parts += 1;
        let (name, hash) = (name_of(&headers), hash.finalize());
        for (form, selection) in forms.iter_mut().zip(selections) {
            if !name.as_deref().is_some_and(|name| selection.is_of_one_try(name)) {
                *form = form.clone().field(&headers).field(length.to_be_bytes()).field(hash);
            }
        }
    }
}

/// The name in a part's `Content-Disposition` (RFC 7578, 4.2), if every reader finds the same one.
fn name_of(headers: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(headers).ok()?;
    let mut names = text.split("\r\n").filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        let is_disposition = field.trim().eq_ignore_ascii_case("content-disposition");
        is_disposition
            .then(|| value.split(';').filter_map(|part| part.trim().strip_prefix("name=")))
    });
    let mut found = names.next()?;
    let name = found.next()?.trim_matches('"').to_owned();
    (found.next().is_none() && names.next().is_none()).then_some(name)
}

/// Reads a body until something is found.
struct Scan<'a> {
    body: &'a mut dyn Read,
    /// What was read. The bytes before `at` are done.
    ahead: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Scan<'_> {
    /// Passes everything before the next `needle` to `seen` and continues behind it. False: there
    /// is none, and the body is at its end. The last block is marked, and has at least two bytes
    /// unless there are fewer in all.
    fn until(
        &mut self,
        needle: &Finder<'_>,
        seen: &mut dyn FnMut(&[u8], bool),
    ) -> io::Result<bool> {
        let length = needle.needle().len();
        loop {
            if let Some(found) = needle.find(&self.ahead[self.at..]) {
                seen(&self.ahead[self.at..self.at + found], true);
                self.at += found + length;
                return Ok(true);
            }
            // The needle may have begun, and the two bytes before it belong to the last block.
            let safe = (self.ahead.len() - self.at).saturating_sub(length + 1);
            seen(&self.ahead[self.at..self.at + safe], false);
            self.at += safe;
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    /// The next `count` bytes, or fewer at the end of the body.
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() - self.at < count && self.more()? {}
        let end = self.ahead.len().min(self.at + count);
        let bytes = self.ahead[self.at..end].to_vec();
        self.at = end;
        Ok(bytes)
    }

    fn more(&mut self) -> io::Result<bool> {
        self.ahead.drain(..self.at);
        self.at = 0;
        if !self.ended {
            let read = (&mut *self.body).take(CHUNK).read_to_end(&mut self.ahead)?;
            self.ended = read == 0;
        }
        Ok(!self.ended)
    }
}
