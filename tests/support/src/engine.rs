//! The engine as a process: started, asked, killed, started again on the same store.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Request, Response};
use crate::gate::wait_until;

/// How an engine is started; kept, so that it can be started again.
#[derive(Clone)]
pub struct Builder {
    binary: PathBuf,
    home: Arc<TempDir>,
    database: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Builder {
    /// With an empty store in a folder that goes with the last engine of it.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let home = Arc::new(TempDir::new().unwrap());
        let database = home.path().join("store").join("engine.db");
        Self { binary: binary.into(), home, database, args: Vec::new(), env: Vec::new() }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name.as_ref());
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Uses this database instead of the one in its folder.
    #[must_use]
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = path.into();
        self
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn database_path(&self) -> &Path {
        &self.database
    }

    /// Starts it and waits until both listeners are open.
    pub fn start(&self) -> Engine {
        self.try_start().unwrap_or_else(|(status, log)| panic!("{status}\n{log}"))
    }

    /// As [`Self::start`]; the status and the log, if it ends first.
    pub fn try_start(&self) -> Result<Engine, (ExitStatus, String)> {
        let log = self.home.path().join("engine.log");
        let log_before = fs::read(&log).map_or(0, |log| log.len());
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = self
            .command()
            .arg("serve")
            .arg("--database")
            .arg(&self.database)
            .args(["--addr", "127.0.0.1:0", "--proxy-addr", "127.0.0.1:0"])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let found = wait_until("the engine opens its listeners", || {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Err((status, fs::read_to_string(&log).unwrap_or_default())));
            }
            // The files beside the database are named after the path that all links lead to.
            let database = fs::canonicalize(&self.database).ok()?;
            let lock = format!("{}.lock", database.display());
            let holder: Value = serde_json::from_str(&fs::read_to_string(&lock).ok()?).ok()?;
            if holder["pid"] != child.id() {
                return None;
            }
            let api = address(holder["api"].as_str()?)?;
            let proxy = if self.args.iter().any(|arg| arg == "--no-proxy") {
                api
            } else {
                let output = fs::read(&log).ok()?.split_off(log_before);
                let output = String::from_utf8_lossy(&output).into_owned();
                let line = output.lines().find_map(|line| line.strip_prefix("Proxy "))?.trim();
                address(line.split(' ').next()?)?
            };
            Some(Ok((api, proxy)))
        });
        let (api, proxy) = found?;
        Ok(Engine { child, api, proxy, log, builder: self.clone() })
    }

    /// A verb of the CLI, with its output.
    pub fn cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.command().args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// The binary, in an environment without proxies and with its own home folder.
    pub fn command(&self) -> Command {
        let mut command = crate::command(&self.binary);
        command.env("HOME", self.home.path()).env("XDG_DATA_HOME", self.home.path().join("data"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A JSON-RPC error as it came.
#[derive(Debug, Clone)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Value,
}

/// A running engine; dropping it kills it.
pub struct Engine {
    child: Child,
    /// Where the state API listens.
    pub api: SocketAddr,
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    log: PathBuf,
    builder: Builder,
}

impl Engine {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    /// The certificate that clients of intercepted hosts are to trust, as the engine gives it out.
    pub fn ca_pem(&self) -> String {
        let answer = self.http(&Request::get(&format!("http://{}/ca.pem", self.api)));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/pem-certificate-chain"));
        answer.text()
    }

    /// What it and its predecessors on this store wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(mut self) -> Builder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.builder.clone()
    }

    /// SIGKILL and a new start on the same store, at other ports.
    #[must_use]
    pub fn kill_and_restart(self) -> Self {
        self.kill().start()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// Waits until the process has ended by itself.
    pub fn wait(mut self) -> (ExitStatus, Builder) {
        let status = wait_until("the engine ends", || self.child.try_wait().unwrap());
        (status, self.builder.clone())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a request straight to the host in its URL.
    pub fn http(&self, request: &Request) -> Response {
        let mut client = Client::connect(self.api).unwrap();
        client.write(request.to_origin()).unwrap();
        client.answer(&request.method).unwrap()
    }

    /// A JSON-RPC call; the answer's text as it came.
    pub fn try_rpc_text(&self, body: &str) -> std::io::Result<Response> {
        let url = format!("http://{}/", self.api);
        let request = Request::post_json(&url, body).header("Connection", "close");
        let mut client = Client::connect(self.api)?;
        client.write(request.to_origin())?;
        client.answer("POST")
    }

    pub fn try_rpc(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.try_rpc_text(&call.to_string()).unwrap().json();
        if answer["error"].is_null() {
            return Ok(answer["result"].clone());
        }
        let error = &answer["error"];
        Err(RpcError {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            data: error["data"].clone(),
        })
    }

    #[track_caller]
    pub fn rpc(&self, method: &str, params: &Value) -> Value {
        self.try_rpc(method, params).unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
    }

    /// A user, its session and a goal in it: the ids that a tool call names.
    pub fn goal(&self, username: &str) -> (String, String, String) {
        let id = |entity: &Value| entity["id"].as_str().unwrap().to_owned();
        let user = id(&self.rpc("create_user", &json!({"username": username})));
        let session = id(&self.rpc("create_session", &json!({"user_id": user})));
        let goal = json!({"user_id": user, "session_id": session, "title": "a goal"});
        let goal = id(&self.rpc("create_goal", &goal));
        (user, session, goal)
    }

    /// All executions that match, oldest first.
    pub fn executions(&self, filter: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        let mut params = filter.clone();
        params["limit"] = json!(100);
        loop {
            let page = self.rpc("list_executions", &params);
            let items = ["executions", "items"]
                .iter()
                .find_map(|name| page[*name].as_array())
                .or_else(|| page.as_array())
                .unwrap_or_else(|| panic!("no list: {page}"));
            found.extend(items.iter().cloned());
            let cursor = [&page["next_cursor"], &page["cursor"], &page["next"]]
                .into_iter()
                .find(|cursor| cursor.is_string());
            match cursor {
                Some(cursor) => params["cursor"] = cursor.clone(),
                None => break,
            }
        }
        found.sort_by_key(|one| one["id"].as_str().unwrap_or_default().to_owned());
        found
    }

    /// What the proxy has claimed.
    pub fn proxied(&self) -> Vec<Value> {
        self.executions(&json!({"origin": "proxy"}))
    }

    /// `/metrics`.
    pub fn metrics(&self) -> String {
        self.http(&Request::get(&format!("http://{}/metrics", self.api))).text()
    }

    /// The sum of all samples of a metric whose labels contain each of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.metrics()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Sends a request through the proxy, on a new connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        request.via(self.proxy)
    }

    /// Sends a POST of text through the proxy.
    #[track_caller]
    pub fn post(&self, url: &str, body: &str) -> Response {
        self.send(&Request::post(url, body))
    }

    /// A member of `/proc/PID/status`, in KiB.
    pub fn memory_kib(&self, member: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(member)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// What still lies in the store's folder.
    pub fn files(&self) -> Vec<(String, u64)> {
        crate::files(self.builder.database.parent().unwrap())
    }
}

fn address(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.trim_end_matches('/').parse().ok()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), &log.as_bytes()[from..]);
        }
    }
}
