//! The certificate authority of interception. What it signs is valid only for the hosts that were
//! opted in.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use proxy_core::http::host_pattern::HostPattern;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use store::{Clock as _, SystemClock};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::error::SetupError;
use crate::front::tls_intercept::constraints::{self, Constraints};

/// How long a CA is valid.
const CA_VALIDITY: Duration = Duration::days(730);
/// How long a leaf certificate is valid.
pub(super) const LEAF_VALIDITY: Duration = Duration::days(7);
/// How far a client's clock may be behind.
const SKEW: Duration = Duration::days(1);

/// The longest common name, in characters (RFC 5280, appendix A.1).
const LONGEST_NAME: usize = 63;

/// Signs leaf certificates for intercepted hosts. Its own certificate has critical name
/// constraints: a client that trusts it trusts it for those hosts only, and a stolen key is good
/// for no others.
///
/// The key is only in memory unless [`Ca::key_pem`] is written somewhere. Clone is cheap.
#[derive(Clone)]
pub struct Ca(Arc<CaParts>);

struct CaParts {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    constraints: Constraints,
    not_after: OffsetDateTime,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("constraints", &self.0.constraints).finish_non_exhaustive()
    }
}

impl Ca {
    /// Creates a CA, P-256, valid for `hosts`. Their ports do not count: certificates have none. A
    /// pattern `*.HOST` lets it sign for `HOST` itself too, which constraints cannot exclude.
    pub fn generate(hosts: &[HostPattern]) -> Result<Self, SetupError> {
        let failed = |error: rcgen::Error| SetupError(format!("cannot create a CA: {error}"));
        let key = KeyPair::generate().map_err(failed)?;
        let now = now();
        let mut params = CertificateParams::default();
        params.not_before = now - SKEW;
        params.not_after = now + CA_VALIDITY;
        params.distinguished_name = DistinguishedName::new();
        // Two CAs must not have the same name: clients would try the wrong key.
        let name = Uuid::now_v7().simple().to_string();
        let name = format!("openclaw-state-engine interception {}", &name[name.len() - 12..]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints::for_hosts(hosts));
        let certificate = params.self_signed(&key).map_err(failed)?;
        Self::new(certificate.pem(), certificate.der().clone(), key)
    }

    /// Reads what [`Ca::pem`] and [`Ca::key_pem`] returned. Refuses a certificate and a key that do
    /// not match, have no name constraints, or have expired.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, SetupError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| SetupError(format!("the CA's certificate: {error}")))?;
        let key = KeyPair::from_pem(key)
            .map_err(|error| SetupError(format!("the CA's private key: {error}")))?;
        Self::new(certificate.to_owned(), der, key)
    }

    fn new(
        pem: String,
        certificate: CertificateDer<'static>,
        key: KeyPair,
    ) -> Result<Self, SetupError> {
        let facts = constraints::read(&certificate)?;
        if facts.public_key != key.public_key_raw() {
            return Err(SetupError("the CA's certificate and key do not match".to_owned()));
        }
        if facts.not_after <= now() {
            return Err(SetupError(format!("the CA has expired at {}", facts.not_after)));
        }
        let (constraints, not_after) = (facts.constraints, facts.not_after);
        if constraints.is_empty() {
            return Err(SetupError(
                "the CA has no name constraints: it could sign for every host".to_owned(),
            ));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| SetupError(format!("the CA's certificate: {error}")))?;
        Ok(Self(Arc::new(CaParts { issuer, certificate, pem, constraints, not_after })))
    }

    /// Its certificate, for clients to trust.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// Its private key, for a file that only its owner can read.
    pub fn key_pem(&self) -> String {
        self.0.issuer.key().serialize_pem()
    }

    /// The first of `hosts` that it may not sign for.
    pub fn uncovered<'a>(&self, hosts: &'a [HostPattern]) -> Option<&'a HostPattern> {
        hosts.iter().find(|host| !self.0.constraints.permit(host.host()))
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.certificate.clone()
    }

    /// A certificate for `host`, which is a name without its last dot or an address without
    /// brackets, and a key that only this certificate has.
    pub(super) fn issue(
        &self,
        host: &str,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
        let key = KeyPair::generate()?;
        let now = now();
        let mut params = CertificateParams::default();
        params.not_before = now - SKEW;
        params.not_after = (now + LEAF_VALIDITY).min(self.0.not_after);
        params.distinguished_name = DistinguishedName::new();
        let name = if host.len() <= LONGEST_NAME { host } else { "intercepted host" };
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into()?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.0.issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((leaf.der().clone(), key.into()))
    }
}

fn now() -> OffsetDateTime {
    let seconds = SystemClock.now().as_micros() / 1_000_000;
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

    use super::*;

    fn parsed(der: &[u8]) -> X509Certificate<'_> {
        X509Certificate::from_der(der).unwrap().1
    }

    /// The key that signed it, and its own key, as identifiers.
    fn identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let (mut issuer, mut own) = (None, None);
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    issuer = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
                _ => {}
            }
        }
        (issuer, own)
    }

    #[test]
    fn a_leaf_has_a_key_of_its_own_for_a_week_and_names_the_key_that_signed_it() {
        let ca = Ca::generate(&["a.example".parse().unwrap()]).unwrap();
        let of_ca = ca.certificate();
        let (leaf, key) = ca.issue("a.example").unwrap();
        let (other, _) = ca.issue("a.example").unwrap();
        let (of_ca, leaf, other) = (parsed(&of_ca), parsed(&leaf), parsed(&other));
        let (signed_by, _) = identifiers(&leaf);
        assert!(signed_by.is_some());
        assert_eq!(signed_by, identifiers(&of_ca).1);

        let public = |certificate: &X509Certificate<'_>| {
            certificate.public_key().subject_public_key.data.to_vec()
        };
        let PrivateKeyDer::Pkcs8(key) = key else { panic!("another form") };
        assert_eq!(public(&leaf), KeyPair::try_from(&key).unwrap().public_key_raw());
        assert_ne!(public(&leaf), public(&of_ca));
        assert_ne!(public(&leaf), public(&other));

        let validity = leaf.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        assert_eq!(to - from, (LEAF_VALIDITY + SKEW).whole_seconds());
        assert_eq!(LEAF_VALIDITY, Duration::days(7));
        let now = now().unix_timestamp();
        assert!((from..to).contains(&now));
    }

    #[test]
    fn a_leaf_does_not_outlive_its_ca() {
        let ca = Ca::generate(&["a.example".parse().unwrap()]).unwrap();
        let inner = Arc::into_inner(ca.0).unwrap();
        let soon = OffsetDateTime::from_unix_timestamp(now().unix_timestamp() + 60).unwrap();
        let ca = Ca(Arc::new(CaParts { not_after: soon, ..inner }));
        let (leaf, _) = ca.issue("a.example").unwrap();
        let not_after = parsed(&leaf).validity().not_after.timestamp();
        assert_eq!(not_after, soon.unix_timestamp());
    }
}
