//! Whether a request carries a payment: its 402 may come after the money has moved.

use http::header::{AUTHORIZATION, HeaderMap};

/// The words of the names of fields that carry a payment: `X-PAYMENT` and `PAYMENT-SIGNATURE` of
/// x402, and what others may call theirs.
const WORDS: &[&str] = &[
    "x",
    "payment",
    "payments",
    "signature",
    "proof",
    "token",
    "payload",
    "authorization",
    "credential",
    "credentials",
    "preimage",
];

/// The schemes of credentials that are payments: Payment (draft-ryan-httpauth-payment), and L402,
/// which was LSAT.
const SCHEMES: &[&str] = &["payment", "l402", "lsat"];

/// Whether the request carries a payment.
pub fn carries_payment(headers: &HeaderMap) -> bool {
    let in_field =
        |name: &str| name.contains("payment") && name.split('-').all(|word| WORDS.contains(&word));
    headers.keys().any(|name| in_field(name.as_str()))
        || headers.get_all(AUTHORIZATION).iter().any(|value| {
            let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
            SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_payment_is_known_by_its_field_or_scheme() {
        for (name, value, want) in [
            ("x-payment", "e30=", true),
            ("payment-signature", "e30=", true),
            ("x-payment-proof", "e30=", true),
            ("authorization", "Payment id=\"1\"", true),
            ("authorization", "L402 AGIAJE:1f", true),
            ("authorization", "Bearer payment", false),
            ("payment-method", "card", false),
            ("x-accept-payment", "1", false),
            ("x-signature", "1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(carries_payment(&headers), want, "{name}: {value}");
        }
    }
}
