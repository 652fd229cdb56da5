use std::ffi::OsString;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::mcp_stdio::{self, WrappedServer};
use crate::printer::Printer;

/// Run an MCP server on stdio with its tool calls guarded
///
/// Put this before the command of the server in the configuration of the client. Each `tools/call`
/// becomes a call through the engine, with the same guarantees as one over HTTP; all other messages
/// pass byte for byte. Uses the engine that serves the database; if none is running, starts one.
/// The server finds the proxy through its environment, as under `run`, and its exit status becomes
/// the exit status of this command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine mcp -- npx -y @modelcontextprotocol/server-everything
  openclaw-state-engine mcp --session nightly -- uvx mcp-server-git --repository .
  openclaw-state-engine mcp --name mail --database agent.db -- python mail_server.py")]
pub(super) struct Args {
    /// Session of the calls, by name or id [default: the session of `run`, else `default`]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    /// Name of the server in records and rules [default: the name of its program]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    target: Target,

    /// Server and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let server = WrappedServer {
        command: &args.command,
        session: args.session.as_deref(),
        name: args.name.as_deref(),
        target: &args.target,
    };
    mcp_stdio::run(&server, printer)
}
