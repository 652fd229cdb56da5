use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn map(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

#[test]
fn credentials_are_the_principal() {
    let headers = map(&[
        ("x-api-key", "1"),
        ("authorization", "Bearer a"),
        ("cookie", "b=1"),
        ("cookie", "a=2"),
        ("proxy-authorization", "Basic eDp5"),
        ("content-type", "text/plain"),
        ("x-shopify-access-token", "s"),
        ("x-amz-security-token", "rotates"),
    ]);
    let parts = principal_parts(
        &headers,
        Some("q=1&API%5Fkey=z&key=k&sig=s&key=l&flag"),
        &Login::default(),
    );
    let got: Vec<_> = parts
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(
        got,
        [
            "?api_key=z",
            "?key=k",
            "?key=l",
            "authorization=Bearer a",
            "cookie=b=1",
            "cookie=a=2",
            "x-api-key=1",
            "x-shopify-access-token=s",
        ]
    );
    assert!(principal_parts(&HeaderMap::new(), None, &Login::default()).is_empty());
}

#[test]
fn a_signature_is_nobody() {
    let signed = |id: &str, signature: &str| {
        let scope = "20260131/eu-west-1/sns/aws4_request";
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, Signature={signature}")
    };
    let parts = |fields: &[&str]| {
        let list: Vec<_> = fields.iter().map(|field| ("authorization", *field)).collect();
        principal_parts(&map(&list), None, &Login::default())
    };
    let (ada, again, bob) = (signed("ADA", "1"), signed("ADA", "2"), signed("BOB", "1"));
    assert_eq!(parts(&[&ada]), [("authorization access key".to_owned(), b"ADA".to_vec())]);
    assert_eq!(parts(&[&ada]), parts(&[&again]));
    assert_ne!(parts(&[&ada]), parts(&[&bob]));
    // Which of two a server reads is not known.
    assert_ne!(parts(&[&ada, &bob]), parts(&[&again, &bob]));
}
