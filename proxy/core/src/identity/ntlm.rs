//! Whose the last message of NTLM is ([MS-NLMP] 2.2.1.3). The rest of it is new for each connection.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::auth_params::Parts;

/// The beginning of an AUTHENTICATE message. A token of SPNEGO may have it inside.
const AUTHENTICATE: &[u8] = b"NTLMSSP\0\x03\0\0\0";

/// Where the message has the place of the domain's and of the user's name, and the flags.
const DOMAIN: usize = 28;
const USER: usize = 36;
const FLAGS: usize = 60;

/// `NTLMSSP_NEGOTIATE_UNICODE` ([MS-NLMP] 2.2.2.5).
const UNICODE: u8 = 1;

/// Domain and user that an Authorization signs in. `None`: it names none.
pub(super) fn user(credentials: &[u8]) -> Option<Parts> {
    let text = std::str::from_utf8(credentials).ok()?;
    let (scheme, token) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
    if !["ntlm", "negotiate"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    let token = BASE64_STANDARD.decode(token.trim()).ok()?;
    let start = token.windows(AUTHENTICATE.len()).position(|bytes| bytes == AUTHENTICATE)?;
    let message = &token[start..];
    let is_unicode = message.get(FLAGS)? & UNICODE != 0;
    let text = |at: usize| {
        let bytes = field(message, at)?;
        Some(if is_unicode {
            let (units, _) = bytes.as_chunks();
            let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        } else {
            bytes.iter().map(|byte| char::from(*byte)).collect::<String>()
        })
    };
    let user = text(USER).filter(|user| !user.is_empty())?;
    Some(vec![("domain".to_owned(), text(DOMAIN)?), ("user".to_owned(), user)])
}

/// The bytes that a length and an offset at `at` name.
fn field(message: &[u8], at: usize) -> Option<&[u8]> {
    let place = message.get(at..at + 8)?;
    let length = usize::from(u16::from_le_bytes([place[0], place[1]]));
    let offset = u32::from_le_bytes([place[4], place[5], place[6], place[7]]) as usize;
    message.get(offset..offset.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticate(user: &str, drawn: u8, is_unicode: bool) -> String {
        let coded = |text: &str| -> Vec<u8> {
            if is_unicode {
                text.encode_utf16().flat_map(u16::to_le_bytes).collect()
            } else {
                text.bytes().collect()
            }
        };
        let (domain, user) = (coded("CORP"), coded(user));
        let mut message = [AUTHENTICATE, &[drawn; 16]].concat();
        let mut offset = 72;
        for name in [&domain, &user] {
            let length = (name.len() as u16).to_le_bytes();
            message.extend([length, length].concat());
            message.extend((offset as u32).to_le_bytes());
            offset += name.len();
        }
        message.resize(72, drawn & !UNICODE | u8::from(is_unicode));
        let whole = [message, domain, user, vec![drawn; 24]].concat();
        format!("NTLM {}", BASE64_STANDARD.encode(whole))
    }

    fn named(credentials: &str) -> Option<String> {
        user(credentials.as_bytes()).map(|parts| format!("{}/{}", parts[0].1, parts[1].1))
    }

    #[test]
    fn the_last_message_says_who_signs_in() {
        for is_unicode in [false, true] {
            for drawn in [2, 8] {
                let message = authenticate("ann", drawn, is_unicode);
                assert_eq!(named(&message).as_deref(), Some("CORP/ann"));
                let token = message.strip_prefix("NTLM ").unwrap();
                let inside = [b"\x60\x20spnego".to_vec(), BASE64_STANDARD.decode(token).unwrap()];
                let wrapped = format!("Negotiate {}", BASE64_STANDARD.encode(inside.concat()));
                assert_eq!(named(&wrapped).as_deref(), Some("CORP/ann"));
                for end in (0..token.len()).step_by(4) {
                    let cut = format!("NTLM {}", &token[..end]);
                    assert!(named(&cut).is_none_or(|name| name == "CORP/ann"), "{end}");
                }
                assert_eq!(named(&format!("Bearer {token}")), None);
            }
            assert_eq!(named(&authenticate("", 2, is_unicode)), None, "anonymous");
        }
        for other in ["NTLM", "NTLM TlRMTVNTUAABAAAA", "Negotiate YII=", "NTLM ???", ""] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
