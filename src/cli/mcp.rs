use std::ffi::OsString;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::mcp_stdio::{self, WrappedServer};
use crate::printer::Printer;

/// Run an MCP server on stdio so that its tool calls are guarded
///
/// Put it before the server's command in the client's configuration. Each `tools/call` becomes a call
/// through the engine, with the same promises as one over HTTP; all other messages pass byte for
/// byte. The engine that serves the database is used; where none runs, one is brought along. The
/// server finds the proxy by its environment, as under `run`, and its exit status becomes this
/// command's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine mcp -- npx -y @modelcontextprotocol/server-everything
  openclaw-state-engine mcp --session nightly -- uvx mcp-server-git --repository .
  openclaw-state-engine mcp --name mail --database agent.db -- python mail_server.py")]
pub(super) struct Args {
    /// The session that the calls belong to: its name, or its id [default: that of `run`, else `default`]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    /// The server's name in records and rules [default: that of its program]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    target: Target,

    /// The server and its arguments
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
