//! TLS on both sides: to upstreams, always verified, and to clients of intercepted hosts.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// What ALPN calls HTTP/2 (RFC 9113, 3.2).
pub(crate) const HTTP2: &[u8] = b"h2";
/// What ALPN calls HTTP/1.1 (RFC 7301).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// The only provider of this program. Named each time, so that no other crate's default applies.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
