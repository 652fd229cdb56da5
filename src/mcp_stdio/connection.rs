//! The engine's door, found again when the engine was started anew.

use std::sync::{Arc, Mutex, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::task::spawn_blocking;

use crate::config::Place;
use crate::launch::engine::Engine;
use crate::launch::outward::Outward;

/// How the proxy is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    /// `HOST:PORT`.
    pub(super) proxy: String,
    /// The value of `Proxy-Authorization`.
    pub(super) credentials: String,
}

/// Keeps the engine for as long as the server lives. An engine may not be dropped by a task.
pub(super) struct Keeper {
    engine: Mutex<Option<Engine>>,
    door: Mutex<Door>,
    place: Place,
    outward: Outward,
    /// `SESSION~RUN`.
    user: String,
}

impl Keeper {
    pub(super) fn new(
        engine: Engine,
        place: Place,
        outward: Outward,
        user: String,
    ) -> anyhow::Result<Self> {
        let door = Mutex::new(door(&engine, &user)?);
        Ok(Self { engine: Mutex::new(Some(engine)), door, place, outward, user })
    }

    pub(super) fn door(&self) -> Door {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another door than `closed`: the engine was started anew, or one is brought now.
    pub(super) async fn again(self: &Arc<Self>, closed: Door) -> anyhow::Result<Door> {
        let keeper = Arc::clone(self);
        spawn_blocking(move || keeper.find(&closed)).await?
    }

    fn find(&self, closed: &Door) -> anyhow::Result<Door> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.door();
        if now != *closed {
            return Ok(now);
        }
        drop(engine.take());
        let found = Engine::find_or_bring(&self.place, &self.outward)?;
        let door = door(&found, &self.user)?;
        *engine = Some(found);
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = door.clone();
        Ok(door)
    }

    /// The engine, to be closed.
    pub(super) fn end(&self) -> Option<Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn door(engine: &Engine, user: &str) -> anyhow::Result<Door> {
    let token = engine.reader().session_token(user)?;
    let credentials = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{token}")));
    Ok(Door { proxy: engine.proxy().to_owned(), credentials })
}
