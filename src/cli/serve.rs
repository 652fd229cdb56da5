use crate::config::{Config, Flags};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::{log, server};

/// Run the engine: the state API and the proxy over one database
///
/// Start an agent with `HTTP_PROXY` set to the proxy: its tool calls over clear HTTP are guarded,
/// and those over https to --intercept hosts. SIGTERM and SIGINT give running calls 30 s, a second
/// signal stops at once. Calls that are still running then are in doubt at the next start. The log
/// goes to stderr; `STATE_ENGINE_LOG` sets its level.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine serve
  openclaw-state-engine serve --database agent.db --max-request 16MiB
  openclaw-state-engine serve --pass 127.0.0.1:11434 --log-format json
  openclaw-state-engine serve --addr 127.0.0.1:0 --no-proxy --json")]
pub(super) struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Create a database also if files beside it say that there was one: calls that ran before may run again
    #[arg(long, display_order = 93)]
    new_database: bool,

    /// Start also if records are missing that were on disk: calls that ran before may run again
    #[arg(long, display_order = 94)]
    accept_loss: bool,
}

/// Runs until a signal; reports configuration errors before it touches a file or a port.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let mut config = Config::try_from(args.flags.clone())?;
    config.database.create_new = args.new_database;
    config.database.accept_loss = args.accept_loss;
    log::start(config.log_format, "info")?;
    server::run(&config, &args.flags, printer)
}
