use super::*;

#[test]
fn any_text_is_shown_without_its_secrets() {
    for (whole, want) in [
        (r#"{"a": 1, "password":"x"}"#, r#"{"a": 1, "password":"[masked]"}"#),
        (r#"{"name":"password","value":"x1"}"#, r#"{"name":"password","value":"[masked]"}"#),
        (r#"{"value":"x1","key":"card_cvv"}"#, r#"{"value":"[masked]","key":"card_cvv"}"#),
        (
            r#"{"element":"Password field","text":"x1"}"#,
            r#"{"element":"Password field","text":"[masked]"}"#,
        ),
        (
            r#"{"op":"replace","path":"/user/pin","value":1}"#,
            r#"{"op":"replace","path":"/user/pin","value":"[masked]"}"#,
        ),
        (r#"{"name":"colour","value":"red"}"#, ""),
        (r#"{"title":"Password","text":"Reset it"}"#, ""),
        (r#"[["password","x1"],["a","b"]]"#, r#"[["password","[masked]"],["a","b"]]"#),
        (r#"{"required":["password","email"]}"#, ""),
        (r#"["password","x1","y"]"#, ""),
        (r#"{"cmd":"curl -H \"X-Auth: abc\" h"}"#, r#"{"cmd":"curl -H \"X-Auth: [masked]\" h"}"#),
        (r#"{"ghp_16C7e42F292c6912E7710c838347Ae178B4a":1}"#, r#"{"[masked:github]":1}"#),
        (r#"{"a":"AKIAIOSFODNN7EXAMPLE","b":"x"}"#, r#"{"a":"[masked:aws]","b":"x"}"#),
        (
            r#"{"query":"mutation{login(password:\"x1\"){id}}"}"#,
            r#"{"query":"mutation{login(password:\"[masked]\"){id}}"}"#,
        ),
        (r#"{"n":1.00000000000000000001,"s":"\u0061\/b"}"#, ""),
        ("{\"a\":1}\n{\"token\":\"x\"}\n", "{\"a\":1}\n{\"token\":\"[masked]\"}\n"),
        (
            "event: m\ndata: {\"otp\":1}\n\ndata: {\"a\":2}\n\n",
            "event: m\ndata: {\"otp\":\"[masked]\"}\n\ndata: {\"a\":2}\n\n",
        ),
        ("data: {\"otp\":\ndata: 12345}\n", "data: {\"otp\":\ndata: 12345}\n"),
        ("plain", ""),
        ("{", ""),
        ("", ""),
    ] {
        let want = if want.is_empty() { whole } else { want };
        assert_eq!(text(whole), want);
        assert_eq!(text(want), want, "masking again changes nothing");
    }
}

#[test]
fn fields_are_shown_without_their_secrets() {
    for (name, value, want) in [
        ("x-auth", "abc", "[masked]"),
        ("x-otp", "123456", "[masked]"),
        ("dpop", "eyJ", "[masked]"),
        ("x-note", "use sk_live_4eC39HqLyjWDarjtT1zdp7dc", "use [masked:stripe]"),
        ("location", "/hooks/AbCdEfGhIjKlMnOp1", "/hooks/[masked]"),
        ("location", "https://h/a?token=s&b=1", "https://h/a?token=[masked]&b=1"),
        ("content-type", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        (
            "etag",
            "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
            "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
        ),
        ("www-authenticate", "Bearer realm=\"x\"", "Bearer realm=\"x\""),
        ("x-request-id", "req_1234567890abcdef", "req_1234567890abcdef"),
    ] {
        assert_eq!(field(name, value), want, "{name}");
    }
}
