//! The engine behind the wrapper, and its proxy, found again after a restart of the engine.

use std::sync::{Arc, Mutex, PoisonError};

use proxy::mcp::STDIO_PROVER;
use tokio::task::spawn_blocking;

use crate::config::Target;
use crate::launch::credentials::Credentials;
use crate::launch::engine::AttachedEngine;
use crate::launch::upstream_proxy::UpstreamProxies;

/// How the proxy is reached.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyAccess {
    /// `HOST:PORT`.
    pub(super) address: String,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: String,
    /// That we can read the database, and so may name a port of the loopback.
    pub(super) proof: String,
}

/// Keeps the engine while the server lives. A task must not drop an engine.
pub(super) struct EngineHandle {
    engine: Mutex<Option<AttachedEngine>>,
    proxy: Mutex<ProxyAccess>,
    target: Target,
    upstream_proxy: UpstreamProxies,
    /// `SESSION~RUN`.
    user: String,
}

impl EngineHandle {
    pub(super) fn new(
        engine: AttachedEngine,
        target: Target,
        upstream_proxy: UpstreamProxies,
        user: String,
    ) -> anyhow::Result<Self> {
        let proxy = Mutex::new(access(&engine, &user)?);
        Ok(Self { engine: Mutex::new(Some(engine)), proxy, target, upstream_proxy, user })
    }

    pub(super) fn proxy(&self) -> ProxyAccess {
        self.proxy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The proxy that replaces `gone`: the engine was restarted, or this process starts one now.
    pub(super) async fn reconnect(
        self: &Arc<Self>,
        gone: ProxyAccess,
    ) -> anyhow::Result<ProxyAccess> {
        let handle = Arc::clone(self);
        spawn_blocking(move || handle.find_instead_of(&gone)).await?
    }

    fn find_instead_of(&self, gone: &ProxyAccess) -> anyhow::Result<ProxyAccess> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.proxy();
        if now != *gone {
            return Ok(now);
        }
        drop(engine.take());
        let found = AttachedEngine::attach_or_start(&self.target, &self.upstream_proxy)?;
        let proxy = access(&found, &self.user)?;
        *engine = Some(found);
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = proxy.clone();
        Ok(proxy)
    }

    /// Takes the engine, to close it.
    pub(super) fn release(&self) -> Option<AttachedEngine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn access(engine: &AttachedEngine, user: &str) -> anyhow::Result<ProxyAccess> {
    let credentials = Credentials::new(user.to_owned(), engine.reader())?;
    Ok(ProxyAccess {
        address: engine.proxy().to_owned(),
        authorization: credentials.authorization(),
        proof: engine.reader().session_token(STDIO_PROVER)?,
    })
}
