//! What a tunnel carries, by its first bytes.

/// What a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBytes {
    /// A request of HTTP/1.
    Http,
    /// The handshake of TLS.
    Tls,
    /// Something else.
    Other,
    /// More bytes are needed.
    Undecided,
}

/// The longest text that can be a method, in bytes.
const LONGEST_METHOD: usize = 64;
/// The longest request line, in bytes.
const LONGEST_LINE: usize = 80 * 1024;
/// The most bytes of empty lines before it.
const MOST_BLANK: usize = 8;

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// A request line (`METHOD target HTTP/1.x`) is HTTP. A line that only might be one is left to the
/// parser, which refuses it.
pub fn first_bytes(start: &[u8]) -> FirstBytes {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    // Empty lines before a request line are allowed (RFC 9112, 2.2).
    let blank = start.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &start[blank..];
    if start.first() == Some(&HANDSHAKE) {
        return FirstBytes::Tls;
    }
    if line.is_empty() {
        return if blank <= MOST_BLANK { FirstBytes::Undecided } else { FirstBytes::Other };
    }
    let method = line.iter().take_while(|byte| is_token(byte)).count();
    match line.get(method) {
        _ if method == 0 || method > LONGEST_METHOD => FirstBytes::Other,
        None => FirstBytes::Undecided,
        Some(b' ') => match line.iter().position(|byte| *byte == b'\n') {
            None if line.len() > LONGEST_LINE => FirstBytes::Http,
            None => FirstBytes::Undecided,
            Some(end) if line.starts_with(b"PRI * HTTP/2.0") && end < 20 => FirstBytes::Other,
            Some(end) if line[..end].windows(6).any(|part| part == b" HTTP/") => FirstBytes::Http,
            Some(_) => FirstBytes::Other,
        },
        Some(_) => FirstBytes::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_what_its_first_bytes_are() {
        for http in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"POST /pay HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\nPURGE /x HTTP/1.0\n",
            b"POST /a b HTTP/1.1 \r\n",
        ] {
            assert_eq!(first_bytes(http), FirstBytes::Http, "{http:?}");
        }
        for blind in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9\r\n",
            b"SET key value\r\n",
            b"\x00\x00",
            b" x",
        ] {
            assert_eq!(first_bytes(blind), FirstBytes::Other, "{blind:?}");
        }
        assert_eq!(first_bytes(b"\x16\x03\x01\x02\x00"), FirstBytes::Tls);
        for undecided in [&b""[..], b"PO", b"POST /pay HT", b"\r\n"] {
            assert_eq!(first_bytes(undecided), FirstBytes::Undecided, "{undecided:?}");
        }
    }
}
