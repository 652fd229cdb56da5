//! How requests are treated.

use crate::http::host_pattern::HostPattern;
use crate::http::route::Route;
use crate::policy::rule::Rule;

/// How requests are treated. May change while a proxy runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Hosts whose requests are passed on unguarded, and audited.
    pub pass: Vec<HostPattern>,
    /// Use the shipped table of POSTs that only read.
    pub reads_table: bool,
    /// Use the shipped table of upstreams that honour idempotency keys.
    pub keyed_table: bool,
    /// The first rule that matches a request decides.
    pub rules: Vec<Rule>,
    /// Upstreams with a path on the proxy's own port.
    pub routes: Vec<Route>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pass: Vec::new(),
            reads_table: true,
            keyed_table: true,
            rules: Vec::new(),
            routes: Vec::new(),
        }
    }
}
