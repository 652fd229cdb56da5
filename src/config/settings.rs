//! Every setting, declared once: name in the file, help, type, flag, variable, default. The flags,
//! the keys of the file, `config show` and the effect of a reload all come from here;
//! `tests/docs.rs` checks the documents against it.
//!
//! To add a setting, add a row here, and a field to the part of [`super::Config`] that reads it.

use std::net::SocketAddr;

use proxy::{EgressProxy, HostPattern, Span};

use super::setting::{Declared, Setting, ValueForm};
use super::values::{FilePath, LogFormat, Port, Size, Token, TrustedCa};

/// The comment of a row is the text of `--help`, which rustdoc would read as links.
macro_rules! settings {
    ($($(#[doc = $help:literal])+
       $id:ident: $type:ty = $name:literal $(.$declares:ident($($what:expr),*))*;)+) => {
        $(pub(crate) const $id: Setting<$type> =
            Setting::new($name, concat!($($help),+))$(.$declares($($what),*))*;)+

        /// In the order of `config show`.
        pub(super) const ALL: &[&Declared] = &[$(&$id.declared),+];
    };
}

settings! {
    /// Address of the state API; beyond the loopback only with --token
    ADDR: SocketAddr = "server.addr"
        .flag("addr", "IP:PORT", "STATE_ENGINE_ADDR").help_order(10)
        .default("127.0.0.1:3030");

    /// Database file [default: openclaw-state-engine/state.db in the user's data folder]
    DATABASE: FilePath = "server.database"
        .flag("database", "FILE", "STATE_ENGINE_DATABASE")
        .form(ValueForm::Path);

    /// Bearer token of the state API; prefer the environment, since other users can see flags
    TOKEN: Token = "server.token"
        .flag("token", "TOKEN", "STATE_ENGINE_TOKEN")
        .form(ValueForm::Number).secret();

    /// Another Host that the state API answers to, besides the names of the loopback; can be
    /// repeated
    ALLOW_HOST: String = "server.allow_host"
        .flag("allow-host", "HOST[:PORT]", "STATE_ENGINE_ALLOW_HOST").help_order(21)
        .list();

    /// Web origin whose pages may use the state API (`null` for a page opened as a file); can be
    /// repeated
    ALLOW_ORIGIN: String = "server.allow_origin"
        .flag("allow-origin", "ORIGIN", "STATE_ENGINE_ALLOW_ORIGIN").help_order(22)
        .list();

    /// Format of the log on stderr
    LOG_FORMAT: LogFormat = "server.log_format"
        .flag("log-format", "FORMAT", "STATE_ENGINE_LOG_FORMAT").help_order(23)
        .form(ValueForm::Word(LogFormat::WORDS)).default("human");

    /// Shutdown grace period for running calls
    DRAIN: Span = "server.drain"
        .flag("drain", "DURATION", "STATE_ENGINE_DRAIN").help_order(24)
        .form(ValueForm::Number).default("30s");

    /// Serve only the state API
    ENABLED: bool = "proxy.enabled"
        .flag("no-proxy", "", "STATE_ENGINE_NO_PROXY").help_order(12)
        .form(ValueForm::SwitchOff).default("true");

    /// Address of the proxy; beyond the loopback only with --require-token
    PROXY_ADDR: SocketAddr = "proxy.addr"
        .flag("proxy-addr", "IP:PORT", "STATE_ENGINE_PROXY_ADDR").help_order(11)
        .default("127.0.0.1:3031");

    /// Largest body of a guarded request: bytes, or 16MiB, 1GiB
    MAX_REQUEST: Size = "proxy.max_request"
        .flag("max-request", "SIZE", "STATE_ENGINE_MAX_REQUEST").help_order(13)
        .form(ValueForm::Number).default("256MiB");

    /// How long a duplicate waits for the answer of the running call
    MAX_WAIT: Span = "proxy.max_wait"
        .flag("max-wait", "DURATION", "STATE_ENGINE_MAX_WAIT").help_order(25)
        .form(ValueForm::Number).default("300s");

    /// How long an answer that did not arrive is remembered: an equal call under another key gets it
    UNDELIVERED_FOR: Span = "proxy.undelivered_for"
        .form(ValueForm::Number).default("600s");

    /// How long a tool may be silent before a call is given up; a rule may say otherwise
    SILENCE: Span = "proxy.silence"
        .form(ValueForm::Number).default("300s");

    /// How long the answer to a call is still waited for, once its tool was silent for too long
    LATE: Span = "proxy.late"
        .form(ValueForm::Number).default("3600s");

    /// Host whose calls are audited and never keyed, such as a local model server; can be repeated
    PASS: HostPattern = "proxy.pass"
        .flag("pass", "HOST[:PORT]", "STATE_ENGINE_PASS").help_order(14)
        .list().reloads();

    /// Accept only calls with proxy credentials SESSION:TOKEN; `token SESSION` prints the token
    REQUIRE_TOKEN: bool = "proxy.require_token"
        .flag("require-token", "", "STATE_ENGINE_REQUIRE_TOKEN").help_order(17)
        .form(ValueForm::Switch).default("false");

    /// Use the built-in table of POSTs that only read
    READS_TABLE: bool = "proxy.reads_table"
        .form(ValueForm::Switch).default("true").reloads();

    /// Use the built-in table of upstreams that honour keys
    KEYED_TABLE: bool = "proxy.keyed_table"
        .form(ValueForm::Switch).default("true").reloads();

    /// Connect to nothing on this machine through the proxy
    REFUSE_LOOPBACK: bool = "proxy.refuse_loopback"
        .form(ValueForm::Switch).default("false");

    /// Connect to nothing in private networks through the proxy
    REFUSE_PRIVATE: bool = "proxy.refuse_private"
        .form(ValueForm::Switch).default("false");

    /// The only ports that tunnels may lead to [default: all]
    CONNECT_PORTS: Port = "proxy.connect_ports"
        .form(ValueForm::Number).list();

    /// How long one end of a tunnel may be silent after the other has closed
    TUNNEL_IDLE: Span = "proxy.tunnel_idle"
        .form(ValueForm::Number).default("300s");

    /// Proxy for outgoing calls: http://[USER:PASSWORD@]HOST:PORT
    UPSTREAM_PROXY: EgressProxy = "proxy.upstream_proxy"
        .flag("upstream-proxy", "URL", "STATE_ENGINE_UPSTREAM_PROXY").help_order(18)
        .form(ValueForm::Number).secret();

    /// Hosts to reach without --upstream-proxy, in the form of `NO_PROXY`
    UPSTREAM_DIRECT: String = "proxy.upstream_direct"
        .flag("upstream-direct", "HOSTS", "STATE_ENGINE_UPSTREAM_DIRECT").help_order(19);

    /// Host (or *.HOST) whose TLS the proxy opens, so that its calls are guarded; its clients must
    /// trust the CA that `ca export` prints; can be repeated
    INTERCEPT: HostPattern = "proxy.intercept.hosts"
        .flag("intercept", "HOST[:PORT]", "STATE_ENGINE_INTERCEPT").help_order(15)
        .list();

    /// File of CA certificates for upstreams, in addition to the system's; HOST= limits it to one
    /// host; can be repeated
    UPSTREAM_CA: TrustedCa = "proxy.upstream_ca"
        .flag("upstream-ca", "[HOST=]FILE", "STATE_ENGINE_UPSTREAM_CA").help_order(16)
        .list();

    /// MCP servers whose hints about their tools are trusted
    MCP_TRUST: String = "mcp.trust"
        .list();
}

pub(super) const CONFIG: Setting<FilePath> = Setting::new(
    "",
    "Configuration file [default: openclaw-state-engine.toml here, else in the user's config folder]",
)
.flag("config", "FILE", "STATE_ENGINE_CONFIG")
.form(ValueForm::Path);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_sound() {
        let names: BTreeSet<_> = ALL.iter().map(|declared| declared.name).collect();
        assert_eq!(names.len(), ALL.len(), "two rows of one name");
        for declared in ALL {
            assert!(declared.name.contains('.'), "{} is in no table", declared.name);
            if let Some(default) = declared.default {
                let shown = (declared.by_type.shown)(default, None);
                assert_eq!(shown.as_deref(), Ok(default), "{}", declared.name);
            }
            let switch = matches!(declared.form, ValueForm::Switch | ValueForm::SwitchOff);
            assert!(!switch || declared.default.is_some(), "{} has no default", declared.name);
            if let Some(flag) = declared.flag {
                let upper = flag.name.to_ascii_uppercase().replace('-', "_");
                assert_eq!(flag.variable, format!("STATE_ENGINE_{upper}"));
                assert!(!declared.help.trim().is_empty(), "{} has no help", flag.name);
            }
        }
    }
}
