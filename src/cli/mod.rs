//! The command line: one file per command.

mod ca;
mod config;
mod doctor;
mod executions;
mod explain;
mod mcp;
mod replay;
mod resolve;
mod run;
mod serve;
mod token;
mod verify;

use clap::{Parser, Subcommand};

use crate::exit::ExitStatus;
use crate::printer::Printer;

/// A sidecar for AI agents: their tool calls become durable, and a duplicate never acts twice
///
/// It guards HTTP calls as a proxy (`HTTP_PROXY`), and programs that use its JSON-RPC state API.
/// Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 the answer is no, 2 wrong
/// usage or an unexpected error, 3 the server cannot be reached, 70 the disk failed while the
/// engine ran.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Examples:
  openclaw-state-engine serve
  openclaw-state-engine executions --status in_doubt"
)]
pub(crate) struct Cli {
    /// Print JSON: one document, or for lists one per line; later versions may add members
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(Box<serve::Args>),
    Replay(replay::Args),
    Executions(executions::Args),
    Resolve(resolve::Args),
    Verify(verify::Args),
    Token(token::Args),
    Ca(ca::Args),
    Run(Box<run::Args>),
    Doctor(doctor::Args),
    Config(config::Args),
    Explain(Box<explain::Args>),
    Mcp(Box<mcp::Args>),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
        match self.verb {
            Verb::Serve(args) => serve::run(&args, printer),
            Verb::Replay(args) => replay::run(&args, printer),
            Verb::Executions(args) => executions::run(&args, printer),
            Verb::Resolve(args) => resolve::run(&args, printer),
            Verb::Verify(args) => verify::run(&args, printer),
            Verb::Token(args) => token::run(&args, printer),
            Verb::Ca(args) => ca::run(&args, printer),
            Verb::Run(args) => run::run(&args, printer),
            Verb::Doctor(args) => doctor::run(&args, printer),
            Verb::Config(args) => config::run(args, printer),
            Verb::Explain(args) => explain::run(*args, printer),
            Verb::Mcp(args) => mcp::run(&args, printer),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_examples_that_parse() {
        let mut verbs = vec![Cli::command()];
        let mut seen = 0;
        while let Some(mut verb) = verbs.pop() {
            seen += 1;
            let help = verb.render_long_help().to_string().replace("\\\n", " ");
            let below = verb.get_subcommands().filter(|below| below.get_name() != "help");
            verbs.extend(below.cloned());
            let examples: Vec<_> = help
                .lines()
                .filter_map(|line| line.trim().strip_prefix("openclaw-state-engine "))
                .collect();
            assert!(!examples.is_empty(), "{help}");
            for example in examples {
                let words = shlex::split(example.split(" > ").next().unwrap()).unwrap();
                let line = std::iter::once("openclaw-state-engine".to_owned()).chain(words);
                if let Err(error) = Cli::try_parse_from(line) {
                    panic!("{example}: {error}");
                }
            }
        }
        assert_eq!(seen, 1 + 12 + 5, "the program, its verbs, those of ca and config");
    }
}
