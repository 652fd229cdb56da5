//! The name constraints of a CA's certificate.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proxy_core::http::host_pattern::{HostName, HostPattern};
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::extensions::{self, GeneralName};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::SetupError;

/// A name that no host has (RFC 6761, 6.4). It is permitted if no other name is: a kind of names of
/// which none is listed would be unconstrained.
const NOBODY: &str = "nobody.invalid";

/// Permits `hosts` and nothing else.
pub(super) fn for_hosts(hosts: &[HostPattern]) -> NameConstraints {
    let mut permitted: Vec<GeneralSubtree> = Vec::new();
    let mut excluded = Vec::new();
    let (mut names, mut addresses) = (false, false);
    for host in hosts {
        let subtree = match host.host() {
            HostName::Exact(name) | HostName::Under(name) => {
                names = true;
                GeneralSubtree::DnsName(name.clone())
            }
            HostName::Address(address) => {
                addresses = true;
                let bits = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, bits))
            }
        };
        if !permitted.contains(&subtree) {
            permitted.push(subtree);
        }
    }
    if !names {
        permitted.push(GeneralSubtree::DnsName(NOBODY.to_owned()));
    }
    if !addresses {
        let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        excluded
            .extend(all.map(|all| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(all, 0))));
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}

/// What is permitted. Only kinds that nothing permits are excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Constraints {
    names: Vec<String>,
    /// Address and mask.
    addresses: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Constraints {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty()
    }

    pub(super) fn permit(&self, host: &HostName) -> bool {
        match host {
            HostName::Exact(name) | HostName::Under(name) => self.names.iter().any(|permitted| {
                let above = name.strip_suffix(permitted.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }),
            HostName::Address(address) => {
                let octets = match address {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                self.addresses.iter().any(|(permitted, mask)| {
                    permitted.len() == octets.len()
                        && octets
                            .iter()
                            .zip(permitted)
                            .zip(mask)
                            .all(|((octet, permitted), mask)| octet & mask == permitted & mask)
                })
            }
        }
    }

    fn of(permitted: &[extensions::GeneralSubtree<'_>]) -> Self {
        let mut constraints = Self::default();
        for subtree in permitted {
            match &subtree.base {
                GeneralName::DNSName(name) => constraints.names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => {
                    let (address, mask) = bytes.split_at(bytes.len() / 2);
                    constraints.addresses.push((address.to_vec(), mask.to_vec()));
                }
                _ => {}
            }
        }
        constraints
    }
}

/// What the engine needs of a CA's certificate.
pub(super) struct CaCertificate {
    pub(super) constraints: Constraints,
    pub(super) not_after: OffsetDateTime,
    pub(super) public_key: Vec<u8>,
}

pub(super) fn read(der: &CertificateDer<'_>) -> Result<CaCertificate, SetupError> {
    let certificate = parse(der)?;
    let permitted = name_constraints(&certificate)
        .and_then(|constraints| constraints.permitted_subtrees.as_deref())
        .unwrap_or_default();
    Ok(CaCertificate {
        constraints: Constraints::of(permitted),
        not_after: certificate.validity().not_after.to_datetime(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
    })
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, SetupError> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| SetupError(format!("the CA's certificate cannot be read: {error}")))
}

fn name_constraints<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Option<&'a extensions::NameConstraints<'a>> {
    certificate.name_constraints().ok().flatten().map(|extension| extension.value)
}

/// The facts about a CA's certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFacts {
    /// Its distinguished name.
    pub subject: String,
    /// SHA-256 over the certificate, in hex.
    pub fingerprint: String,
    /// What it may sign for: names, each with all names under it, and address ranges.
    pub permitted: Vec<String>,
    /// What it may not sign for.
    pub excluded: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

impl CaFacts {
    /// Reads a certificate in PEM.
    pub fn of_pem(pem: &str) -> Result<Self, SetupError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| SetupError(format!("the CA's certificate: {error}")))?;
        let certificate = parse(&der)?;
        let constraints = name_constraints(&certificate);
        let shown = |subtrees: Option<&Vec<extensions::GeneralSubtree<'_>>>| {
            subtrees.into_iter().flatten().map(|one| NameText(&one.base).to_string()).collect()
        };
        let digest: [u8; 32] = Sha256::digest(&der).into();
        Ok(Self {
            subject: certificate.subject().to_string(),
            fingerprint: store::key::Digest::from_bytes(digest).hex(32),
            permitted: shown(constraints.and_then(|all| all.permitted_subtrees.as_ref())),
            excluded: shown(constraints.and_then(|all| all.excluded_subtrees.as_ref())),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

struct NameText<'a>(&'a GeneralName<'a>);

impl fmt::Display for NameText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            GeneralName::DNSName(name) => f.write_str(name),
            GeneralName::IPAddress(bytes) => match (
                <[u8; 8]>::try_from(*bytes).map(u64::from_be_bytes),
                <[u8; 32]>::try_from(*bytes),
            ) {
                (Ok(both), _) => {
                    let mask = both as u32;
                    write!(f, "{}/{}", Ipv4Addr::from((both >> 32) as u32), mask.leading_ones())
                }
                (_, Ok(both)) => {
                    let (address, mask) = both.split_at(16);
                    let half = |half: &[u8]| {
                        half.iter().fold(0_u128, |bits, octet| bits << 8 | u128::from(*octet))
                    };
                    write!(f, "{}/{}", Ipv6Addr::from(half(address)), half(mask).leading_ones())
                }
                _ => f.write_str("a malformed address"),
            },
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ca::Ca;
    use super::*;

    fn hosts(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_ca_is_good_for_its_hosts_alone() {
        let ca = Ca::generate(&hosts(&["api.example.com", "*.tools.example", "127.0.0.1:8443"]));
        let ca = ca.unwrap();
        for covered in ["api.example.com", "a.api.example.com", "x.tools.example", "127.0.0.1"] {
            assert_eq!(ca.uncovered(&hosts(&[covered])), None, "{covered}");
        }
        for not in ["example.com", "xapi.example.com", "tools.example.org", "127.0.0.2", "[::1]"] {
            assert!(ca.uncovered(&hosts(&[not])).is_some(), "{not}");
        }
        let again = Ca::from_pem(ca.pem(), &ca.key_pem()).unwrap();
        assert_eq!(again.pem(), ca.pem());
        let other = Ca::generate(&hosts(&["a.example"])).unwrap();
        assert!(Ca::from_pem(ca.pem(), &other.key_pem()).is_err());
    }

    #[test]
    fn what_nothing_permits_is_excluded() {
        let facts =
            |texts: &[&str]| CaFacts::of_pem(Ca::generate(&hosts(texts)).unwrap().pem()).unwrap();
        let names = facts(&["api.example.com", "API.example.com:8443"]);
        assert_eq!(names.permitted, ["api.example.com"]);
        assert_eq!(names.excluded, ["0.0.0.0/0", "::/0"]);
        let addresses = facts(&["[::1]", "192.0.2.7"]);
        assert_eq!(addresses.permitted, ["::1/128", "192.0.2.7/32", NOBODY]);
        assert!(addresses.excluded.is_empty());
        assert_ne!(names.subject, addresses.subject);
        assert_eq!(names.fingerprint.len(), 64);
        assert_eq!(names.not_after - names.not_before, 731 * 24 * 3_600);
    }
}
