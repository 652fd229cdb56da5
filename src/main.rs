//! A sidecar for AI agents: their tool calls become durable, and a duplicate never acts twice.

mod api;
mod ca;
mod cli;
mod client;
mod config;
mod doctor;
mod exit;
mod launch;
mod log;
mod mcp_stdio;
mod printer;
mod server;
mod shown;
mod source;

use std::process::ExitCode;

/// A call makes about a hundred small allocations on several threads, which took a tenth of its CPU
/// time with the system allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(status) = launch::starter::run_if_named() {
        return status.into();
    }
    let cli = config::parse::<cli::Cli>(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let format = if cli.json { printer::Format::Json } else { printer::Format::Text };
    let mut printer = printer::Printer::stdio(format);
    let status = cli.run(&mut printer).and_then(|status| {
        printer.flush()?;
        Ok(status)
    });
    status.unwrap_or_else(|error| exit::report(&error, &mut printer)).into()
}
