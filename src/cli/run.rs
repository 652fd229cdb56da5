use std::ffi::OsString;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::launch::{self, Program};
use crate::printer::Printer;

/// Run a program so that its tool calls are guarded, without a change of it
///
/// The engine that serves the database is used; where none runs, one is brought for as long as the
/// program lives. The program finds the proxy by its environment. It gets the signals that this command gets, and its
/// exit status becomes this command's. A status of 0 completes the session; after any other the next
/// run of the same session goes on where this one stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine run -- python agent.py
  openclaw-state-engine run --session nightly -- node agent.mjs --full
  openclaw-state-engine run --session build-7 --java -- ./gradlew deploy
  openclaw-state-engine run --upstream-proxy http://proxy.corp.example:3128 -- claude")]
pub(super) struct Args {
    /// The session: its name, or its id [default: a new one, whose name is told]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    #[command(flatten)]
    target: Target,

    /// Set `JAVA_TOOL_OPTIONS` too, and open a port for it that asks for no credentials; each Java
    /// program then says so on stderr
    #[arg(long)]
    java: bool,

    /// Leave the program the state API's token, as `STATE_ENGINE_TOKEN`; else it is taken from it
    #[arg(long)]
    share_api_token: bool,

    /// The proxy that an engine brought along goes out through, or `none` [default: that of the
    /// environment]
    #[arg(long, value_name = "URL")]
    upstream_proxy: Option<String>,

    /// The program and its arguments
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
