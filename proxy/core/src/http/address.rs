//! Hosts that are addresses, however they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// The one form of a host that is written in another: a name without the dot at its end (RFC 1034,
/// 3.1), an IPv4 address as four decimal numbers, an IPv6 address as RFC 5952 has it, and an IPv4
/// address in IPv6 as itself. `None`: it is in its one form already. `host` is in lower case, an
/// IPv6 address in brackets.
pub fn canonical(host: &str) -> Option<String> {
    let name = host.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(host);
    let one = if let Some(inner) = name.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("[{address}]"),
        }
    } else if let Some(address) = ipv4_as_resolvers_read(name) {
        address.to_string()
    } else {
        name.to_owned()
    };
    (one != host).then_some(one)
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
fn ipv4_as_resolvers_read(host: &str) -> Option<Ipv4Addr> {
    // Most hosts are names, whose last label does not begin with a digit.
    if !host.rsplit('.').next()?.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form() {
        for (written, one) in [
            ("localhost.", "localhost"),
            ("api.example.com.", "api.example.com"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f.0.0.1", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("127.0.1", "127.0.0.1"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[::0001]", "[::1]"),
            ("[2001:db8:0:0:1:0:0:1]", "[2001:db8::1:0:0:1]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(one), "{written}");
            assert_eq!(canonical(one), None, "{one}");
        }
        for one in
            [".", "api.example.com", "1.example", "256.1", "1.2.3.4.5", "0x", "09", "[::", "a..b"]
        {
            assert_eq!(canonical(one), None, "{one}");
        }
    }
}
