//! A client and a server of `rmcp`, as `client.py` and `server.py` are of `PyPI`'s `mcp`:
//!
//! ```text
//! rmcp-peer serve EFFECTS stdio|json|events
//! rmcp-peer call MODE URL|COMMAND... :: NAME=ARGUMENTS...
//! ```
//!
//! Each effect is one line of the file EFFECTS; over HTTP the server prints its port on stdout. The
//! client prints a JSON line for its protocol version and one for each result. MODE is `legacy`
//! (2025-11-25), `auto`, or a version.
#![expect(clippy::print_stdout, reason = "the tests read what it prints")]

mod client;
mod server;

use anyhow::bail;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", effects, "stdio"] => server::over_stdio(effects).await,
        ["serve", effects, how @ ("json" | "events")] => {
            server::over_http(effects, *how == "json").await
        }
        ["call", mode, rest @ ..] => {
            let Some(end) = rest.iter().position(|word| *word == "::") else {
                bail!("no `::` before the calls");
            };
            client::call(mode, &rest[..end], &rest[end + 1..]).await
        }
        _ => bail!("rmcp-peer serve EFFECTS HOW | call MODE SERVER... :: CALL..."),
    }
}
