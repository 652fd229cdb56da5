//! The settings of the API and the proxy, from the configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use store::Store;

use super::listeners::{open_files, url};
use crate::config::{self, Config};
use crate::{api, ca};

pub(super) fn api_settings(config: &Config, addr: SocketAddr) -> api::ApiSettings {
    api::ApiSettings {
        port: addr.port(),
        address: Some(addr.ip()).filter(|address| !address.is_unspecified()),
        allow_hosts: config.api.allow_hosts.clone(),
        allow_origins: config.api.allow_origins.clone(),
        token: config.api.token.clone(),
    }
}

pub(super) fn proxy_settings(
    config: &Config,
    store: &Store,
    api: SocketAddr,
    addr: SocketAddr,
    metrics: api::Metrics,
) -> anyhow::Result<proxy::Config> {
    // Beside the database: that disk is known to be large and private.
    let folder = match config.database.path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => ".".into(),
    };
    let mut settings = proxy::Config::new(store.clone(), addr, api, folder);
    let config::ProxyConfig { upstream, .. } = &config.proxy;
    settings.settings.clone_from(&config.proxy.calls);
    settings.mcp_trust.clone_from(&config.proxy.mcp_trust);
    settings.access.upstream_proxy.clone_from(&upstream.proxy);
    settings.access.refuse_loopback = upstream.refuse_loopback;
    settings.access.refuse_private = upstream.refuse_private;
    settings.access.connect_ports.clone_from(&upstream.connect_ports);
    settings.access.require_token = config.proxy.require_token;
    settings.tls.intercept.clone_from(&config.proxy.intercept);
    settings.tls.upstream_ca.clone_from(&upstream.trusted);
    if !config.proxy.intercept.is_empty() {
        settings.tls.ca = ca::CaFiles::beside(&config.database.path).load()?;
    }
    settings.limits.max_request = config.proxy.max_request;
    settings.limits.max_tunnels = settings.limits.max_tunnels.min(tunnels_of(open_files()));
    settings.own.confirm_base = url(addr);
    settings.timeouts.drain = config.drain;
    settings.timeouts.max_wait = config.proxy.max_wait;
    settings.timeouts.tunnel_idle = config.proxy.tunnel_idle;
    settings.timeouts.silence = config.proxy.silence;
    settings.timeouts.late = config.proxy.late;
    settings.observer = Arc::new(move |seen| {
        metrics.record_proxied(seen.outcome, seen.duration, seen.upstream);
    });
    Ok(settings)
}

/// How many tunnels `files` descriptors are for: calls and the store keep half of them, or 1,024.
fn tunnels_of(files: u64) -> usize {
    let reserve = (files / 2).min(1_024);
    usize::try_from((files - reserve) / 2).unwrap_or(usize::MAX)
}
