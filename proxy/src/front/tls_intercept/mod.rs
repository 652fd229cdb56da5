//! Which tunnels are intercepted, and TLS with their clients.

pub(crate) mod ca;
pub(crate) mod constraints;
mod leaves;

use std::io;
use std::time::Duration;

use proxy_core::http::address::without_brackets;
use proxy_core::http::host_pattern::{HostName, HostPattern};
use proxy_core::http::target::Authority;
use proxy_core::policy::decide::is_llm_provider;
use quick_cache::sync::Cache;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::SetupError;
use crate::front::tls_intercept::ca::Ca;
use crate::front::tls_intercept::leaves::Leaves;

/// How many hosts are remembered that the log has a hint for.
const HINTED: usize = 1_024;

/// Intercepts the tunnels to the hosts that were opted in.
#[derive(Debug)]
pub(crate) struct Interceptor {
    hosts: Vec<HostPattern>,
    leaves: Leaves,
    hinted: Cache<String, ()>,
}

impl Interceptor {
    /// `None`: nothing is intercepted. Without a `ca` it creates one that lives as long as itself.
    pub(crate) fn new(hosts: &[HostPattern], ca: Option<&Ca>) -> Result<Option<Self>, SetupError> {
        if hosts.is_empty() {
            return Ok(None);
        }
        let ca = match ca {
            Some(ca) => ca.clone(),
            None => Ca::generate(hosts)?,
        };
        if let Some(host) = ca.uncovered(hosts) {
            return Err(SetupError(format!(
                "the CA may not sign for {host}, which is to be intercepted: create one that may \
                 (remove its two files, then run `ca init`), or do not intercept that host"
            )));
        }
        let leaves = Leaves::new(ca)?;
        Ok(Some(Self { hosts: hosts.to_vec(), leaves, hinted: Cache::new(HINTED) }))
    }

    pub(crate) fn ca(&self) -> &Ca {
        self.leaves.ca()
    }

    /// Whether a tunnel to `authority` is intercepted. A provider of language models must be named
    /// itself: a wildcard that happens to match one does not count.
    pub(crate) fn covers(&self, authority: &Authority) -> bool {
        let named = |pattern: &HostPattern| !matches!(pattern.host(), HostName::Under(_));
        self.hosts.iter().any(|pattern| {
            pattern.matches(authority) && (named(pattern) || !is_llm_provider(&authority.host))
        })
    }

    /// The handshake with a client that asked for `authority`. `None`: it failed.
    pub(crate) async fn accept<I>(
        &self,
        client: I,
        authority: &Authority,
        limit: Duration,
    ) -> Option<TlsStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let host = certificate_name(&authority.host);
        let config = match self.leaves.config(host) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, host, "a tunnel cannot be intercepted");
                return None;
            }
        };
        match timeout(limit, TlsAcceptor::from(config).accept(client)).await {
            Ok(Ok(stream)) => {
                let server_name = stream.get_ref().1.server_name();
                if let Some(name) = server_name.filter(|name| !name.eq_ignore_ascii_case(host)) {
                    tracing::info!(
                        host,
                        name,
                        "a client names another host in TLS than in CONNECT"
                    );
                }
                Some(stream)
            }
            Ok(Err(error)) => {
                self.log_failure(host, &error);
                None
            }
            Err(_) => {
                tracing::debug!(host, "a client did not finish its TLS handshake");
                None
            }
        }
    }

    /// Logs a failed handshake, one hint for each host: an agent that retries would fill the log.
    fn log_failure(&self, host: &str, error: &io::Error) {
        if !is_distrust(error) {
            tracing::debug!(host, %error, "TLS with a client failed");
        } else if self.hinted.get(host).is_none() {
            self.hinted.insert(host.to_owned(), ());
            tracing::warn!(
                host,
                %error,
                "a client does not trust the interception CA: give it the certificate that \
                 `ca export` prints, start it with `run`, or do not intercept this host"
            );
        }
    }
}

/// Whether an error is what clients send, or do, that do not trust a certificate.
fn is_distrust(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(alert)) => matches!(
            alert,
            AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::AccessDenied
        ),
        // Some clients close without an alert.
        _ => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

/// The host as certificates name it, without a last dot or brackets.
fn certificate_name(host: &str) -> &str {
    without_brackets(host).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_providers_are_named_or_left_alone() {
        let hosts = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
        let covers = |patterns: &[&str], host: &str| {
            let interceptor = Interceptor::new(&hosts(patterns), None).unwrap().unwrap();
            interceptor.covers(&Authority::new(host, 443))
        };
        assert!(covers(&["*.openai.com"], "tools.openai.com"));
        assert!(!covers(&["*.openai.com"], "api.openai.com"));
        assert!(!covers(&["*.openai.com"], "api.openai.com."));
        assert!(!covers(&["*.azure.com"], "mine.openai.azure.com"));
        assert!(covers(&["api.openai.com"], "api.openai.com"));
        assert!(!covers(&["a.example:8443"], "a.example"));
        assert!(Interceptor::new(&[], None).unwrap().is_none());
    }

    #[test]
    fn a_ca_for_other_hosts_is_refused_with_the_remedy() {
        let ca = Ca::generate(&["a.example".parse().unwrap()]).unwrap();
        let refused = Interceptor::new(&["b.example".parse().unwrap()], Some(&ca));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("b.example") && error.contains("ca init"), "{error}");
    }
}
