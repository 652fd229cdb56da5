//! Parameters that sign one try of a call: in queries, in forms, in an Authorization.

use http::header::HeaderMap;
use percent_encoding::percent_decode_str;

use super::words::words;

/// Parameters that only go with these signatures, in lower case.
const SIGNED: &[&str] = &[
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-region-set",
    "x-amz-security-token",
    "x-amz-signedheaders",
    // https://cloud.google.com/storage/docs/authentication/signatures
    "x-goog-algorithm",
    "x-goog-credential",
    "x-goog-date",
    "x-goog-expires",
    "x-goog-signedheaders",
    // https://www.alibabacloud.com/help/oss/developer-reference/add-signatures-to-urls
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-signature-version",
    "signaturenonce",
    // https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
    "key-pair-id",
    "policy",
    // https://cloud.tencent.com/document/product/436/7778
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    // https://pusher.com/docs/channels/library_auth_reference/rest-api/#authentication
    "auth_timestamp",
    // https://www.rfc-editor.org/rfc/rfc5849#section-3.1
    "oauth_nonce",
    "oauth_timestamp",
];

/// Parameters that say when a try was signed, beside any signature. Exchanges of money sign so.
const DRAWN: &[&str] = &["timestamp", "nonce", "expires", "expiry", "ts"];

/// The parameters of a shared access signature, of which `sv` is always there.
/// Source: <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>
const SHARED_ACCESS: &[&str] =
    &["se", "st", "sv", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv"];

/// How long a signature is at least, in characters.
const MIN_SIGNATURE: usize = 27;

/// Which parameters of one request sign it. They are new for each try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signing {
    is_signed: bool,
    is_shared_access: bool,
    /// A header field has the signature of the whole message, which is fresh by its nonce.
    is_signed_elsewhere: bool,
}

impl Signing {
    /// Reads the names of all fields or members, decoded. They are signed if there is a signature
    /// with its time beside it. Alone, it may be the name of a person.
    pub(crate) fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut signature, mut drawn, mut version) = (false, false, false);
        for name in names {
            let name = name.to_ascii_lowercase();
            signature |= is_signature(&name);
            drawn |= SIGNED.contains(&name.as_str()) || DRAWN.contains(&name.as_str());
            version |= name == "sv" || name == "se";
        }
        let is_signed = signature && (drawn || version);
        Self { is_signed, is_shared_access: is_signed && version, is_signed_elsewhere: false }
    }

    /// The same beside these header fields, as some exchanges sign their forms.
    pub(crate) fn beside(self, headers: &HeaderMap) -> Self {
        let is_signed_elsewhere = headers.keys().any(|name| is_signature(name.as_str()));
        Self { is_signed_elsewhere, ..self }
    }

    /// Reads a query as a URL writes it. What looks like a signature is one also without its time,
    /// which may be in a header field.
    pub(crate) fn of_query(query: &str) -> Self {
        let pairs: Vec<_> = query.split('&').map(decoded).collect();
        let looks_signed = pairs.iter().any(|(name, value)| {
            is_signature(name) && value.len() >= MIN_SIGNATURE && value.bytes().all(is_of_signature)
        });
        let named = Self::of_names(pairs.iter().map(|(name, _)| name.as_str()));
        Self { is_signed: named.is_signed || looks_signed, ..named }
    }

    /// Whether a parameter belongs to the signature.
    pub(crate) fn has(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.as_str();
        self.is_signed_elsewhere && name == "nonce"
            || self.is_signed
                && (is_signature(name)
                    || SIGNED.contains(&name)
                    || DRAWN.contains(&name)
                    || self.is_shared_access && SHARED_ACCESS.contains(&name))
    }

    /// Whether there is a signature.
    pub(crate) fn is_signed(self) -> bool {
        self.is_signed
    }
}

/// Whether a name says that its value is a signature.
pub(crate) fn is_signature(name: &str) -> bool {
    const LAST: [&str; 6] = ["signature", "sig", "sign", "hmac", "mac", "jwt"];
    // Each field of each request is asked, and hardly one ends so.
    let end = name.trim_end_matches(|c: char| !c.is_alphanumeric()).as_bytes();
    let ends_with = |word: &&str| {
        end.len()
            .checked_sub(word.len())
            .is_some_and(|at| end[at..].eq_ignore_ascii_case(word.as_bytes()))
    };
    LAST.iter().any(ends_with)
        && words(name).last().is_some_and(|last| LAST.contains(&last.as_str()))
}

/// One pair of a query, as a server reads it.
pub(crate) fn decoded(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let read = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (read(name), read(value))
}

/// Whether base64 in either alphabet, hex, or a JSON Web Token has this byte.
fn is_of_signature(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(query: &str) -> String {
        let signing = Signing::of_query(query);
        let kept: Vec<_> = query.split('&').filter(|pair| !signing.has(&decoded(pair).0)).collect();
        kept.join("&")
    }

    #[test]
    fn what_signs_a_query_is_left_out() {
        for (query, want) in [
            (
                "a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F2026&X-Amz-Date=2&\
                 X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=ab",
                "a=1",
            ),
            ("X%2DAmz-Date=2&x-amz-signature=1&b", "b"),
            ("X-Goog-Date=1&X-Goog-Signature=2&c=3", "c=3"),
            ("sv=2024&se=1&st=2&sr=b&sp=rw&sig=x%2B", "sr=b&sp=rw"),
            ("Action=Run&Timestamp=1&SignatureNonce=n&Signature=s", "Action=Run"),
            ("Expires=1&Signature=s&Key-Pair-Id=K&id=2", "id=2"),
            (
                "symbol=BTC&timestamp=1700000000000&recvWindow=5&signature=ab",
                "symbol=BTC&recvWindow=5",
            ),
            (
                "oauth_consumer_key=c&oauth_nonce=1&oauth_timestamp=2&oauth_signature=3",
                "oauth_consumer_key=c",
            ),
            ("a=1&sign=0123456789abcdef0123456789abcdef", "a=1"),
        ] {
            assert_eq!(left(query), want, "{query}");
        }
        for all in [
            "timestamp=1&nonce=2&expires=3",
            "signature=Best%20regards&to=ada",
            "sign=leo&day=1",
            "se=1&st=2&sv=3",
            "policy=p&key-pair-id=k",
            "",
        ] {
            assert_eq!(left(all), all, "{all}");
        }
    }
}
