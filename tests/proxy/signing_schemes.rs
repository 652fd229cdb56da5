//! What clients that sign add to each try of a call, by scheme.

use testkit::base64;

/// What a scheme adds to one try: query parameters and header fields.
#[derive(Default)]
pub(super) struct Signed {
    pub(super) query: String,
    pub(super) fields: Vec<(&'static str, String)>,
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

/// A JSON Web Token, signed for try `n`.
pub(super) fn jwt(payload: &str, n: u32) -> String {
    let part = |text: &str| base64(text).replace('+', "-").replace('/', "_").replace('=', "");
    let signature = part(&drawn(n));
    format!("{}.{}.{signature}", part(r#"{"alg":"ES256","typ":"JWT"}"#), part(payload))
}

pub(super) type Scheme = (&'static str, fn(&str, u32) -> Signed);

/// Each as its document shows it, for a signer and the number of a try.
pub(super) const SCHEMES: &[Scheme] = &[
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
    ("escher-field", |id, n| {
        fields([
            (
                "X-Escher-Auth",
                format!(
                    "ESR-HMAC-SHA256 Credential={id}/2026013{n}/eu/esr_request, \
                     SignedHeaders=host, Signature={n}d"
                ),
            ),
            ("X-Escher-Date", format!("2026013{n}T100000Z")),
        ])
    }),
    ("wsse", |id, n| {
        fields([
            ("Authorization", "WSSE profile=\"UsernameToken\"".to_owned()),
            (
                "X-WSSE",
                format!(
                    "UsernameToken Username=\"{id}\", PasswordDigest=\"{}\", Nonce=\"n{n}\", \
                     Created=\"2026-01-31T10:00:0{n}Z\"",
                    drawn(n)
                ),
            ),
        ])
    }),
    ("jwt-in-query", |id, n| {
        query(format!("jwt={}", jwt(&format!(r#"{{"iss":"{id}","iat":{n},"qsh":"q"}}"#), n)))
    }),
    ("acme-sign", |id, n| {
        authorization(format!("ACME-SIGN appId={id} , ts=179003085{n}, sign=\"{n}\\\"b\""))
    }),
];
