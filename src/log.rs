//! The log on stderr.

use std::io::{self, IsTerminal as _, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, env};
use crate::printer::harmless;

/// The targets of the engine's own lines: its crates.
const OWN: [&str; 5] = ["openclaw_state_engine", "proxy", "proxy_core", "store", "store_core"];

/// Starts the log; `level` applies if the environment sets none.
pub(crate) fn start(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let levels = std::env::var(env::LOG).or_else(|_| std::env::var("RUST_LOG"));
    let levels = EnvFilter::try_new(directives(levels.as_deref().unwrap_or(level)))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(|| HarmlessStderr)
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

/// Standard error, without what a terminal would act on: lines may quote other programs.
struct HarmlessStderr;

impl Write for HarmlessStderr {
    /// A line comes whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(harmless(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The directives of a filter. A level alone is one for the engine's own lines: those of libraries
/// below warnings are about their inside, and may show header values.
fn directives(levels: &str) -> String {
    let Ok(level) = levels.trim().parse::<LevelFilter>() else { return levels.to_owned() };
    let own = OWN.iter().map(|own| format!(",{own}={level}"));
    format!("{}{}", level.min(LevelFilter::WARN), own.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_is_one_for_the_own_lines() {
        let all = |level: &str| {
            OWN.iter().map(|own| format!(",{own}={level}")).collect::<Vec<_>>().concat()
        };
        assert_eq!(directives("info"), format!("warn{}", all("info")));
        assert_eq!(directives(" TRACE"), format!("warn{}", all("trace")));
        assert_eq!(directives("error"), format!("error{}", all("error")));
        for own in ["hyper=debug,info", "store=trace"] {
            assert_eq!(directives(own), own, "directives are used as they are");
        }
    }
}
