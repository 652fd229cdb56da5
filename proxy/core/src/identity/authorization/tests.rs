use super::*;

fn lasting_text(field: &str) -> Option<String> {
    let parts = lasting(field.as_bytes())?;
    let parts: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(parts.join(" "))
}

#[test]
fn what_each_request_draws_is_left_out() {
    for (field, want) in [
        (
            "AWS4-HMAC-SHA256 Credential=AKID/20260131/eu-west-1/sns/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=ab12",
            "access key=AKID",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/20260131/r/s3/aws4_request,SignedHeaders=host,Signature=f",
            "access key=a/b",
        ),
        (
            "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260131/s3/aws4_request, SignedHeaders=host, \
             Signature=ab",
            "access key=AKID",
        ),
        (
            "OAuth realm=\"r\", oauth_consumer_key=\"c%26\", oauth_token=\"t\", \
             oauth_nonce=\"n\", oauth_timestamp=\"1\", oauth_signature=\"s%3D\"",
            "oauth_consumer_key=c%26 oauth_token=t realm=r",
        ),
        (
            "OAuth oauth_callback=\"b\", oauth_consumer_key=\"c\",oauth_token=\"\"",
            "oauth_callback=b oauth_consumer_key=c oauth_token=",
        ),
        (
            "Digest username=\"ada, l\", realm=\"a=b\", nonce=\"n\", uri=\"/\", nc=00000001, \
             cnonce=\"c\", response=\"r\"",
            "username=ada, l realm=a=b",
        ),
        ("Digest username=\"D\\\\ada\", realm=\"r\", response=\"1\"", "username=D\\\\ada realm=r"),
    ] {
        assert_eq!(lasting_text(field).as_deref(), Some(want), "{field}");
    }
}

#[test]
fn any_scheme_that_signs_has_a_lasting_part() {
    for (field, want) in [
        ("AWS AKID:frJIUN8DYpKDtOLCwo//yllqDzg=", "id=AKID scheme=aws"),
        ("SharedKey account:fZ+x/w==", "id=account scheme=sharedkey"),
        ("QBox ak_1:c2ln:extra", "id=ak_1 scheme=qbox"),
        (
            "Signature keyId=\"k\",algorithm=\"hs2019\",signature=\"x==\"",
            "keyid=k scheme=signature",
        ),
        (
            "Hawk id=\"dh37\", ts=\"1\", nonce=\"j4\", ext=\"e\", mac=\"6R4=\"",
            "id=dh37 scheme=hawk",
        ),
        (
            "hmac username=\"alice\", headers=\"date\", signature=\"s\"",
            "username=alice scheme=hmac",
        ),
        ("X CLIENT_ID=a , Sig = b", "client_id=a scheme=x"),
        (
            "ACS3-HMAC-SHA256 Credential=AK,SignedHeaders=host;x-acs-date,Signature=06",
            "credential=AK scheme=acs3-hmac-sha256",
        ),
        (
            "TC3-HMAC-SHA256 Credential=AK/2019-02-25/cvm/tc3_request, Signature=10",
            "credential=AK scheme=tc3-hmac-sha256",
        ),
        (
            "SDK-HMAC-SHA256 Access=AK, SignedHeaders=a;b, Signature=1",
            "access=AK scheme=sdk-hmac-sha256",
        ),
        (
            "EG1-HMAC-SHA256 client_token=c;access_token=a;timestamp=1;nonce=2;signature=3",
            "access_token=a client_token=c scheme=eg1-hmac-sha256",
        ),
        (
            "SharedAccessSignature sr=r&sig=x%3D&se=1&skn=Root",
            "skn=Root scheme=sharedaccesssignature",
        ),
        ("q-sign-algorithm=sha1&q-ak=AK&q-sign-time=1;2&q-signature=f", "q-ak=AK scheme="),
        ("bce-auth-v1/AK/2026-01-31T10:00:00Z/1800/host/ab", "id=bce-auth-v1/AK"),
        ("Foo realm=\"r\", ts=1, signature=\"s\"", "realm=r scheme=foo"),
        (
            "AWS4-HMAC-SHA256 Credential=AKID, Signature=a",
            "credential=AKID scheme=aws4-hmac-sha256",
        ),
    ] {
        assert_eq!(lasting_text(field).as_deref(), Some(want), "{field}");
        assert!(signs(field.as_bytes()), "{field}");
    }
}

#[test]
fn a_secret_that_lasts_counts_as_a_whole() {
    for field in [
        "Bearer a.b.c",
        "Bearer credential=x",
        "Bearer 123:AAH",
        "Basic dXNlcjpwYXNz",
        "Token token=\"abc\"",
        "ApiKey ada:secret",
        "GenieKey eb243592-faa2-4ba2-a551q-1afdf565c889",
        "MediaBrowser Client=\"web\", Token=\"secret\"",
        "OAuth oauth_token=\"t\"",
        "OAuth oauth_consumer_key=\"c\", oauth_consumer_key=\"d\"",
        "OAuth oauth_consumer_key=\"c\",, oauth_token=\"t\"",
        "OAuth ya29.token",
        "Digest username=\"a\"",
        "Digest username*=UTF-8''a, realm=\"r\"",
        "Digest username=\"a\" realm=\"r\"",
        "Digest username=\"a, realm=\"r",
        "Digest",
        "plain-token",
        "",
    ] {
        assert_eq!(lasting_text(field), None, "{field}");
        assert!(!signs(field.as_bytes()), "{field}");
    }
}

#[test]
fn a_signature_elsewhere_may_name_its_key() {
    let ids = |field: &str| {
        signer(field.as_bytes()).into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("sig1=(\"@method\" \"date\");created=1;keyid=\"k;1\";nonce=\"n\""), "k;1");
    assert_eq!(ids("a=();keyid=\"x\", b=();keyid=\"y\""), "x y");
    assert_eq!(ids("keyId=\"k\",signature=\"s\""), "k");
    for none in ["sig1=:YWJj:", "t=1,v1=abc", "sha256=ab12", ""] {
        assert_eq!(ids(none), "", "{none}");
    }
}
