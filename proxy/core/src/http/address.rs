//! Hosts that are addresses, however they are written.

use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address that is written as an IPv6 one (mapped, compatible, NAT64), as itself.
pub fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if v6.is_loopback() || v6.is_unspecified() {
        return ip;
    }
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into()
        }
        _ => ip,
    }
}

/// `host` as an address, if it is one or `localhost`.
pub fn literal(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    without_brackets(host).parse().ok()
}

/// An IPv6 address without its brackets.
pub fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// An IPv4 address as resolvers read it (`inet_aton`): one to four numbers, in decimal, octal or
/// hexadecimal, of which the last fills what is left. The user's own proxy may resolve it so.
pub fn ipv4_as_resolvers_read(host: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let numbers = host.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, first) = numbers.split_last()?;
    let room = 32_u32.checked_sub(8 * first.len() as u32).filter(|bits| *bits > 0)?;
    if first.iter().any(|byte| *byte > 255) || u64::from(*last) >> room > 0 {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).map(|(byte, bits)| byte << bits).sum::<u32>();
    Some(Ipv4Addr::from(high | last))
}
