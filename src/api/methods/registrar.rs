//! Registers a method: decodes its params and runs its handler, as one that reads or writes.

use std::collections::HashSet;
use std::sync::Arc;

use jsonrpsee::{Methods, RpcModule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Reader, Store};
use tokio::sync::Semaphore;

use crate::api::error::Error;
use crate::api::memory::list_may_be_made;
use crate::api::metrics::Metrics;
use crate::api::params::decode;

/// How many lists are read at once: each may be large, and each reader has its page cache.
static READS: Semaphore = Semaphore::const_new(16);

/// The context of the methods.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) store: Store,
    /// Who settles a doubt through this API, for the audit.
    pub(super) actor: &'static str,
    pub(super) metrics: Metrics,
}

/// Registers methods, and remembers which of them change something.
pub(super) struct Registrar {
    module: RpcModule<Context>,
    writes: HashSet<&'static str>,
}

impl Registrar {
    pub(super) fn new(context: Context) -> Self {
        Self { module: RpcModule::new(context), writes: HashSet::new() }
    }

    /// All registered methods, and which of them change something.
    pub(super) fn finish(self) -> (Methods, HashSet<&'static str>) {
        (self.module.into(), self.writes)
    }

    /// Registers a method that changes nothing: it ends when its caller hangs up.
    pub(super) fn read<P, R, F, Fut>(&mut self, name: &'static str, handler: F)
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize + Clone + 'static,
        F: Fn(Arc<Context>, P) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Error>> + Send + 'static,
    {
        self.module
            .register_async_method(name, move |params, context, _| async move {
                let decoded = decode(&params)?;
                drop(params);
                handler(context, decoded).await
            })
            .expect("each method is registered once");
    }

    /// Registers a method that changes something: it runs to its end even if its caller hangs up.
    pub(super) fn write<P, R, F, Fut>(&mut self, name: &'static str, handler: F)
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize + Clone + 'static,
        F: Fn(Arc<Context>, P) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Error>> + Send + 'static,
    {
        self.writes.insert(name);
        self.read(name, handler);
    }
}

impl Context {
    /// Reads a list on a blocking thread, not on one that serves connections.
    pub(super) async fn read_list<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let reader = self.store.reader().clone();
        list_may_be_made().await;
        let place = READS.acquire().await.map_err(|_| Error::internal())?;
        let read = move || {
            let _place = place;
            read(&reader)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(rows) => Ok(rows?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::internal()),
            },
        }
    }
}
