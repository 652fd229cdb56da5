//! TLS around what speaks in clear: before an upstream, and around a client in a tunnel.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::Client;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Runs on a runtime that the whole test program shares.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.block_on(work)
}

/// A CA that signs what a test says.
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

/// A certificate and its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl TestCa {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // Each has its own name: an unknown CA must not look like a known one.
        let name = format!("a test's own CA {:?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self::of(&pem, key)
    }

    /// One that exists already.
    pub fn from_pem(certificate: &str, key: &str) -> Self {
        Self::of(certificate, KeyPair::from_pem(key).unwrap())
    }

    fn of(pem: &str, key: KeyPair) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        let issuer = Issuer::from_ca_cert_pem(pem, key).unwrap();
        Self { issuer, pem: pem.to_owned(), folder }
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// For names and addresses.
    pub fn sign(&self, names: &[&str]) -> Identity {
        self.sign_until(names, 4000)
    }

    /// The same, good until the year begins.
    pub fn sign_until(&self, names: &[&str], year: i32) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "a test's own leaf");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: leaf.pem(), key: key.serialize_pem() }
    }
}

/// How the server's side of TLS behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// When the server behind it closes, TLS ends with `close_notify`.
    Clean,
    /// The connection is closed without it.
    Cut,
}

impl Identity {
    /// A server's configuration that offers these protocols.
    pub fn server(self, protocols: &[&str]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let leaf = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = config.with_single_cert(vec![leaf], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Listens with TLS before what listens at `behind` in clear, until the test's process ends.
    pub fn before(self, behind: SocketAddr, ending: Ending) -> SocketAddr {
        let acceptor = TlsAcceptor::from(self.server(&["http/1.1"]));
        block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(acceptor.clone(), stream, behind, ending));
                }
            });
            addr
        })
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: tokio::net::TcpStream,
    behind: SocketAddr,
    ending: Ending,
) -> io::Result<()> {
    let mut secured = acceptor.accept(stream).await?;
    let mut plain = tokio::net::TcpStream::connect(behind).await?;
    match ending {
        Ending::Clean => drop(copy_bidirectional(&mut secured, &mut plain).await),
        Ending::Cut => {
            let (mut from_client, mut to_client) = tokio::io::split(secured);
            let (mut from_plain, mut to_plain) = plain.split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_plain) => {}
                _ = tokio::io::copy(&mut from_plain, &mut to_client) => to_client.flush().await?,
            }
        }
    }
    Ok(())
}

/// A TLS client that trusts one CA; it remembers its sessions.
#[derive(Clone)]
pub struct Trusting(Arc<ClientConfig>);

impl Trusting {
    /// `pem`: the CA. `protocols`: what it offers.
    pub fn new(pem: &str, protocols: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// TLS with `name` over a connection, a tunnel's say.
    pub async fn secure(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }

    /// A client that speaks in clear, around which is TLS with `name`, through a tunnel to
    /// `authority`. `fields` are the CONNECT's.
    pub fn tunnel(
        &self,
        proxy: SocketAddr,
        authority: &str,
        name: &str,
        fields: &str,
    ) -> io::Result<(Client, HandshakeKind)> {
        let (client, head) = Client::tunnel(proxy, authority, fields)?;
        if !head.line.contains(" 200") {
            return Err(io::Error::other(head.line));
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let inner = Client::connect(listener.local_addr()?)?;
        let (outer, _) = listener.accept()?;
        block_on(async {
            let mut secured = self.secure(client.wire.stream, name).await?;
            let kind = secured.get_ref().1.handshake_kind().unwrap();
            outer.set_nonblocking(true)?;
            let mut outer = tokio::net::TcpStream::from_std(outer)?;
            tokio::spawn(async move { copy_bidirectional(&mut outer, &mut secured).await });
            Ok((inner, kind))
        })
    }
}

/// The text of a file.
pub fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
