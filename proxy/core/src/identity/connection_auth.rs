//! Credentials that sign a connection in, and not the one request that carries them (RFC 4559, 6;
//! [MS-NTHT], 1.3). What comes next on such a connection is answered as the one who signed in.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use uuid::Uuid;

use super::{auth_params, jwt, ntlm};

/// Who a client's connection speaks as, towards one upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Names the connection.
    pub connection: Uuid,
    /// The newest credentials that may have signed in the connection to the upstream.
    pub credentials: Option<HeaderValue>,
}

/// Schemes known to sign connections in.
const OF_CONNECTIONS: &[&str] = &["negotiate", "ntlm", "kerberos"];

/// Schemes whose credentials are for the request that carries them: those of IANA's registry of
/// which their documents say so, and what vendors write. Any other may sign the connection in.
const OF_REQUESTS: &[&str] = &[
    "basic",
    "bearer",
    "concealed",
    "digest",
    "dpop",
    "gnap",
    "hoba",
    "oauth",
    "privatetoken",
    "scram-sha-1",
    "scram-sha-256",
    "vapid",
    "api-key",
    "apikey",
    "aws",
    "bot",
    "hawk",
    "key",
    "l402",
    "lsat",
    "payment",
    "sharedkey",
    "sharedkeylite",
    "signature",
    "sso-key",
    "token",
];

/// Whether a request's credentials may sign its connection in.
pub fn credentials_may_bind(request: &HeaderMap) -> bool {
    request.get_all(AUTHORIZATION).iter().any(|value| {
        let text = std::str::from_utf8(value.as_bytes());
        text.is_ok_and(|text| !is_for_one_request(text.trim())) || text.is_err()
    })
}

/// Whether an answer asks for credentials that may sign its connection in, or says that they have
/// (`Persistent-Auth`, [MS-NTHT] 2.2.3).
pub fn answer_may_bind(answer: &HeaderMap) -> bool {
    let challenges = [WWW_AUTHENTICATE, PROXY_AUTHENTICATE];
    let mut values = challenges.iter().flat_map(|name| answer.get_all(name));
    answer.contains_key("persistent-auth")
        || values.any(|value| {
            let text = std::str::from_utf8(value.as_bytes());
            text.map_or(true, |text| schemes(text).any(|scheme| !is_of_requests(scheme)))
        })
}

/// Whether credentials are a step of signing in that does not say who signs in. Its answer is of use
/// on its own connection only, since the next step depends on it.
pub(super) fn is_handshake(credentials: &[u8]) -> bool {
    let text = std::str::from_utf8(credentials).unwrap_or_default().trim();
    let scheme = text.split(|c: char| c.is_ascii_whitespace() || c == ',').next();
    scheme.is_some_and(|scheme| is_in(OF_CONNECTIONS, scheme)) && ntlm::user(credentials).is_none()
}

/// A value without a scheme is a bare key.
fn is_for_one_request(credentials: &str) -> bool {
    let is_gap = |c: char| c.is_ascii_whitespace() || c == ',';
    let Some((scheme, rest)) = credentials.split_once(is_gap) else { return true };
    // A server may look for its scheme anywhere in the value.
    let names_another = credentials.split(is_gap).any(|word| is_in(OF_CONNECTIONS, word));
    !names_another
        && (is_of_requests(scheme)
            || jwt::read(rest.trim()).is_some()
            || auth_params::read(rest).is_some_and(|parameters| parameters.has_signature()))
}

fn is_of_requests(scheme: &str) -> bool {
    let word = scheme.to_ascii_lowercase();
    // `AWS4-HMAC-SHA256` and similar schemes sign the request.
    word.contains("-hmac-") || word.contains("-ecdsa-") || is_in(OF_REQUESTS, scheme)
}

fn is_in(schemes: &[&str], word: &str) -> bool {
    schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(word))
}

/// The schemes of a list of challenges (RFC 9110, 11.6.1). A piece that begins with `NAME=` is a
/// parameter of the challenge before it.
fn schemes(challenges: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    let pieces = challenges.split(move |c: char| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        !quoted && c == ','
    });
    pieces.map(str::trim).filter(|piece| !piece.is_empty()).filter_map(|piece| {
        let end = piece.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(piece.len());
        let (word, rest) = piece.split_at(end);
        (!rest.starts_with('=')).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn fields(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_is_not_known_to_be_for_one_request_credentials_may_bind() {
        let signs = |value: &str| credentials_may_bind(&fields(AUTHORIZATION, value));
        for value in [
            "NTLM TlRMTVNTUAABAAAA",
            "ntlm\tTlRMTVNTUAABAAAA",
            "Negotiate YII=",
            "NEGOTIATE  YII=",
            "Kerberos YII=",
            "Nego2 abc",
            "Foo ab:cd",
            "Basic YTpi, NTLM TlRMTVNTUAABAAAA",
            "Bearer x,Negotiate YII=",
        ] {
            assert!(signs(value), "{value}");
        }
        for value in [
            "",
            "sk_live_0123",
            "Basic YTpi",
            "bearer abc",
            "Digest username=\"a\", realm=\"NTLM\", response=\"1\"",
            "AWS4-HMAC-SHA256 Credential=a/20260131/r/s/aws4_request, SignedHeaders=host, Signature=f",
            "Acme id=a, signature=\"abc\"",
            "JWT eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.c2ln",
            "q-sign-algorithm=sha1&q-ak=a",
        ] {
            assert!(!signs(value), "{value}");
        }
        let bytes = HeaderValue::from_bytes(b"\xff\xfe abc").unwrap();
        assert!(credentials_may_bind(&HeaderMap::from_iter([(AUTHORIZATION, bytes)])));
    }

    #[test]
    fn a_challenge_anywhere_in_a_list_counts() {
        for name in [WWW_AUTHENTICATE, PROXY_AUTHENTICATE] {
            let signed = |value: &str| answer_may_bind(&fields(name.clone(), value));
            for value in [
                "NTLM",
                "Negotiate, NTLM",
                "Basic realm=\"a, b\", NTLM",
                "Basic realm=\"a \\\" b\", charset=\"UTF-8\", Negotiate",
                "Digest realm=\"r\", nonce=\"n\",NTLM TlRMTVNTUAACAAAA==",
                "Unheard-Of realm=\"r\"",
            ] {
                assert!(signed(value), "{value}");
            }
            for value in [
                "Basic realm=\"NTLM\"",
                "Basic realm=\"a, NTLM\"",
                "Bearer error=\"invalid_token\", error_description=\"Negotiate, please\"",
                "Digest realm=\"r\", nonce=\"n\", Basic realm=\"r\"",
                "",
            ] {
                assert!(!signed(value), "{value}");
            }
        }
        let persistent = HeaderName::from_static("persistent-auth");
        assert!(answer_may_bind(&fields(persistent, "true")));
        assert!(!answer_may_bind(&HeaderMap::new()));
    }
}
