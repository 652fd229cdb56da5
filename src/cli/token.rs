use serde::Serialize;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::source;

/// Print the proxy token of a session, for a server with --require-token
///
/// It is derived from the name of the session as written and the secret of the store; anyone who
/// can read the database can derive one. Use it as
/// `HTTP_PROXY=http://SESSION:TOKEN@127.0.0.1:3031`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine token nightly
  openclaw-state-engine token nightly --database agent.db --json")]
pub(super) struct Args {
    /// Name or id of the session, exactly as in the proxy credentials
    session: String,

    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Printed<'a> {
    session: &'a str,
    token: &'a str,
}

/// Reads the secret from the file itself, whose mode decides who may.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let reader = source::open(&args.target.database()?)?;
    let token = reader.session_token(&args.session)?;
    if printer.json() {
        printer.document(&Printed { session: &args.session, token: &token })?;
    } else {
        printer.line(token)?;
    }
    Ok(ExitStatus::Done)
}
