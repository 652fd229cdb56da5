//! How much memory the bodies of answers take, however many there are.
//!
//! A body of up to [`MAX_HELD_BODY`] bytes does not count here: the number of calls and connections
//! bounds it. What is larger is in a file or in the store, and in memory only as far as there is
//! room.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store::call::StoredBody;
use store::{MAX_HELD_BODY, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

/// How many bytes of stored bodies are kept for the next duplicate.
const RECENT: u64 = 32 * 1024 * 1024;

/// How many stored bodies are read at once. Each reader has its page cache.
const READS: usize = 4;

/// How much of a body is in memory that a client takes piece by piece, in bytes: more as long as
/// there is much room.
const PIECE: usize = MAX_HELD_BODY;
const SMALL_PIECE: usize = 16 * 1024;

/// What bodies may take while they are judged and recorded, in bytes: two of the largest, and a
/// copy of each. More would not be faster, and small outcomes wait in one commit with them.
const RECORDING: usize = 32 * 1024 * 1024;

/// What a body takes at most that is made into another form, in bytes: as it is stored, and decoded.
const CONVERSION: usize = 80 * 1024 * 1024;

/// The memory for the bodies of answers.
#[derive(Debug)]
pub(crate) struct AnswerMemory {
    /// In bytes, for what clients have not taken yet, however long they need.
    held: Arc<Semaphore>,
    /// Whole bodies are held while more than this is free of it.
    for_pieces: usize,
    /// In bytes, for bodies that are judged and recorded.
    whole: Arc<Semaphore>,
    /// One body at a time is made into another form.
    converting: Semaphore,
    reads: Arc<Semaphore>,
    recent: Cache<StoredBody, Bytes, BySize>,
}

/// A part of the memory. Given back when it is dropped.
pub(crate) type MemoryShare = OwnedSemaphorePermit;

#[derive(Debug, Clone)]
struct BySize;

impl Weighter<StoredBody, Bytes> for BySize {
    fn weight(&self, _: &StoredBody, body: &Bytes) -> u64 {
        body.len() as u64
    }
}

/// The memory of a buffer that grows, and of one copy of it.
#[derive(Debug)]
pub(crate) struct GrowingShare {
    memory: Arc<AnswerMemory>,
    share: Option<MemoryShare>,
}

impl GrowingShare {
    pub(crate) fn of(memory: &Arc<AnswerMemory>) -> Self {
        Self { memory: Arc::clone(memory), share: None }
    }

    /// Whether the buffer may have this length. A short one gives all memory back.
    pub(crate) fn covers(&mut self, length: usize) -> bool {
        if length <= MAX_HELD_BODY {
            self.share = None;
            return true;
        }
        let has = self.share.as_ref().map_or(0, MemoryShare::num_permits);
        let needs = 2 * length;
        if has >= needs {
            return true;
        }
        let Some(more) = self.memory.try_hold(needs.next_power_of_two() - has) else {
            return false;
        };
        match &mut self.share {
            Some(share) => share.merge(more),
            None => self.share = Some(more),
        }
        true
    }
}

/// Bytes that count as long as anyone has them.
struct Counted<T> {
    bytes: T,
    _shares: Vec<MemoryShare>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Counted<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// `bytes`, which hold `shares` until the last copy of them is dropped.
pub(crate) fn counted(
    bytes: impl AsRef<[u8]> + Send + 'static,
    shares: impl Into<Vec<MemoryShare>>,
) -> Bytes {
    Bytes::from_owner(Counted { bytes, _shares: shares.into() })
}

impl AnswerMemory {
    /// `total`: in bytes. What it takes at least is twice [`RECORDING`] and [`CONVERSION`].
    pub(crate) fn new(total: usize) -> Self {
        let held = total.saturating_sub(RECORDING + CONVERSION).max(total / 2);
        Self {
            held: Arc::new(Semaphore::new(held)),
            for_pieces: held / 2,
            whole: Arc::new(Semaphore::new(RECORDING)),
            converting: Semaphore::new(1),
            reads: Arc::new(Semaphore::new(READS)),
            // So few that the cache has one shard, which any body fits into.
            recent: Cache::with_weighter(32, RECENT, BySize),
        }
    }

    /// Room to hold a body whole until its client has taken it, if there is much of it.
    pub(crate) fn try_hold(&self, bytes: usize) -> Option<MemoryShare> {
        let rest = self.held.available_permits().checked_sub(bytes)?;
        (rest >= self.for_pieces).then_some(())?;
        Arc::clone(&self.held).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Room for so many bytes of a body that the disk does not take, as long as there is any.
    pub(crate) fn try_spare(&self, bytes: usize) -> Option<MemoryShare> {
        Arc::clone(&self.held).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// `bytes` as they are held until their client has taken them. `None`: the memory is full.
    pub(crate) fn hold(&self, bytes: Bytes) -> Option<Bytes> {
        if bytes.len() <= MAX_HELD_BODY {
            return Some(bytes);
        }
        let share = self.try_hold(bytes.len())?;
        Some(counted(bytes, [share]))
    }

    /// Waits for room for a body that is needed whole for a moment, with all that is made of it.
    pub(crate) async fn whole(&self, bytes: usize) -> io::Result<MemoryShare> {
        let bytes = u32::try_from(bytes.min(RECORDING)).unwrap_or(u32::MAX);
        Arc::clone(&self.whole).acquire_many_owned(bytes).await.map_err(io::Error::other)
    }

    /// Waits until no other body is made into another form.
    pub(crate) async fn conversion(&self) -> io::Result<SemaphorePermit<'_>> {
        self.converting.acquire().await.map_err(io::Error::other)
    }

    /// Waits for room for the next piece of a body with so much left.
    pub(super) async fn piece(&self, left: usize) -> io::Result<(usize, MemoryShare)> {
        let ample = self.held.available_permits() > self.for_pieces;
        let size = left.min(if ample { PIECE } else { SMALL_PIECE });
        let held = Arc::clone(&self.held);
        let share = held.acquire_many_owned(size as u32).await.map_err(io::Error::other)?;
        Ok((size, share))
    }

    /// A stored body in memory that is shared by all who ask for it. `None`: the memory is full.
    pub(crate) async fn shared(&self, store: &Store, body: StoredBody) -> Option<Bytes> {
        let read = async {
            let size = usize::try_from(body.size).map_err(drop)?;
            let share = self.try_hold(size).ok_or(())?;
            let bytes = self.read(store, body, 0, size).await.map_err(drop)?;
            Ok::<_, ()>(counted(bytes, [share]))
        };
        self.recent.get_or_insert_async(&body, read).await.ok()
    }

    /// A part of a stored body. An error if it is not stored any more.
    pub(crate) async fn read(
        &self,
        store: &Store,
        body: StoredBody,
        at: u64,
        size: usize,
    ) -> io::Result<Bytes> {
        let place = Arc::clone(&self.reads).acquire_owned().await.map_err(io::Error::other)?;
        let reader = store.reader().clone();
        let read = move || {
            let _place = place;
            reader.answer_body(&body, at, size)
        };
        let bytes = spawn_blocking(read).await.map_err(io::Error::other)?;
        bytes
            .map_err(io::Error::other)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the stored answer is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whole_bodies_leave_room_for_pieces() {
        const MIB: usize = 1 << 20;
        let memory = Arc::new(AnswerMemory::new(8 * MIB));
        let whole = memory.hold(Bytes::from(vec![0; 2 * MIB])).unwrap();
        assert!(memory.hold(Bytes::from(vec![0; MIB])).is_none());
        assert!(memory.hold(Bytes::from(vec![0; MAX_HELD_BODY])).is_some());
        let (size, piece) = memory.piece(MIB).await.unwrap();
        assert_eq!(size, SMALL_PIECE);
        drop(piece);
        let copy = whole.slice(..10);
        drop(whole);
        assert!(memory.try_hold(MIB).is_none(), "a part of it is still there");
        drop(copy);
        assert_eq!(memory.piece(MIB).await.unwrap().0, PIECE);
        assert_eq!(memory.piece(10).await.unwrap().0, 10);
        assert!(memory.try_hold(2 * MIB).is_some());
        assert!(memory.whole(usize::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn a_buffer_takes_memory_as_it_grows_and_gives_it_back() {
        const MIB: usize = 1 << 20;
        let memory = Arc::new(AnswerMemory::new(8 * MIB));
        let (mut one, mut other) = (GrowingShare::of(&memory), GrowingShare::of(&memory));
        for length in [10, MAX_HELD_BODY, MAX_HELD_BODY + 1, MIB / 2, MIB] {
            assert!(one.covers(length), "{length}");
        }
        assert!(!one.covers(MIB + 1));
        assert!(!other.covers(MAX_HELD_BODY + 1));
        assert!(other.covers(MAX_HELD_BODY));
        assert!(one.covers(10));
        assert!(other.covers(MIB));
    }
}
