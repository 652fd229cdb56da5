//! How many tunnels may be open. Each takes two descriptors for as long as its ends like, and calls
//! need some too.

use std::sync::Arc;

use proxy_core::error::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many tunnels may be opened past the limit, to find out whether they carry guarded calls.
const SPARE: usize = 16;

/// The places of tunnels that pass bytes on unread.
#[derive(Debug)]
pub(crate) struct TunnelPlaces {
    blind: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

/// The place of a tunnel of which it is not known yet what it carries.
#[derive(Debug)]
pub(crate) struct TunnelPlace {
    /// `None`: the tunnel may stay only if it carries guarded calls.
    blind: Option<OwnedSemaphorePermit>,
    _spare: Option<OwnedSemaphorePermit>,
}

impl TunnelPlaces {
    /// `most`: how many tunnels may pass bytes on unread.
    pub(crate) fn new(most: usize) -> Self {
        Self { blind: Arc::new(Semaphore::new(most)), spare: Arc::new(Semaphore::new(SPARE)) }
    }

    /// A place for a new tunnel.
    pub(crate) fn take(&self) -> Result<TunnelPlace, Error> {
        let of = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let blind = of(&self.blind);
        let spare = if blind.is_none() { of(&self.spare) } else { None };
        if blind.is_none() && spare.is_none() {
            return Err(Error::QueueFull("too many tunnels are open".to_owned()));
        }
        Ok(TunnelPlace { blind, _spare: spare })
    }

    /// The place of a tunnel that turns out to pass bytes on unread. `None`: there are too many.
    pub(crate) fn settle(&self, place: TunnelPlace) -> Option<OwnedSemaphorePermit> {
        place.blind.or_else(|| Arc::clone(&self.blind).try_acquire_owned().ok())
    }
}
