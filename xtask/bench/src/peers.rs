//! Other programs for the same job, installed and started for one run.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use testkit::{Request, Trusting};

use super::clients::Clients;
use super::load::{Expect, Numbers, PLACE, Shape, Tunnel};
use super::rows::{Effects, Load, Row};
use super::servers::Upstream;

const MITMPROXY: &str = "mitmproxy==11.0.2";

/// A started peer. Dropping it ends its processes.
pub(super) struct Peer {
    pub(super) rows: Vec<Row>,
    children: Vec<Child>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the peers that this machine can run. Also returns the others, with the reasons.
pub(super) fn start(
    root: &Path,
    upstream: &Upstream,
    clients: &Clients,
) -> (Vec<Peer>, Vec<String>) {
    let mut peers = Vec::new();
    let mut missing = Vec::new();
    let folder = root.join("target/bench");
    for (name, peer) in [
        ("Restate", restate(root, &folder)),
        ("mitmdump", mitmdump(&folder, upstream, clients)),
        ("squid", squid(&folder, upstream, clients)),
    ] {
        match peer {
            Ok(peer) => peers.push(peer),
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    (peers, missing)
}

fn fresh() -> Numbers {
    Numbers::Fresh(Arc::new(AtomicU64::new(1 << 40)))
}

fn restate(root: &Path, folder: &Path) -> anyhow::Result<Peer> {
    let sources = root.join("xtask/bench/peers");
    let home = folder.join("restate");
    fs::create_dir_all(&home)?;
    for file in ["package.json", "package-lock.json", "restate.mjs"] {
        fs::copy(sources.join(file), home.join(file))?;
    }
    let packages = home.join("node_modules/@restatedev");
    if !packages.exists() {
        finish(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&home))?;
    }
    let [ingress, admin, node, service] = [free_addr()?, free_addr()?, free_addr()?, free_addr()?];
    let mut sdk = Command::new(home.join("node_modules/.bin/node"));
    sdk.arg("restate.mjs").env("PORT", service.port().to_string());
    let data = home.join("data");
    let _ = fs::remove_dir_all(&data);
    let mut server = Command::new(restate_server(&packages)?);
    server
        .arg("--base-dir")
        .arg(data)
        .env("RESTATE_INGRESS__BIND_ADDRESS", ingress.to_string())
        .env("RESTATE_ADMIN__BIND_ADDRESS", admin.to_string())
        .env("RESTATE_BIND_ADDRESS", node.to_string())
        .env("DO_NOT_TRACK", "1");
    let mut peer = Peer { rows: Vec::new(), children: Vec::new() };
    for command in [&mut sdk, &mut server] {
        peer.children.push(background(command.current_dir(&home), &home)?);
    }
    for addr in [service, ingress, admin] {
        wait_for(addr)?;
    }
    let deployment = format!("{{\"uri\":\"http://{service}\"}}");
    let registered = Request::post_json(&format!("http://{admin}/deployments"), deployment);
    wait(|| registered.try_via(admin).is_ok_and(|answer| (200..300).contains(&answer.status)))
        .context("Restate did not take the service")?;

    let head = format!("Host: {ingress}\r\nIdempotency-Key: bench-{PLACE}\r\n");
    let call = format!("http://{ingress}/Echo/call");
    let shape = |numbers| {
        let mut shape = Shape::post("/Echo/call", &head, numbers);
        shape.expect = Expect::Echo;
        shape
    };
    // The calls that the duplicates repeat.
    for number in 0..KNOWN {
        let request = shape(Numbers::Below(1)).request.replace(PLACE, &format!("{number:014}"));
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        let answer = Request::post_json(&call, body)
            .key(&format!("bench-{number:014}"))
            .try_via(ingress)
            .context("prime Restate")?;
        ensure!(answer.status == 200, "Restate answered {}", answer.status);
    }
    let row = |name: &str, numbers| Row {
        name: name.to_owned(),
        addr: ingress,
        load: Load::Own(shape(numbers)),
        effects: Effects::None,
    };
    peer.rows =
        vec![row("Restate fresh", fresh()), row("Restate duplicate", Numbers::Below(KNOWN))];
    Ok(peer)
}

/// The program itself, from the package of this platform. A kill of the script in `.bin` would not end it.
fn restate_server(packages: &Path) -> anyhow::Result<PathBuf> {
    fs::read_dir(packages)?
        .flatten()
        .map(|package| package.path().join("bin/restate-server"))
        .find(|program| program.exists())
        .context("npm installed no restate-server for this platform")
}

/// How many calls are stored for the duplicates of a peer.
const KNOWN: u64 = 200;

fn mitmdump(folder: &Path, upstream: &Upstream, clients: &Clients) -> anyhow::Result<Peer> {
    let venv = folder.join("mitmproxy");
    let binary = venv.join("bin/mitmdump");
    if !binary.exists() {
        finish(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/python"));
        finish(pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            MITMPROXY,
        ]))?;
    }
    let addr = free_addr()?;
    let mut command = Command::new(binary);
    command.args([
        "--quiet",
        "--set",
        "flow_detail=0",
        "--listen-host",
        "127.0.0.1",
        "--listen-port",
    ]);
    command
        .arg(addr.port().to_string())
        .arg("--set")
        .arg(format!("confdir={}", venv.join("conf").display()))
        .arg("--set")
        .arg(format!("ssl_verify_upstream_trusted_ca={}", upstream.ca.file().display()));
    let children = vec![background(&mut command, folder)?];
    let rows = proxy_rows("mitmdump", addr, upstream);
    let mut peer = Peer { rows, children };
    wait_for(addr)?;
    let ca = fs::read_to_string(venv.join("conf/mitmproxy-ca-cert.pem"))?;
    peer.rows.extend(secured_rows("mitmdump https", addr, upstream, &ca));
    peer.rows.extend(clients.rows("mitmdump", Some(addr), upstream, false));
    Ok(peer)
}

fn squid(folder: &Path, upstream: &Upstream, clients: &Clients) -> anyhow::Result<Peer> {
    let binary = Path::new("/usr/sbin/squid");
    if !binary.exists() {
        finish(Command::new("apt-get").args([
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "squid",
        ]))
        .context("apt-get install squid")?;
    }
    let addr = free_addr()?;
    let home = folder.join("squid");
    fs::create_dir_all(&home)?;
    // squid drops root's rights, and must write its log and pid file as its own user.
    let mut open = fs::metadata(&home)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o777);
    fs::set_permissions(&home, open)?;
    let config = home.join("squid.conf");
    let shown = home.display();
    fs::write(
        &config,
        format!(
            "http_port {addr}\nhttp_access allow localhost\nhttp_access deny all\ncache deny all\n\
             access_log none\ncache_log {shown}/cache.log\npid_filename {shown}/squid.pid\n\
             coredump_dir {shown}\nshutdown_lifetime 0 seconds\n"
        ),
    )?;
    let mut command = Command::new(binary);
    command.arg("-N").arg("-f").arg(&config);
    let children = vec![background(&mut command, &home)?];
    let mut rows = proxy_rows("squid", addr, upstream);
    rows.extend(secured_rows("squid blind tunnel", addr, upstream, upstream.ca.pem()));
    rows.extend(clients.rows("squid", Some(addr), upstream, false));
    let peer = Peer { rows, children };
    wait_for(addr)?;
    Ok(peer)
}

fn proxy_rows(name: &str, addr: SocketAddr, upstream: &Upstream) -> Vec<Row> {
    let host = format!("Host: {}\r\n", upstream.addr);
    let post = Shape::post(&format!("http://{}/post", upstream.addr), &host, fresh());
    let get = Shape::get(&format!("http://{}/get/{PLACE}", upstream.addr), &host, fresh());
    let row = |kind: &str, shape| Row {
        name: format!("{name} {kind}"),
        addr,
        load: Load::Own(shape),
        effects: Effects::Each,
    };
    vec![row("POST", post), row("GET", get)]
}

/// The same over TLS in a tunnel, to a server with a certificate that `ca` has signed.
fn secured_rows(name: &str, addr: SocketAddr, upstream: &Upstream, ca: &str) -> Vec<Row> {
    let trusting = Trusting::new(ca, &["http/1.1"]);
    let tunnel = Tunnel { host: "localhost", port: upstream.secured.port(), trusting };
    let host = format!("Host: {}\r\n", tunnel.authority());
    let row = |kind: &str, shape: Shape| Row {
        name: format!("{name} {kind}"),
        addr,
        load: Load::Own(shape.inside(&tunnel)),
        effects: Effects::Each,
    };
    vec![
        row("POST", Shape::post("/post", &host, fresh())),
        row("GET", Shape::get(&format!("/get/{PLACE}"), &host, fresh())),
    ]
}

/// An address that was free just now.
fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn background(command: &mut Command, folder: &Path) -> anyhow::Result<Child> {
    let log: PathBuf = folder.join("peer.log");
    let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let shown = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context(shown)
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let shown = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().context(shown.clone())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{shown}: {}: {}", output.status, stderr.lines().last().unwrap_or_default());
    }
    Ok(())
}

fn wait_for(addr: SocketAddr) -> anyhow::Result<()> {
    wait(|| TcpStream::connect(addr).is_ok()).with_context(|| format!("nobody listens at {addr}"))
}

fn wait(mut there: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !there() {
        ensure!(start.elapsed() < Duration::from_mins(1), "waited for a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
