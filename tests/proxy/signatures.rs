//! Clients that sign each try again: a retry has one effect, whatever the scheme.

use std::fs;

use testkit::{Request, Upstream, base64, engine, files};

use super::headers::hits_at;

/// What a scheme adds to one try: query parameters and header fields.
#[derive(Default)]
struct Signed {
    query: String,
    fields: Vec<(&'static str, String)>,
}

fn query(query: String) -> Signed {
    Signed { query, ..Signed::default() }
}

fn fields<const N: usize>(fields: [(&'static str, String); N]) -> Signed {
    Signed { fields: fields.into(), ..Signed::default() }
}

fn authorization(value: String) -> Signed {
    fields([("Authorization", value)])
}

/// A signature that looks like one, new for each try.
fn drawn(n: u32) -> String {
    base64(&format!("signature {n} of {}", n * 7_919))
}

fn jwt(payload: &str, n: u32) -> String {
    let part = |text: &str| base64(text).replace('+', "-").replace('/', "_").replace('=', "");
    let signature = part(&drawn(n));
    format!("{}.{}.{signature}", part(r#"{"alg":"ES256","typ":"JWT"}"#), part(payload))
}

type Scheme = (&'static str, fn(&str, u32) -> Signed);

/// Each as its document shows it, for a signer and the number of a try.
const SCHEMES: &[Scheme] = &[
    ("aws-sigv4", |id, n| {
        fields([
            (
                "Authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={id}/20260131/eu-west-1/sns/aws4_request, SignedHeaders=host;x-amz-date, Signature={}",
                    drawn(n)
                ),
            ),
            ("X-Amz-Date", format!("20260131T10000{n}Z")),
        ])
    }),
    ("aws-sigv4-query", |id, n| {
        query(format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F2026013{n}%2Fr%2Fs3%2Faws4_request&X-Amz-Date=2026013{n}T000000Z&X-Amz-Expires=6{n}&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t{n}&X-Amz-Signature=ab{n}"
        ))
    }),
    ("aws-sigv4a", |id, n| {
        authorization(format!(
            "AWS4-ECDSA-P256-SHA256 Credential={id}/2026013{n}/s3/aws4_request, SignedHeaders=host;x-amz-region-set, Signature=30{n}"
        ))
    }),
    ("aws-v2", |id, n| {
        fields([
            ("Authorization", format!("AWS {id}:{}", drawn(n))),
            ("Date", format!("Mon, 0{n}")),
        ])
    }),
    ("azure-shared-key", |id, n| {
        fields([
            ("Authorization", format!("SharedKey {id}:{}", drawn(n))),
            ("x-ms-date", format!("Sat, 31 Jan 2026 10:00:0{n} GMT")),
        ])
    }),
    ("azure-sas", |id, n| {
        query(format!("sv=2024-11-04&se=2026-01-31T1{n}&sr=b&sp=rw&acct={id}&sig=x{n}%3D"))
    }),
    ("alibaba-acs3", |id, n| {
        fields([
            (
                "Authorization",
                format!(
                    "ACS3-HMAC-SHA256 Credential={id},SignedHeaders=host;x-acs-date,Signature={n}f"
                ),
            ),
            ("x-acs-date", format!("2026-01-31T10:00:0{n}Z")),
            ("x-acs-signature-nonce", format!("n{n}")),
        ])
    }),
    ("tencent-tc3", |id, n| {
        fields([
            (
                "Authorization",
                format!(
                    "TC3-HMAC-SHA256 Credential={id}/2026-01-3{n}/cvm/tc3_request, SignedHeaders=content-type;host, Signature={n}a"
                ),
            ),
            ("X-TC-Timestamp", format!("179003085{n}")),
        ])
    }),
    ("oauth-1", |id, n| {
        authorization(format!(
            "OAuth oauth_consumer_key=\"{id}\", oauth_nonce=\"n{n}\", oauth_timestamp=\"179003085{n}\", oauth_signature_method=\"HMAC-SHA1\", oauth_signature=\"s{n}%3D\""
        ))
    }),
    ("digest", |id, n| {
        authorization(format!(
            "Digest username=\"{id}\", realm=\"r\", nonce=\"n{n}\", uri=\"/\", nc=0000000{n}, cnonce=\"c{n}\", response=\"{n}f\""
        ))
    }),
    ("draft-cavage", |id, n| {
        authorization(format!(
            "Signature keyId=\"{id}\",algorithm=\"hs2019\",created={n},headers=\"(created)\",signature=\"{}\"",
            drawn(n)
        ))
    }),
    ("rfc-9421", |id, n| {
        fields([
            (
                "Signature-Input",
                format!(
                    "sig1=(\"@method\" \"@path\");created=179003085{n};keyid=\"{id}\";nonce=\"n{n}\""
                ),
            ),
            ("Signature", format!("sig1=:{}:", drawn(n))),
        ])
    }),
    ("hawk", |id, n| {
        authorization(format!(
            "Hawk id=\"{id}\", ts=\"179003085{n}\", nonce=\"j{n}\", mac=\"{}\"",
            drawn(n)
        ))
    }),
    ("escher", |id, n| {
        fields([
            ("X-Escher-Auth", "unused".to_owned()),
            (
                "Authorization",
                format!(
                    "EMS-HMAC-SHA256 Credential={id}/20260131/eu/suite/ems_request, SignedHeaders=date;host, Signature=e{n}"
                ),
            ),
            ("X-EMS-Date", format!("20260131T10000{n}Z")),
        ])
    }),
    ("hmac-username", |id, n| {
        fields([
            (
                "Authorization",
                format!(
                    "hmac username=\"{id}\", algorithm=\"hmac-sha256\", headers=\"x-date\", signature=\"{}\"",
                    drawn(n)
                ),
            ),
            ("X-Date", format!("Sat, 31 Jan 2026 10:00:0{n} GMT")),
        ])
    }),
    ("bearer-dpop", |id, n| {
        let proof = format!(r#"{{"jti":"{n}","htm":"POST","htu":"http://x/","iat":{n}}}"#);
        fields([("Authorization", format!("DPoP token-of-{id}")), ("DPoP", jwt(&proof, n))])
    }),
    ("jwt-for-each-try", |id, n| {
        let payload = format!(r#"{{"iss":"app","sub":"{id}","iat":{n},"exp":{n}9,"jti":"j{n}"}}"#);
        authorization(format!("Bearer {}", jwt(&payload, n)))
    }),
    ("exchange-query", |id, n| {
        let mut signed =
            query(format!("symbol=BTC&timestamp=179003085{n}000&recvWindow=5000&signature={n}f"));
        signed.fields.push(("X-MBX-APIKEY", id.to_owned()));
        signed
    }),
    // Schemes that nobody has listed.
    ("exchange-headers", |id, n| {
        fields([
            ("CB-ACCESS-KEY", id.to_owned()),
            ("CB-ACCESS-SIGN", drawn(n)),
            ("CB-ACCESS-TIMESTAMP", format!("179003085{n}")),
        ])
    }),
    ("api-expires", |id, n| {
        fields([
            ("Api-Key", id.to_owned()),
            ("Api-Expires", format!("179003085{n}")),
            ("Api-Signature", format!("{n}e")),
        ])
    }),
    ("edgegrid", |id, n| {
        authorization(format!(
            "EG1-HMAC-SHA256 client_token={id};access_token=a;timestamp=2026013{n}T10:00:00+0000;nonce=n{n};signature={}",
            drawn(n)
        ))
    }),
    ("baidu", |id, n| {
        authorization(format!("bce-auth-v1/{id}/2026-01-31T10:00:0{n}Z/1800/host/{n}f"))
    }),
    ("tencent-cos", |id, n| {
        authorization(format!(
            "q-sign-algorithm=sha1&q-ak={id}&q-sign-time={n};9&q-key-time={n};9&q-header-list=host&q-url-param-list=&q-signature={n}c"
        ))
    }),
    ("cloudfront", |id, n| {
        query(format!("file={id}&Expires=179003085{n}&Signature=x{n}~&Key-Pair-Id=K"))
    }),
    ("qiniu", |id, n| authorization(format!("QBox {id}:{}", drawn(n)))),
    ("acme-sign", |id, n| {
        authorization(format!("ACME-SIGN appId={id} , ts=179003085{n}, sign=\"{n}\\\"b\""))
    }),
];

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
