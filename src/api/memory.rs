//! How much memory the bodies of requests and answers take, however many connections there are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::{Code, Error};

/// For the bodies of requests over [`SMALL`], in bytes.
const REQUESTS: usize = 128 * 1024 * 1024;

/// For answers over [`SMALL`] that their readers have not taken, in bytes.
const ANSWERS: usize = 256 * 1024 * 1024;

static UNTAKEN: Semaphore = Semaphore::const_new(ANSWERS);

/// A body that does not count, in bytes: the number of connections bounds it.
const SMALL: usize = 64 * 1024;

/// How long a large request waits for others.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The memory for bodies of requests and answers.
#[derive(Debug)]
pub(super) struct ApiMemory {
    requests: Arc<Semaphore>,
}

/// An answer that counts until it is written.
struct Held {
    answer: Bytes,
    _share: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Default for ApiMemory {
    fn default() -> Self {
        Self { requests: Arc::new(Semaphore::new(REQUESTS)) }
    }
}

impl ApiMemory {
    /// Room for a body of up to so many bytes, and a refusal before anything of it runs.
    pub(super) async fn admit(&self, most: usize) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let busy = |what| Err(Error::new(Code::Busy, what));
        if UNTAKEN.available_permits() == 0 {
            return busy("too many answers wait for their readers: try again shortly");
        }
        if most <= SMALL {
            return Ok(None);
        }
        let room = Arc::clone(&self.requests).acquire_many_owned(most.min(REQUESTS) as u32);
        match timeout(MAX_WAIT, room).await {
            Ok(Ok(room)) => Ok(Some(room)),
            _ => busy("too many large requests at once: try again shortly"),
        }
    }
}

/// Waits until readers have taken so much that a list may be made.
pub(in crate::api) async fn list_may_be_made() {
    drop(UNTAKEN.acquire().await);
}

/// The answer, as it counts from now on. It was carried out, so that it is not refused: the last one
/// may be over the limit.
pub(super) fn hold(answer: Bytes) -> Bytes {
    if answer.len() <= SMALL {
        return answer;
    }
    loop {
        let most = answer.len().min(UNTAKEN.available_permits()) as u32;
        if most == 0 {
            return answer;
        }
        if let Ok(share) = UNTAKEN.try_acquire_many(most) {
            return Bytes::from_owner(Held { answer, _share: share });
        }
    }
}

/// Gives back what a body does not need that turned out to be shorter.
pub(super) fn shrink(room: &mut Option<OwnedSemaphorePermit>, size: usize) {
    if size <= SMALL {
        *room = None;
    } else if let Some(room) = room {
        drop(room.split(room.num_permits().saturating_sub(size)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_bodies_have_a_bound_and_small_ones_have_none() {
        const MIB: usize = 1 << 20;
        let memory = ApiMemory::default();
        let mut first = memory.admit(REQUESTS).await.unwrap();
        assert!(memory.admit(SMALL).await.unwrap().is_none());
        assert_eq!(memory.admit(MIB).await.unwrap_err().code, Code::Busy);
        shrink(&mut first, REQUESTS - MIB);
        let second = memory.admit(MIB).await.unwrap();
        shrink(&mut first, SMALL);
        assert!(memory.admit(REQUESTS - MIB).await.unwrap().is_some());
        drop((first, second));

        let answers: Vec<_> =
            (0..ANSWERS / (8 * MIB)).map(|_| hold(vec![0; 8 * MIB].into())).collect();
        assert_eq!(memory.admit(1).await.unwrap_err().code, Code::Busy);
        assert_eq!(hold(vec![1; MIB].into()).len(), MIB, "what was carried out is answered");
        drop(answers);
        assert!(memory.admit(1).await.is_ok());
    }
}
