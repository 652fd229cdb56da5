//! The one command for people and CI.
#![expect(clippy::print_stderr, reason = "a developer's tool talks to its terminal")]

mod check;
mod command;
mod generate;
mod install;
mod npm;
mod openclaw;
mod sdist;
mod test;
mod tools;
mod venv;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{cargo, run};

/// Build, check and test the tree
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Test(test::Args),
    /// Compare the engine with no proxy, a bare hop and, with --peers, other programs
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    Openclaw(openclaw::Args),
    Words(words::Args),
    /// Check format, lints, dependencies and documentation, then run all tests
    Check,
    /// Generate the TypeScript types of the wire
    Gen,
    /// Check bans, licences and sources of all dependencies
    Deny,
}

/// Optimized, so that the load generator, the upstream and the hop are not the slow part.
fn bench(args: &[String]) -> anyhow::Result<()> {
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--release", "--package", "bench", "--"]);
    run("bench", bench.args(args))
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Test(args) => test::test(&args),
        Verb::Bench { args } => bench(&args),
        Verb::Openclaw(args) => openclaw::test(&args),
        Verb::Words(args) => words::run(&args),
        Verb::Check => check::check(),
        Verb::Gen => generate::generate(),
        Verb::Deny => check::deny(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
