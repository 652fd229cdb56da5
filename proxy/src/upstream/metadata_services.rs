//! The metadata services of clouds, which hand out credentials to everyone who asks on the machine.

use std::net::{IpAddr, Ipv4Addr};

/// Azure's (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>),
/// Alibaba Cloud's and Oracle Cloud's. Those of others are link-local.
const V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// What clouds have set aside for services of the machine over IPv6, by its first 4 segments and how
/// many of them count: AWS (metadata, credentials of pods, and others), Google Cloud, Scaleway.
const V6: [([u16; 4], usize); 3] =
    [([0xfd00, 0xec2, 0, 0], 2), ([0xfd20, 0xce, 0, 0], 4), ([0xfd00, 0x42, 0, 0], 4)];

/// Names of such services, below whatever domain of the cloud.
const LABELS: [&str; 3] = ["metadata", "instance-data", "imds"];

/// Domains of clouds, of which only machines inside ask.
const DOMAINS: [&str; 5] =
    ["internal", "goog", "tencentyun.com", "packet.net", "platformequinix.com"];

/// Whether an address is a metadata service's.
pub(super) fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => V4.contains(&ip),
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            V6.iter().any(|(prefix, count)| segments[..*count] == prefix[..*count])
        }
    }
}

/// Whether a name is known to be a metadata service's, where it cannot be resolved here.
pub(super) fn is_metadata_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let (label, domain) = host.split_once('.').unwrap_or((&host, ""));
    let of_cloud = |domain: &str| {
        DOMAINS.iter().any(|known| {
            domain.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    LABELS.contains(&label) && (domain.is_empty() || of_cloud(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found_however_they_are_written() {
        for name in [
            "metadata",
            "METADATA.",
            "metadata.google.internal",
            "Metadata.Google.Internal..",
            "metadata.goog",
            "instance-data",
            "instance-data.ec2.internal",
            "instance-data.eu-west-1.compute.internal",
            "metadata.tencentyun.com",
            "metadata.platformequinix.com",
        ] {
            assert!(is_metadata_name(name), "{name}");
        }
        for name in [
            "metadata.example.com",
            "api.google.internal",
            "metadata-api.internal",
            "mymetadata",
            "",
        ] {
            assert!(!is_metadata_name(name), "{name}");
        }
    }
}
