//! The log on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, env};

/// Starts the log; `level` applies if the environment sets none.
pub(crate) fn start(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let levels = std::env::var(env::LOG).or_else(|_| std::env::var("RUST_LOG"));
    let levels = EnvFilter::try_new(levels.as_deref().unwrap_or(level))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(std::io::stderr)
        // Otherwise a closed stderr would panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Human => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            log.with_ansi(std::io::stderr().is_terminal() && !no_color).init();
        }
    }
    Ok(())
}
