//! Bodies that are kept whole: in memory up to 256 KiB, beyond that in an unlinked file.
//!
//! The files are in the data folder with mode 0600 and have no name, so that a crash leaves nothing
//! of them. All of them share one quota.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::memory::MemoryShare;
use super::quota::Quota;

/// How much of a body is kept in memory, in bytes.
pub(crate) const IN_MEMORY: usize = 256 * 1024;

/// How much is read from a file at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Where bodies are spooled, and how much disk space all of them may take.
#[derive(Debug)]
pub(crate) struct SpoolArea {
    folder: PathBuf,
    quota: Quota,
    /// The part of the quota that answers may take, in bytes.
    answers: Arc<Semaphore>,
    most_answers: usize,
}

impl SpoolArea {
    pub(crate) fn new(folder: PathBuf, quota: u64) -> Self {
        let most_answers = usize::try_from(quota / 2).unwrap_or(usize::MAX);
        let most_answers = most_answers.min(Semaphore::MAX_PERMITS);
        let answers = Arc::new(Semaphore::new(most_answers));
        Self { folder, quota: Quota::new(quota), answers, most_answers }
    }

    /// Waits for room for an answer of so many bytes, so that one that has begun comes to its end.
    pub(crate) async fn room(&self, bytes: usize, max_wait: Duration) -> Option<MemoryShare> {
        let bytes = u32::try_from(bytes.min(self.most_answers)).ok()?;
        if let Ok(room) = Arc::clone(&self.answers).try_acquire_many_owned(bytes) {
            return Some(room);
        }
        let room = Arc::clone(&self.answers).acquire_many_owned(bytes);
        if max_wait.is_zero() { None } else { timeout(max_wait, room).await.ok()?.ok() }
    }

    /// Whether there is so much room that answers may stay here until their clients have them.
    pub(crate) fn is_ample(&self) -> bool {
        self.answers.available_permits() >= self.most_answers / 2
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        self.quota.take(bytes).map_err(|_| {
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the disk quota for spooled bodies is used up",
            )
        })
    }
}

/// A spool file and its share of the quota, given back when the last reader is gone.
#[derive(Debug)]
struct SpoolFile {
    file: File,
    area: Arc<SpoolArea>,
    size: AtomicU64,
    /// Of an answer.
    room: Mutex<Option<MemoryShare>>,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        self.area.quota.give_back(self.size.load(Ordering::Acquire));
    }
}

impl SpoolFile {
    /// Gives back the room that is not needed, now that the file does not grow any more.
    fn keep_room_for_size(&self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = room.as_mut() {
            let size = self.size.load(Ordering::Acquire) as usize;
            drop(room.split(room.num_permits().saturating_sub(size)));
        }
    }
}

/// A body that still grows.
#[derive(Debug)]
pub(crate) struct Spool {
    area: Arc<SpoolArea>,
    /// The only frame so far. Most bodies have one, which is not copied.
    first: Bytes,
    memory: BytesMut,
    most_in_memory: usize,
    file: Option<Arc<SpoolFile>>,
    room: Option<MemoryShare>,
}

impl Spool {
    pub(crate) fn new(area: &Arc<SpoolArea>) -> Self {
        Self {
            area: Arc::clone(area),
            first: Bytes::new(),
            memory: BytesMut::new(),
            most_in_memory: IN_MEMORY,
            file: None,
            room: None,
        }
    }

    /// Keeps no more than this in memory, in bytes.
    pub(crate) fn set_most_in_memory(&mut self, bytes: usize) {
        self.most_in_memory = bytes;
    }

    /// Keeps up to [`IN_MEMORY`], in a buffer that grows no further.
    pub(crate) fn grow_memory(&mut self) {
        self.most_in_memory = IN_MEMORY;
        self.memory.reserve(IN_MEMORY.saturating_sub(self.memory.len()));
    }

    /// The file takes this room, which is given back with it.
    pub(crate) fn set_room(&mut self, room: MemoryShare) {
        self.room = Some(room);
    }

    /// Whether it may write to a file within the room that it has taken.
    pub(crate) fn has_room(&self) -> bool {
        self.room.is_some() || self.file.is_some()
    }

    pub(crate) fn area(&self) -> &Arc<SpoolArea> {
        &self.area
    }

    /// Appends `data`. After an error the body is what it was before.
    pub(crate) async fn push(&mut self, data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let buffered = self.first.len() + self.memory.len();
        if buffered + data.len() > self.most_in_memory {
            return self.spill(data).await;
        }
        if buffered == 0 {
            self.first = data;
            return Ok(());
        }
        if !self.first.is_empty() {
            self.memory.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.memory.extend_from_slice(&data);
        Ok(())
    }

    /// Appends `data` in memory, however much that is: the caller bounds it.
    pub(crate) fn push_to_memory(&mut self, data: &Bytes) {
        self.memory.reserve(self.first.len() + data.len());
        self.memory.extend_from_slice(&std::mem::take(&mut self.first));
        self.memory.extend_from_slice(data);
    }

    /// Moves what is in memory, and `data`, to the file.
    async fn spill(&mut self, data: Bytes) -> io::Result<()> {
        let memory = self.memory.split().freeze();
        let parts = [self.first.clone(), memory.clone(), data];
        let (area, file, room) = (Arc::clone(&self.area), self.file.clone(), self.room.take());
        let written = spawn_blocking(move || append(&area, file, room, &parts)).await;
        match written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(file) => {
                self.file = Some(file);
                self.first = Bytes::new();
                Ok(())
            }
            Err(error) => {
                self.memory = BytesMut::from(memory);
                Err(error)
            }
        }
    }

    /// The whole body. One that is in a file is there with all of it, if the disk has room.
    pub(crate) async fn whole(mut self) -> SpooledBody {
        if self.file.is_some() && !self.memory.is_empty() | !self.first.is_empty() {
            let _ = self.spill(Bytes::new()).await;
        }
        if let Some(file) = &self.file {
            file.keep_room_for_size();
        }
        self.done()
    }

    /// The whole body.
    pub(crate) fn done(self) -> SpooledBody {
        let memory = if self.memory.is_empty() { self.first } else { self.memory.freeze() };
        SpooledBody { file: self.file, memory }
    }
}

/// Takes `parts` from the quota and writes them behind what the file has. Both in one piece of
/// blocking work, so that the quota is right also if nobody waits for it any more.
fn append(
    area: &Arc<SpoolArea>,
    file: Option<Arc<SpoolFile>>,
    room: Option<MemoryShare>,
    parts: &[Bytes],
) -> io::Result<Arc<SpoolFile>> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(SpoolFile {
            file: tempfile::tempfile_in(&area.folder)?,
            area: Arc::clone(area),
            size: AtomicU64::new(0),
            room: Mutex::new(room),
        }),
    };
    let more = parts.iter().map(|part| part.len() as u64).sum();
    area.take(more)?;
    let mut at = file.size.load(Ordering::Acquire);
    for part in parts {
        if let Err(error) = file.file.write_all_at(part, at) {
            area.quota.give_back(more);
            return Err(error);
        }
        at += part.len() as u64;
    }
    file.size.store(at, Ordering::Release);
    Ok(file)
}

/// A whole body: first what is in the file, then what is in memory. Clone is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpooledBody {
    file: Option<Arc<SpoolFile>>,
    memory: Bytes,
}

impl SpooledBody {
    /// A body that is in memory.
    pub(crate) fn of(memory: Bytes) -> Self {
        Self { file: None, memory }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.in_file() + self.memory.len() as u64
    }

    fn in_file(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.size.load(Ordering::Acquire))
    }

    /// The body, if all of it is in memory.
    pub(crate) fn in_memory(&self) -> Option<&Bytes> {
        self.file.is_none().then_some(&self.memory)
    }

    /// A part of it that is there.
    pub(super) async fn part(self, at: u64, size: usize) -> io::Result<Bytes> {
        let read = move || {
            let mut bytes = vec![0; size];
            SpooledReader { body: self, at }.read_exact(&mut bytes)?;
            Ok(Bytes::from(bytes))
        };
        spawn_blocking(read).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    /// Reads all of it into memory.
    pub(crate) async fn load(self) -> io::Result<Bytes> {
        if self.file.is_none() {
            return Ok(self.memory);
        }
        let load = move || {
            let mut all = Vec::with_capacity(self.len() as usize);
            SpooledReader::new(self).read_to_end(&mut all)?;
            Ok(Bytes::from(all))
        };
        spawn_blocking(load).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }
}

/// Reads a [`SpooledBody`]. Blocks on the disk if the body is in a file.
#[derive(Debug)]
pub(crate) struct SpooledReader {
    body: SpooledBody,
    at: u64,
}

impl SpooledReader {
    pub(crate) fn new(body: SpooledBody) -> Self {
        Self { body, at: 0 }
    }
}

impl Read for SpooledReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let in_file = self.body.in_file();
        let read = match &self.body.file {
            Some(file) if self.at < in_file => {
                let most = buf.len().min((in_file - self.at) as usize);
                file.file.read_at(&mut buf[..most], self.at)?
            }
            _ => {
                let from = ((self.at - in_file) as usize).min(self.body.memory.len());
                (&self.body.memory[from..]).read(buf)?
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SpooledReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.body.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let target = target.filter(|at| *at <= self.body.len());
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// A [`SpooledBody`], chunk by chunk, without blocking.
#[derive(Debug)]
pub(crate) struct Chunks {
    body: SpooledBody,
    at: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Chunks {
    pub(crate) fn new(body: SpooledBody) -> Self {
        Self { body, at: 0, reading: None }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> u64 {
        self.body.len().saturating_sub(self.at)
    }

    /// The next chunk. `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let in_file = self.body.in_file();
        let chunk = match &self.body.file {
            Some(file) if self.at < in_file => {
                let (at, most) = (self.at, CHUNK.min((in_file - self.at) as usize));
                let reading = self.reading.get_or_insert_with(|| {
                    let file = Arc::clone(file);
                    spawn_blocking(move || {
                        let mut chunk = vec![0; most];
                        file.file.read_exact_at(&mut chunk, at)?;
                        Ok(Bytes::from(chunk))
                    })
                });
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                match read.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                    Ok(chunk) => chunk,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            _ => self.body.memory.slice((self.at - in_file) as usize..),
        };
        if chunk.is_empty() {
            return Poll::Ready(None);
        }
        self.at += chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }

    /// See [`Self::poll_next`].
    pub(crate) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

#[cfg(test)]
mod tests;
