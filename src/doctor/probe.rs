//! Calls through the proxy: the doctor's, and those of real clients.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::percent_decode_str;
use tempfile::TempDir;

use super::check::CheckResult;
use super::clients::{ProbedClient, ProxyRoute};
use super::upstream::ProbeUpstream;
use crate::launch::engine::AttachedEngine;
use crate::launch::environment::{self, Changes};
use crate::launch::private_folder;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often to check whether a client has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Sends the same POST twice: it must act once and get the same answer twice.
pub(super) fn round_trip(
    engine: &AttachedEngine,
    upstream: &ProbeUpstream,
    changes: &Changes,
) -> CheckResult {
    let what = "round trip";
    let twice = || -> anyhow::Result<(String, String)> {
        let url = changes.get("http_proxy").cloned().flatten().unwrap_or_default();
        let call = post(&upstream.url("/doctor"), &url.to_string_lossy());
        Ok((send(engine.proxy(), &call)?, send(engine.proxy(), &call)?))
    };
    let (first, second) = match twice() {
        Ok(answers) => answers,
        Err(error) => {
            let remedy = "does a firewall block the loopback?";
            return CheckResult::problem(
                what,
                format!("the proxy does not answer: {error:#}"),
                remedy,
            );
        }
    };
    let is = |answer: &str, word: &str| {
        answer.starts_with("HTTP/1.1 200 ")
            && answer.to_ascii_lowercase().contains(&format!("idempotency-status: {word};"))
    };
    let body = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    if is(&first, "executed")
        && is(&second, "replayed")
        && body(&first) == body(&second)
        && upstream.hits("/doctor") == (1, 0)
    {
        return CheckResult::ok(
            what,
            "a call sent twice acted once, and got the same answer twice",
        );
    }
    let line = |answer: &str| answer.lines().next().unwrap_or("nothing").to_owned();
    let found = format!(
        "a call sent twice acted {} time(s): {}, then {}",
        upstream.hits("/doctor").0,
        line(&first),
        line(&second)
    );
    CheckResult::problem(what, found, "does a rule match it? The engine's log names it")
}

/// A POST in absolute form with the credentials of the proxy's URL.
fn post(url: &str, proxy: &str) -> String {
    let credentials = proxy.strip_prefix("http://").and_then(|rest| rest.rsplit_once('@'));
    let decoded = percent_decode_str(credentials.map_or("", |(pair, _)| pair)).decode_utf8_lossy();
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    format!(
        "POST {url} HTTP/1.1\r\nHost: {}\r\nProxy-Authorization: Basic {}\r\nContent-Type: text/plain\r\n\
         Content-Length: 5\r\nConnection: close\r\n\r\nhello",
        host.unwrap_or_default(),
        BASE64_STANDARD.encode(decoded.as_bytes())
    )
}

fn send(proxy: &str, call: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(call.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The version that a client prints, or an empty text; `None` if the client is not installed.
pub(super) fn version(client: &ProbedClient, changes: &Changes) -> Option<String> {
    let output = command(client.probe, changes).output().ok()?;
    let words = String::from_utf8_lossy(&output.stdout);
    let version = words.split_whitespace().next_back().filter(|_| client.prints_version);
    output.status.success().then(|| version.unwrap_or_default().to_owned())
}

/// Tries one client.
pub(super) fn check_client(
    client: &ProbedClient,
    version: &str,
    upstream: &ProbeUpstream,
    changes: &Changes,
) -> anyhow::Result<CheckResult> {
    let name = format!("{} {version}", client.name).trim_end().to_owned();
    let path = format!("/probe/{}", client.name.replace(|c: char| !c.is_alphanumeric(), "-"));
    // Go never sends names of the loopback through a proxy, so it calls a host that does not exist:
    // the proxy's own answer shows that the call went through it.
    let url = if client.route == ProxyRoute::NeverLoopback {
        format!("http://doctor.invalid{path}")
    } else {
        upstream.url(&path)
    };
    let folder = private_folder::create()?;
    let output = run_client(client, &folder, &url, changes)?;
    let (through, around) = upstream.hits(&path);
    let refused =
        output.contains("urn:openclaw-state-engine:") && client.route == ProxyRoute::NeverLoopback;
    if (through > 0 || refused) && around == 0 {
        return Ok(CheckResult::ok(name, "goes through"));
    }
    let why = if around > 0 {
        "goes around the engine, unguarded".to_owned()
    } else {
        let line = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no output");
        format!("does not get through: {}", line.trim())
    };
    Ok(CheckResult::bad(client.otherwise, name, why, client.remedy))
}

/// Starts a client with a call to `url`; returns its output. Kills it if it takes too long.
fn run_client(
    client: &ProbedClient,
    folder: &TempDir,
    url: &str,
    changes: &Changes,
) -> anyhow::Result<String> {
    let file = folder.path().join(client.file.unwrap_or("unused"));
    if client.file.is_some() {
        std::fs::write(&file, client.source)?;
    }
    let words: Vec<String> = client
        .call
        .iter()
        .map(|word| match *word {
            "URL" => url.to_owned(),
            "FILE" => file.display().to_string(),
            "SOURCE" => client.source.to_owned(),
            word => word.to_owned(),
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let log = std::fs::File::create(folder.path().join("said"))?;
    let mut command = command(&words, changes);
    command.current_dir(folder.path()).stdout(log.try_clone()?).stderr(log);
    wait(command.spawn()?)?;
    let output = std::fs::read(folder.path().join("said"))?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn wait(mut child: Child) -> std::io::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break;
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn command(words: &[&str], changes: &Changes) -> Command {
    let mut command = Command::new(words.first().copied().unwrap_or_default());
    command.args(words.get(1..).unwrap_or_default()).stdin(Stdio::null());
    environment::apply(changes, &mut command);
    command
}
