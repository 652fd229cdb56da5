//! Signals: SIGTERM and SIGINT stop the engine, SIGHUP reloads the configuration.

use std::convert::Infallible;

use proxy::UnmatchedPointer;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Flags};

pub(super) struct Signals {
    pub(super) stop: StopSignals,
    pub(super) hangup: Signal,
}

pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        let stop = StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Self { stop, hangup: signal(SignalKind::hangup())? })
    }
}

impl StopSignals {
    /// The name of the next signal.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Reloads the configuration at each SIGHUP. The settings of calls change at once; a configuration
/// that is refused changes nothing.
pub(super) async fn reload_on_hangup(
    hangup: &mut Signal,
    config: &Config,
    flags: &Flags,
    proxy: Option<&proxy::Proxy>,
) -> Infallible {
    loop {
        if hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let read = Config::try_from(flags.reread());
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                tracing::error!("configuration not reloaded, nothing changed: {error:#}");
                continue;
            }
        };
        if let Some(proxy) = proxy {
            proxy.reload(&new.proxy.calls);
            warn_of_pointers(proxy.clone()).await;
        }
        let file = new.file.as_ref().map_or_else(|| "none".into(), |file| file.to_string_lossy());
        let needs_restart = new.needs_restart(config).join(", ");
        let rules = new.proxy.calls.rules.len();
        if needs_restart.is_empty() {
            tracing::info!(%file, rules, "configuration reloaded");
        } else {
            tracing::warn!(%file, rules, %needs_restart, "configuration reloaded; some settings need a restart");
        }
    }
}

/// Logs the pointers of rules that match nothing in what is recorded.
async fn warn_of_pointers(proxy: proxy::Proxy) {
    let read = tokio::task::spawn_blocking(move || proxy.unmatched_pointers()).await;
    match read {
        Ok(Ok(unmatched)) => {
            for UnmatchedPointer { rule, setting, pointer, calls } in unmatched {
                tracing::warn!(
                    %rule, %setting, %pointer, calls,
                    "a pointer matched nothing in any recorded call of its rule; docs/RULES.md says where pointers start"
                );
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "cannot check the pointers of the rules"),
        Err(panic) => tracing::error!(%panic, "the check of the pointers failed"),
    }
}
