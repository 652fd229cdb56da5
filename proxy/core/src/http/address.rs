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

/// Every IPv4 address that an IPv6 one may lead to, by whatever translator or tunnel is on the way.
pub fn embedded(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    if ip.is_loopback() || ip.is_unspecified() {
        return Vec::new();
    }
    let s = ip.segments();
    let joined = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    // RFC 6052, 2.2: the address begins behind the prefix, and leaves out the bits 64 to 71.
    let without_gap = (u128::from(ip) >> 64 << 56) | (u128::from(ip) & ((1 << 56) - 1));
    let behind_prefix = |bits: u32| Ipv4Addr::from((without_gap >> (88 - bits)) as u32);
    let mut found = match s {
        // Mapped, compatible (RFC 4291, 2.5.5), translated (RFC 2765, 2.1), NAT64 (RFC 6052, 2.1),
        // and 6to4 (RFC 3056, 2).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => vec![joined(high, low)],
        // Local-use NAT64 (RFC 8215): the prefix may be longer.
        [0x64, 0xff9b, 1, ..] => {
            let by_length =
                [behind_prefix(48), behind_prefix(56), behind_prefix(64), joined(s[6], s[7])];
            by_length.into_iter().filter(|ip| !ip.is_unspecified()).collect()
        }
        // Teredo (RFC 4380, 4): its server, and the client, inverted.
        [0x2001, 0, ..] => vec![joined(s[2], s[3]), joined(!s[6], !s[7])],
        _ => Vec::new(),
    };
    // ISATAP, below any prefix (RFC 5214, 6.1).
    if matches!(s, [_, _, _, _, 0 | 0x200, 0x5efe, ..]) {
        found.push(joined(s[6], s[7]));
    }
    found
}

/// The one form of a host that is written in another: a name without the dot at its end (RFC 1034,
/// 3.1), an IPv4 address as four decimal numbers, an IPv6 address as RFC 5952 has it, and an IPv4
/// address in IPv6 as itself. `None`: it is in its one form already. `host` is in lower case, an
/// IPv6 address in brackets.
pub fn canonical(host: &str) -> Option<String> {
    let is_name = |name: &&str| !name.is_empty() && !name.ends_with('.');
    let name = host.strip_suffix('.').filter(is_name).unwrap_or(host);
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
    fn embedded_addresses_are_found_in_every_form() {
        let meant: Ipv4Addr = "192.0.2.33".parse().unwrap();
        for (form, address) in [
            ("mapped", "::ffff:192.0.2.33"),
            ("compatible", "::192.0.2.33"),
            ("translated", "::ffff:0:192.0.2.33"),
            ("NAT64", "64:ff9b::192.0.2.33"),
            // RFC 6052, 2.4.
            ("NAT64, /48", "64:ff9b:1:c000:2:2100::"),
            ("NAT64, /56", "64:ff9b:1:c0:0:221::"),
            ("NAT64, /64", "64:ff9b:1:7:c0:2:2100:0"),
            ("NAT64, /96", "64:ff9b:1::192.0.2.33"),
            ("6to4", "2002:c000:221::1"),
            ("Teredo client", "2001:0:4136:e378:8000:63bf:3fff:fdde"),
            ("Teredo server", "2001:0:c000:221:8000:63bf:3fff:fdd2"),
            ("ISATAP", "2001:db8::5efe:192.0.2.33"),
            ("6to4 that looks like ISATAP", "2002:c000:221::5efe:8.8.8.8"),
            ("ISATAP, global", "2001:db8::200:5efe:192.0.2.33"),
        ] {
            assert!(embedded(address.parse().unwrap()).contains(&meant), "{form}: {address}");
        }
        for other in ["::1", "::", "2001:db8::1", "fe80::1", "2001:4860::c000:221"] {
            assert_eq!(embedded(other.parse().unwrap()), [] as [Ipv4Addr; 0], "{other}");
        }
    }

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
        for one in [
            ".",
            "a..",
            "api.example.com",
            "1.example",
            "256.1",
            "1.2.3.4.5",
            "0x",
            "09",
            "[::",
            "a..b",
        ] {
            assert_eq!(canonical(one), None, "{one}");
        }
    }
}
