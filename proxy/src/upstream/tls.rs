//! TLS to upstreams: the platform's roots, and files of further ones for some hosts. Verification
//! cannot be switched off.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use proxy_core::error::Error;
use proxy_core::http::address::without_brackets;
use proxy_core::http::host_pattern::HostPattern;
use proxy_core::http::target::Authority;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use store::call::Sent;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::SetupError;
use crate::tls::{self, HTTP1, HTTP2};
use crate::upstream::wire::{CountedStream, Sharing};

/// A file of certificates, for all hosts or some.
#[derive(Debug, Clone)]
pub struct UpstreamCa {
    /// `None`: all hosts.
    pub hosts: Option<HostPattern>,
    /// PEM, one certificate or more.
    pub file: PathBuf,
}

/// Opens TLS connections to upstreams.
#[derive(Debug)]
pub(crate) struct UpstreamTls {
    provider: Arc<CryptoProvider>,
    extra: Vec<(Option<HostPattern>, Vec<CertificateDer<'static>>)>,
    /// The certificate of our own CA. Never trusted, even among the platform's roots: what it signs
    /// is for our clients.
    own: Option<CertificateDer<'static>>,
    platform: OnceLock<RootCertStore>,
    /// By the indices of the files that apply to a host.
    configs: Mutex<HashMap<Vec<usize>, HostConfigs>>,
}

#[derive(Debug, Clone)]
struct HostConfigs {
    either: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl UpstreamTls {
    /// Reads the files of `extra`. `own`: the certificate of our own CA, if there is one.
    pub(crate) fn new(
        extra: &[UpstreamCa],
        own: Option<CertificateDer<'static>>,
    ) -> Result<Self, SetupError> {
        let extra = extra.iter().map(|ca| Ok((ca.hosts.clone(), read(ca)?)));
        Ok(Self {
            provider: tls::provider(),
            extra: extra.collect::<Result<_, SetupError>>()?,
            own,
            platform: OnceLock::new(),
            configs: Mutex::default(),
        })
    }

    /// The handshake, within `limit`. Every failure means that nothing of a request was sent.
    pub(crate) async fn connect(
        &self,
        stream: CountedStream,
        authority: &Authority,
        sharing: Sharing,
        limit: Duration,
    ) -> Result<TlsStream<CountedStream>, Error> {
        let failed = |detail: String| Error::Upstream { detail, sent: Sent::Never };
        let name = server_name(authority)
            .ok_or_else(|| failed(format!("{} cannot have a certificate", authority.host)))?;
        let configs = self.configs(authority).map_err(|error| {
            tracing::error!(%error, "TLS cannot be set up");
            Error::Internal
        })?;
        let config = match sharing {
            Sharing::Exclusive => configs.http1,
            Sharing::Allowed | Sharing::Alone => configs.either,
        };
        match timeout(limit, TlsConnector::from(config).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(explain(authority, &error))),
            Err(_) => Err(Error::UpstreamTimeout {
                detail: format!("no TLS with {authority} after {} s", limit.as_secs()),
                sent: Sent::Never,
            }),
        }
    }

    fn configs(&self, authority: &Authority) -> Result<HostConfigs, rustls::Error> {
        let counts = |hosts: &Option<HostPattern>| {
            hosts.as_ref().is_none_or(|hosts| hosts.matches(authority))
        };
        let files: Vec<usize> =
            (0..self.extra.len()).filter(|n| counts(&self.extra[*n].0)).collect();
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(configs) = configs.get(&files) {
            return Ok(configs.clone());
        }
        let mut roots = self.platform().clone();
        for n in &files {
            roots.add_parsable_certificates(self.extra[*n].1.iter().cloned());
        }
        self.distrust_own(&mut roots);
        let config = |protocols: &[&[u8]]| {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        let configs_for_host =
            HostConfigs { either: config(&[HTTP2, HTTP1])?, http1: config(&[HTTP1])? };
        configs.insert(files, configs_for_host.clone());
        Ok(configs_for_host)
    }

    /// The platform's roots, read when they are first needed. Most engines never speak TLS.
    fn platform(&self) -> &RootCertStore {
        self.platform.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "some of the platform's certificates cannot be read");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                tracing::warn!("the platform has no root certificates: install ca-certificates");
            }
            roots
        })
    }

    fn distrust_own(&self, roots: &mut RootCertStore) {
        let own = self.own.as_ref().and_then(anchor_key);
        if let Some(own) = own {
            roots.roots.retain(|root| root.subject_public_key_info.as_ref() != own);
        }
    }
}

/// The public key of a certificate, as a trust anchor holds it.
fn anchor_key(certificate: &CertificateDer<'static>) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    roots.roots.first().map(|root| root.subject_public_key_info.as_ref().to_vec())
}

fn read(ca: &UpstreamCa) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let unusable = |why: String| {
        SetupError(format!("{} is not a PEM file of certificates: {why}", ca.file.display()))
    };
    let text = std::fs::read(&ca.file).map_err(|error| unusable(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.iter().cloned());
    if usable == 0 {
        return Err(unusable("it has no usable certificate".to_owned()));
    }
    Ok(found)
}

/// The name that the certificate must be for.
fn server_name(authority: &Authority) -> Option<ServerName<'static>> {
    let host = &authority.host;
    ServerName::try_from(without_brackets(host).to_owned()).ok()
}

fn explain(authority: &Authority, error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let remedy = match cause {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; add a private CA with --upstream-ca FILE"
        }
        _ => "",
    };
    format!("no trusted TLS with {authority}: {error}{remedy}; nothing was sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let name = |host: &str| {
            server_name(&Authority::new(host, 443)).map(|name| name.to_str().into_owned())
        };
        assert_eq!(name("api.example.com.").as_deref(), Some("api.example.com"));
        assert_eq!(name("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(name("[::1]").as_deref(), Some("::1"));
        assert_eq!(name("a_b.example").as_deref(), Some("a_b.example"));
        assert_eq!(name("a/b"), None);
    }
}
