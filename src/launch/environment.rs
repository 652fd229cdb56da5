//! The environment of a guarded program: every variable that decides, for some client, which proxy
//! to use or which roots to trust. All are set or unset; one that is left over would bypass the
//! engine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::credentials::Credentials;
use super::trust::Trust;
use super::variables::{Variables, no_proxy};
use crate::config::{env, settings};

/// What the environment of a guarded program names.
pub(crate) struct EnvironmentSpec<'a> {
    /// `HOST:PORT`.
    pub(crate) proxy: &'a str,
    pub(crate) credentials: &'a Credentials,
    pub(crate) api: &'a str,
    pub(crate) session: &'a str,
    pub(crate) run: &'a str,
    pub(crate) database: &'a Path,
    /// The state API's token; `None` if the program must not have it.
    pub(crate) api_token: Option<&'a str>,
    /// `None` if nothing is intercepted, so that nobody needs to trust us.
    pub(crate) trust: Option<&'a Trust>,
    /// The port for Java's clients, as `HOST:PORT`.
    pub(crate) java: Option<&'a str>,
    /// From [`node_warns`].
    pub(crate) node_warns: bool,
}

/// The new value of each variable; `None` unsets it.
pub(crate) type Changes = BTreeMap<String, Option<OsString>>;

/// Clients read each for one scheme. curl reads `http_proxy` in lower case only.
const PROXY: [&str; 4] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];

/// Would bypass or mislead the engine: what they name is its own upstream proxy.
const ALL_PROXY: [&str; 2] = ["all_proxy", "ALL_PROXY"];

/// Replace the roots of the clients that read them.
const BUNDLE: [&str; 13] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CODEX_CA_CERTIFICATE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "BUNDLE_SSL_CA_CERT",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
];

/// Add to the roots of the clients that read them.
const EXTRA: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Makes Node 22 and 24 quiet about `NODE_USE_ENV_PROXY`.
const NODE_QUIET: &str = "--disable-warning=UNDICI-EHPA";

/// Whether the Node on PATH knows [`NODE_QUIET`] and needs it. An older one refuses to start with
/// it.
pub(crate) fn node_warns(inherited: &Variables) -> bool {
    let mut node = Command::new("node");
    node.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
    node.env_remove("NODE_OPTIONS");
    if let Some(path) = inherited.get("PATH") {
        node.env("PATH", path);
    }
    let version = node.output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version);
    let major = version.trim().strip_prefix('v').and_then(|rest| rest.split('.').next());
    major.and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 22)
}

/// The changes to `inherited` that send the calls of a program through the engine.
pub(crate) fn changes(spec: &EnvironmentSpec<'_>, inherited: &Variables) -> Changes {
    let mut changes = Changes::new();
    let mut set = |name: &str, value: Option<OsString>| changes.insert(name.to_owned(), value);
    let url = spec.credentials.url(spec.proxy);
    for name in PROXY {
        set(name, Some(url.as_str().into()));
    }
    for name in ALL_PROXY {
        set(name, None);
    }
    for name in ["no_proxy", "NO_PROXY"] {
        set(name, no_proxy(inherited).map(Into::into));
    }
    set("NODE_USE_ENV_PROXY", Some("1".into()));
    if spec.node_warns {
        set("NODE_OPTIONS", Some(appended(inherited, "NODE_OPTIONS", NODE_QUIET).into()));
    }
    set(env::URL, Some(spec.api.into()));
    set(env::SESSION, Some(spec.session.into()));
    set(env::RUN, Some(spec.run.into()));
    set(settings::DATABASE.variable(), Some(spec.database.into()));
    // The API can settle what is in doubt, which is not for the program whose calls are guarded.
    set(settings::TOKEN.variable(), spec.api_token.map(Into::into));
    if let Some(trust) = spec.trust {
        for name in BUNDLE {
            set(name, Some(trust.bundle().into()));
        }
        for name in EXTRA {
            set(name, Some(trust.extra().into()));
        }
        // curl prefers it to SSL_CERT_FILE, and our CA is not in it.
        set("SSL_CERT_DIR", None);
        // uv uses its own roots unless it is set to use the system's.
        for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
            set(name, Some("1".into()));
        }
    }
    if let Some(port) = spec.java {
        let options = appended(inherited, "JAVA_TOOL_OPTIONS", &java(port, spec.trust));
        set("JAVA_TOOL_OPTIONS", Some(options.into()));
    }
    changes
}

/// Applies the changes to the environment of a command.
pub(crate) fn apply(changes: &Changes, command: &mut Command) {
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

fn appended(inherited: &Variables, name: &str, more: &str) -> String {
    match inherited.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()) {
        Some(value) if value.split_whitespace().any(|word| word == more) => value.to_owned(),
        Some(value) => format!("{value} {more}"),
        None => more.to_owned(),
    }
}

/// Java reads no other variable, and sends no credentials from it.
fn java(port: &str, trust: Option<&Trust>) -> String {
    let (host, port) = port.rsplit_once(':').unwrap_or((port, "80"));
    let proxies = ["http", "https"]
        .map(|scheme| format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"))
        .join(" ");
    let trust = trust.and_then(Trust::java).map_or_else(String::new, |store| {
        let store = store.display();
        format!(" -Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit")
    });
    format!("{proxies} -Dhttp.nonProxyHosts={trust}")
}
