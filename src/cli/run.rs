use std::ffi::OsString;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::launch::{self, Program};
use crate::printer::Printer;

/// Run a program with its tool calls guarded
///
/// Uses the engine that serves the database; if none is running, starts one for the lifetime of the
/// program. The program finds the proxy through its environment. It gets the signals that this
/// command gets, and its exit status becomes the exit status of this command. Status 0 completes
/// the session; after any other status, the next run of the session continues where this one
/// stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine run -- python agent.py
  openclaw-state-engine run --session nightly -- node agent.mjs --full
  openclaw-state-engine run --session build-7 --java -- ./gradlew deploy
  openclaw-state-engine run --upstream-proxy http://proxy.corp.example:3128 -- claude")]
pub(super) struct Args {
    /// Session, by name or id [default: a new session, printed to stderr]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    #[command(flatten)]
    target: Target,

    /// Set `JAVA_TOOL_OPTIONS` too, and open a port for it that requires no credentials; each Java
    /// program then reports this on stderr
    #[arg(long)]
    java: bool,

    /// Share the state API's token with the program, as `STATE_ENGINE_TOKEN`; otherwise it is
    /// removed
    #[arg(long)]
    share_api_token: bool,

    /// Upstream proxy of an engine that run starts, or `none` [default: the one that the
    /// environment names]
    #[arg(long, value_name = "URL")]
    upstream_proxy: Option<String>,

    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let program = Program {
        command: &args.command,
        session: args.session.as_deref(),
        target: &args.target,
        upstream_proxy: args.upstream_proxy.as_deref(),
        java: args.java,
        share_api_token: args.share_api_token,
    };
    launch::run(&program, printer)
}
