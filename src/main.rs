//! A sidecar for AI agents: their tool calls become durable, and a duplicate never acts twice.

mod api;
mod ca;
mod cli;
mod client;
mod config;
mod printer;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut printer = printer::Printer::stdio(cli.json);
    let status = cli.run(&mut printer).and_then(|status| {
        printer.flush()?;
        Ok(status)
    });
    status.unwrap_or_else(|error| cli::report(&error, &mut printer)).into()
}
