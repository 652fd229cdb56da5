//! Clients that sign each try again: a retry has one effect, whatever the scheme.

use std::fs;

use testkit::{Request, Upstream, engine, files};

use super::headers::hits_at;
use super::signing_schemes::{SCHEMES, Signed, jwt};

fn tool() -> Upstream {
    Upstream::start(|request, exchange| match request.target().split('/').nth(1) {
        Some("done") => exchange.answer(200, &[], b"done"),
        Some("late") => exchange.answer(408, &[], b""),
        _ => exchange.reset(),
    })
}

fn request(upstream: &Upstream, path: &str, signed: Signed) -> Request {
    let mark = if signed.query.is_empty() { "" } else { "?" };
    let url = upstream.url(&format!("{path}{mark}{}", signed.query));
    let plain = Request::post_json(&url, r#"{"eur":1}"#);
    signed.fields.into_iter().fold(plain, |request, (name, value)| request.header(name, &value))
}

#[test]
fn a_retry_with_a_fresh_signature_has_one_effect() {
    let upstream = tool();
    let engine = engine!().start();
    let mut effects = Vec::new();
    for (scheme, sign) in SCHEMES {
        for outcome in ["done", "late", "gone"] {
            for key in [None, Some("order-7")] {
                let path = format!("/{outcome}/{scheme}/{}", key.unwrap_or("derived"));
                for n in 1..=3 {
                    let signed = request(&upstream, &path, sign("AKIDADA", n));
                    let signed = key.map_or(signed.clone(), |key| signed.key(key));
                    let answer = engine.send(&signed);
                    let fine = match (outcome, n) {
                        ("done", _) => answer.status == 200,
                        ("late", 1) => answer.status == 408,
                        ("gone", 1) => answer.status == 502,
                        _ => answer.status == 424,
                    };
                    assert!(fine, "{path}, try {n}: {answer:?}");
                }
                effects.push((path.clone(), hits_at(&upstream, &path)));
            }
        }
    }
    assert!(effects.len() >= 16 * 3 * 2);
    effects.retain(|(_, hits)| *hits != 1);
    assert!(effects.is_empty(), "{effects:#?}");
}

#[test]
fn another_signer_is_another_caller() {
    let upstream = tool();
    let engine = engine!().start();
    for (scheme, sign) in SCHEMES {
        let path = format!("/done/{scheme}");
        for (n, (signer, word)) in
            [("AKIDADA", "executed"), ("AKIDBOB", "executed"), ("AKIDADA", "replayed")]
                .into_iter()
                .enumerate()
        {
            let n = u32::try_from(n).unwrap() + 1;
            let answer = engine.send(&request(&upstream, &path, sign(signer, n)));
            assert_eq!((answer.status, answer.word()), (200, word), "{scheme}, {signer}");
        }
        assert_eq!(hits_at(&upstream, &path), 2, "{scheme}");
    }
}

#[test]
fn a_signed_form_is_the_same_order_in_each_try() {
    let upstream = tool();
    let engine = engine!().start();
    let order = |path: &str, amount: u32, n: u32| {
        let body = format!("symbol=BTC&amount={amount}&timestamp=179003085{n}&signature={n}f");
        let form = Request::new("POST", &upstream.url(path));
        engine.send(&form.header("Content-Type", "application/x-www-form-urlencoded").body(body))
    };
    order("/done/form", 1, 1).assert_is(200, "executed");
    order("/done/form", 1, 2).assert_is(200, "replayed");
    order("/done/form", 2, 3).assert_is(200, "executed");
    // The signature is in a header field, and covers the nonce of the form.
    let kraken = |amount: u32, n: u32| {
        let form = Request::new("POST", &upstream.url("/done/kraken"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("API-Key", "ada")
            .header("API-Sign", &format!("{n}e"));
        engine.send(&form.body(format!("nonce=179003085{n}&amount={amount}")))
    };
    kraken(1, 1).assert_is(200, "executed");
    kraken(1, 2).assert_is(200, "replayed");
    kraken(2, 3).assert_is(200, "executed");
    order("/late/form", 1, 1).assert_is(408, "in-doubt");
    order("/late/form", 1, 2).assert_problem(424, "in-doubt");
    order("/late/form", 2, 3).assert_is(408, "in-doubt");
}

#[test]
fn a_token_without_a_time_of_its_own_is_compared_as_a_whole() {
    let upstream = tool();
    let engine = engine!().start();
    let with = |token: &str| {
        let request = Request::post(&upstream.url("/done"), "x");
        engine.send(&request.header("Authorization", &format!("Bearer {token}")))
    };
    for token in [
        "opaque-1".to_owned(),
        "opaque-2".to_owned(),
        jwt(r#"{"sub":"ada"}"#, 1),
        jwt(r#"{"sub":"ada"}"#, 2),
        jwt(r#"{"sub":"ada","iat":1}"#, 3),
        jwt(r#"{"sub":"bob","iat":1}"#, 3),
        jwt(r#"{"sub":"ada","iat":1,"org_id":"o"}"#, 3),
    ] {
        with(&token).assert_is(200, "executed");
        with(&token).assert_is(200, "replayed");
    }
    with(&jwt(r#"{"sub":"ada","iat":9,"jti":"z"}"#, 4)).assert_is(200, "replayed");
}

#[test]
fn a_token_in_another_field_is_its_owners() {
    let upstream = tool();
    let engine = engine!().start();
    for name in ["X-Auth-Token", "X-Api-Key", "X-Acme-Assertion", "OAuth-Client-Attestation"] {
        let with = |owner: &str, n: u32| {
            let payload = format!(r#"{{"sub":"{owner}","iat":{n},"jti":"{n}"}}"#);
            let request = Request::post(&upstream.url("/done"), name);
            engine.send(&request.header(name, &jwt(&payload, n)))
        };
        with("ada", 1).assert_is(200, "executed");
        with("ada", 2).assert_is(200, "replayed");
        with("bob", 3).assert_is(200, "executed");
    }
    // A token that selects a merchant, which has no time.
    let with = |merchant: &str| {
        let token = jwt(&format!(r#"{{"iss":"client","payer_id":"{merchant}"}}"#), 1);
        let request = Request::post(&upstream.url("/done"), "x");
        engine.send(&request.header("PayPal-Auth-Assertion", &token))
    };
    with("m-1").assert_is(200, "executed");
    with("m-2").assert_is(200, "executed");
    with("m-1").assert_is(200, "replayed");
}

/// A body in AWS's coding, with the signature of a try in each chunk.
fn chunked(content: &[u8], n: u32) -> Vec<u8> {
    let mut coded = Vec::new();
    for piece in content.chunks(8) {
        coded.extend_from_slice(format!("{:x};chunk-signature={n}ab\r\n", piece.len()).as_bytes());
        coded.extend_from_slice(piece);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(format!("0;chunk-signature={n}cd\r\n\r\n").as_bytes());
    coded
}

#[test]
fn chunks_that_are_signed_again_are_the_same_body() {
    let upstream = tool();
    let engine = engine!().start();
    let upload = |path: &str, content: &str, n: u32| {
        let request = Request::new("POST", &upstream.url(path))
            .header("Content-Type", "application/octet-stream")
            .header("Content-Encoding", "aws-chunked")
            .header("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .header("X-Amz-Decoded-Content-Length", &content.len().to_string());
        engine.send(&request.body(chunked(content.as_bytes(), n)))
    };
    let one = "twenty bytes of text";
    upload("/done/upload", one, 1).assert_is(200, "executed");
    upload("/done/upload", one, 2).assert_is(200, "replayed");
    upload("/done/upload", "twenty bytes of mail", 3).assert_is(200, "executed");
    upload("/late/upload", one, 1).assert_is(408, "in-doubt");
    upload("/late/upload", one, 2).assert_problem(424, "in-doubt");
    // The tool gets the coding as it came.
    assert_eq!(upstream.received()[0].body, chunked(one.as_bytes(), 1));
}

#[test]
fn proofs_are_never_stored() {
    let upstream = tool();
    let engine = engine!().env("STATE_ENGINE_LOG", "trace").start();
    let proofs = [
        "DPoP",
        "X-PAYMENT",
        "PAYMENT-SIGNATURE",
        "X-Login-Assertion",
        "Acme-Proof",
        "Device-Attestation",
        "X-OTP",
        "Signature",
        "X-Hub-Signature-256",
        "X-Captcha-Response",
    ];
    let plain = Request::post(&upstream.url("/done"), "x");
    let request = proofs.iter().fold(plain, |request, name| request.header(name, "pr00f-of-a-try"));
    engine.send(&request).assert_is(200, "executed");
    assert_eq!(upstream.only().header("dpop"), Some("pr00f-of-a-try"));
    assert!(!engine.log().contains("pr00f"), "a proof is in the log");
    let builder = engine.kill();
    for (path, _) in files(builder.home()).into_iter().filter(|(path, _)| !path.contains("reserve"))
    {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(5).any(|part| part == b"pr00f"), "a proof is in {path}");
    }
}
