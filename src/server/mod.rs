//! Runs an engine until a signal: opens it, announces it, drains and closes it.

pub(crate) mod engine;
mod listeners;
mod signals;
mod taking;
mod wiring;

use store::Store;

use self::signals::{Signals, reload_on_hangup};
use crate::config::{Config, Flags};
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Runs the engine until SIGTERM or SIGINT. SIGHUP reads the configuration again with `flags`.
pub(crate) fn run(
    config: &Config,
    flags: &Flags,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let store = engine::open_store(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let ended = serve(config, flags, &store, printer).await;
        store.close().await;
        ended
    });
    // What a task still holds is in doubt at the next start: waiting for it gains nothing.
    runtime.shutdown_background();
    ended
}

async fn serve(
    config: &Config,
    flags: &Flags,
    store: &Store,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let mut signals = Signals::listen()?;
    let mut engine = engine::open(config, store).await?;
    engine.addresses.print(printer)?;
    let proxy = engine.proxy.clone();
    let reloads = reload_on_hangup(&mut signals.hangup, config, flags, proxy.as_ref());
    let ended = tokio::select! {
        never = reloads => match never {},
        name = signals.stop.next() => {
            tracing::info!(signal = name, "stopping");
            ExitStatus::Done
        }
        // The writer has logged how.
        _ = store.lost() => ExitStatus::StoreLost,
        error = engine.listener_failure() => return Err(error),
    };
    tokio::select! {
        () = engine.close() => {}
        name = signals.stop.next() => {
            tracing::warn!(signal = name, "second signal: stopping now");
            leave(ExitStatus::Unexpected)
        }
    }
    Ok(if store.is_lost() { ExitStatus::StoreLost } else { ended })
}

#[expect(clippy::exit, reason = "a second signal does not wait for running calls")]
fn leave(status: ExitStatus) -> ! {
    std::process::exit(i32::from(status.code()))
}
