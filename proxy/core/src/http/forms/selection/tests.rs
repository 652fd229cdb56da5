use std::io::Cursor;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::*;
use crate::http::forms::digest::body_digests;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn digest_of(kind: &str, body: &str, drawn: Drawn<'_>) -> Digest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    let selection = [FieldSelection { drawn, ..FieldSelection::default() }];
    let raw = Digest::of(body.as_bytes());
    body_digests(&headers, &mut Cursor::new(body), raw, &selection).unwrap().0[0]
}

/// The digest of all parts.
fn digest(kind: &str, body: &str) -> Digest {
    digest_of(kind, body, Drawn::Counts)
}

fn multipart(parts: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--q\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--q--\r\n"
}

/// The digest of what lasts of a body in all tries, without what `kept` does not name.
fn lasting(kind: &str, body: &str, kept: &[&str]) -> Digest {
    let kept: Vec<Pointer> = kept.iter().map(|text| text.parse().unwrap()).collect();
    digest_of(kind, body, Drawn::TriesExcept(kept.iter().collect()))
}

#[test]
fn what_a_client_draws_for_each_try_is_left_out() {
    let form = multipart(&[("a", "1")]);
    let with_key = multipart(&[("a", "1"), ("request_id", "r")]);
    for (kind, body, rest) in [
        (JSON, r#"{"a":1,"requestId":"r","nonce":2}"#, r#"{"a":1}"#),
        (JSON, r#"{"a":1,"timestamp":3,"signature":"s"}"#, r#"{"a":1}"#),
        (
            JSON,
            r#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"x/y":1,"nonce":"n"}}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":{"x/y":1}}"#,
        ),
        (
            JSON,
            r#"{"params":{"name":"t","arguments":{"to":"a","timeout_ms":5}}}"#,
            r#"{"params":{"name":"t","arguments":{"to":"a"}}}"#,
        ),
        (
            JSON,
            r#"{"query":"q","variables":{"input":{"clientMutationId":"c","n":1}}}"#,
            r#"{"query":"q","variables":{"input":{"n":1}}}"#,
        ),
        (FORM, "a=1&idempotency%5Fkey=k&nonce=2", "a=1"),
        ("multipart/form-data; boundary=q", &with_key, &form),
    ] {
        assert_eq!(lasting(kind, body, &[]), digest(kind, rest), "{body}");
        assert_ne!(digest(kind, body), digest(kind, rest), "{body}");
    }
    for whole in [
        r#"{"a":{"nonce":1}}"#,
        r#"{"timestamp":3,"a":1}"#,
        r#"{"id":7,"a":1}"#,
        r#"[{"request_id":1}]"#,
    ] {
        assert_eq!(lasting(JSON, whole, &[]), digest(JSON, whole), "{whole}");
    }
    let approval = r#"{"request_id":17}"#;
    assert_eq!(lasting(JSON, approval, &["/request_id"]), digest(JSON, approval));
}

#[test]
fn the_signature_of_a_form_is_left_out_of_every_comparison() {
    let signed = |body: &str| digest_of(FORM, body, Drawn::Signatures);
    let one = signed("to=a&timestamp=1700000000000&signature=0a1b");
    assert_eq!(one, signed("to=a&timestamp=1700000000999&signature=9f8e"));
    assert_eq!(one, digest(FORM, "to=a"));
    assert_ne!(one, signed("to=b&timestamp=1700000000000&signature=0a1b"));
    for whole in ["to=a&timestamp=1", "to=a&signature=Best+regards", "to=a&nonce=1"] {
        assert_eq!(signed(whole), digest(FORM, whole), "{whole}");
    }
}
