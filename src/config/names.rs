//! What each setting is called: in the file, on the command line, in the environment.

use super::env;
use super::layers::Named;

const fn named(name: &'static str, id: &'static str, variable: &'static str) -> Named {
    Named { name, id, variable }
}

/// A setting of the file alone.
const fn in_file(name: &'static str) -> Named {
    named(name, "", "")
}

pub(super) const ADDR: Named = named("server.addr", "addr", env::ADDR);
pub(super) const DATABASE: Named = named("server.database", "database", env::DATABASE);
pub(super) const TOKEN: Named = named("server.token", "token", env::TOKEN);
pub(super) const ALLOW_HOST: Named = named("server.allow_host", "allow_host", env::ALLOW_HOST);
pub(super) const ALLOW_ORIGIN: Named =
    named("server.allow_origin", "allow_origin", env::ALLOW_ORIGIN);
pub(super) const LOG_FORMAT: Named = named("server.log_format", "log_format", env::LOG_FORMAT);
pub(super) const DRAIN: Named = named("server.drain", "drain", env::DRAIN);
pub(super) const ENABLED: Named = named("proxy.enabled", "no_proxy", env::NO_PROXY);
pub(super) const PROXY_ADDR: Named = named("proxy.addr", "proxy_addr", env::PROXY_ADDR);
pub(super) const MAX_REQUEST: Named = named("proxy.max_request", "max_request", env::MAX_REQUEST);
pub(super) const MAX_WAIT: Named = named("proxy.max_wait", "max_wait", env::MAX_WAIT);
pub(super) const PASS: Named = named("proxy.pass", "pass", env::PASS);
pub(super) const REQUIRE_TOKEN: Named =
    named("proxy.require_token", "require_token", env::REQUIRE_TOKEN);
pub(super) const UPSTREAM_PROXY: Named =
    named("proxy.upstream_proxy", "upstream_proxy", env::UPSTREAM_PROXY);
pub(super) const UPSTREAM_DIRECT: Named =
    named("proxy.upstream_direct", "upstream_direct", env::UPSTREAM_DIRECT);
pub(super) const INTERCEPT: Named = named("proxy.intercept.hosts", "intercept", env::INTERCEPT);
pub(super) const UPSTREAM_CA: Named = named("proxy.upstream_ca", "upstream_ca", env::UPSTREAM_CA);
pub(super) const READS_TABLE: Named = in_file("proxy.reads_table");
pub(super) const KEYED_TABLE: Named = in_file("proxy.keyed_table");
pub(super) const REFUSE_LOOPBACK: Named = in_file("proxy.refuse_loopback");
pub(super) const REFUSE_PRIVATE: Named = in_file("proxy.refuse_private");
pub(super) const CONNECT_PORTS: Named = in_file("proxy.connect_ports");
pub(super) const MCP_TRUST: Named = in_file("mcp.trust");
