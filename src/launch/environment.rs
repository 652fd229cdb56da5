//! The environment of a guarded program: every variable by which some client finds a proxy or whom
//! it trusts. All of them are set or unset; one that is left over would lead around the engine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::credentials::Credentials;
use super::trust::Trust;
use super::variables::{Variables, no_proxy};
use crate::config::{env, settings};

/// What a guarded program is told.
pub(crate) struct Wanted<'a> {
    /// `HOST:PORT`.
    pub(crate) proxy: &'a str,
    pub(crate) credentials: &'a Credentials,
    pub(crate) api: &'a str,
    pub(crate) session: &'a str,
    pub(crate) run: &'a str,
    pub(crate) database: &'a Path,
    /// The state API's token; `None`: the program is not to have it.
    pub(crate) api_token: Option<&'a str>,
    /// `None`: nothing is intercepted, and nobody needs to trust us.
    pub(crate) trust: Option<&'a Trust>,
    /// The port, as `HOST:PORT`, that Java's clients are to use.
    pub(crate) java: Option<&'a str>,
    /// From [`node_warns`].
    pub(crate) node_warns: bool,
}

/// What becomes of each variable; `None` unsets it.
pub(crate) type Changes = BTreeMap<String, Option<OsString>>;

/// Read by clients for one scheme each. curl reads `http_proxy` in lower case only.
const PROXY: [&str; 4] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];

/// Would lead around the engine, or lead it astray: what they name is the engine's way out.
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

/// Are added to the roots of the clients that read them.
const EXTRA: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Makes Node 22 and 24 quiet about `NODE_USE_ENV_PROXY`.
const NODE_QUIET: &str = "--disable-warning=UNDICI-EHPA";

/// The Node on PATH knows [`NODE_QUIET`] and needs it. An older one refuses to start with it.
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

/// What is to be changed of `inherited` so that a program's calls go through the engine.
pub(crate) fn changes(wanted: &Wanted<'_>, inherited: &Variables) -> Changes {
    let mut changes = Changes::new();
    let mut set = |name: &str, value: Option<OsString>| changes.insert(name.to_owned(), value);
    let url = wanted.credentials.url(wanted.proxy);
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
    if wanted.node_warns {
        set("NODE_OPTIONS", Some(appended(inherited, "NODE_OPTIONS", NODE_QUIET).into()));
    }
    set(env::URL, Some(wanted.api.into()));
    set(env::SESSION, Some(wanted.session.into()));
    set(env::RUN, Some(wanted.run.into()));
    set(settings::DATABASE.variable(), Some(wanted.database.into()));
    // The API settles what is in doubt: that is not for the program whose calls are guarded.
    set(settings::TOKEN.variable(), wanted.api_token.map(Into::into));
    if let Some(trust) = wanted.trust {
        for name in BUNDLE {
            set(name, Some(trust.bundle().into()));
        }
        for name in EXTRA {
            set(name, Some(trust.extra().into()));
        }
        // curl prefers it to SSL_CERT_FILE, and our CA is not in there.
        set("SSL_CERT_DIR", None);
        // uv brings its own roots unless it is told to use the system's.
        for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
            set(name, Some("1".into()));
        }
    }
    if let Some(port) = wanted.java {
        let options = appended(inherited, "JAVA_TOOL_OPTIONS", &java(port, wanted.trust));
        set("JAVA_TOOL_OPTIONS", Some(options.into()));
    }
    changes
}

/// Changes what a program that is to be started inherits.
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

/// Java reads no variable but this one. It sends no credentials that stand here.
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
