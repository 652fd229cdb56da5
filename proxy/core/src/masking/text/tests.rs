use super::*;
use crate::masking::prefixes::{Chars, PREFIXES};

/// What is masked, between braces, in a text of which the rest stays.
#[rustfmt::skip]
const SECRETS: &[(&str, &str)] = &[
    ("jwt", "see {eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U} now"),
    ("jwt", "{eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0}."),
    ("jwt", "t=1&j={eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ}"),
    ("private-key", "key:\n{-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----}\nend"),
    ("private-key", "{-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA"),
    ("private-key", "{-----BEGIN PGP PRIVATE KEY BLOCK-----\\nxcFG\\n-----END PGP PRIVATE KEY BLOCK-----}\\n"),
    ("private-key", "{PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA"),
    ("bearer", "curl -H 'X-Any: Bearer {mF_9.B5f-4.1JqM}' https://h/"),
    ("bearer", "bearer {canary-without-any-digit-in-it}"),
    ("basic", "send Basic {QWxhZGRpbjpvcGVuIHNlc2FtZQ==}, then"),
    ("credential", "Negotiate {YIIJvwYGKwYBBQUCoIIJszCCCa8abcd}"),
    ("credential", "Bot {MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs}"),
    ("aws", "id {AKIAIOSFODNN7EXAMPLE}."),
    ("github", "\\n{ghp_16C7e42F292c6912E7710c838347Ae178B4a}\\n"),
    ("github", "{github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz}"),
    ("gitlab", "({glpat-abcDEF123456abcDEF12})"),
    ("slack", "{xoxb-123456789012-1234567890123-abcDEFabcDEFabcDEFabcDEF}"),
    ("stripe", "{sk_live_4eC39HqLyjWDarjtT1zdp7dc}"),
    ("stripe", "{rk_test_4eC39HqLyjWDarjtT1zdp7dc}"),
    ("openai", "{sk-proj-abcdefghij-klmnopqrst_uvwxyz}"),
    ("api-key", "{sk-abcdefghijklmnopqrst0123456789}"),
    ("anthropic", "use {sk-ant-api03-abcdefghijklmnop} here"),
    ("google", "{AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe}"),
    ("google", "{ya29.a0AfH6SMBabcdefghijklm_nopqrstuvw}"),
    ("telegram", "{123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1}"),
    ("telegram", "/bot{123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1}/getMe"),
    ("npm", "{npm_abcdefghijklmnopqrstuvwxyz0123456789}"),
    ("pypi", "{pypi-AgEIcHlwaS5vcmcCJDU0ZjJiMTY3LTc4}"),
    ("sendgrid", "{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}."),
    ("twilio", "{SK0123456789abcdef0123456789abcdef}"),
    ("terraform", "{abcdefghij1234.atlasv1.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz}"),
    ("entra-id", "{abc8Q~abcdefghijklmnopqrstuvwxyz0123456}"),
    ("mailchimp", "{0123456789abcdef0123456789abcdef-us12}"),
    ("hugging-face", "{hf_abcdefghijklmnopqrstuvwxyzabcdefgh}"),
    ("", "API_KEY={abc}"),
    ("", "export DB_PASSWORD={p@ss;word,x} && run"),
    ("", "password: {hunter2}"),
    ("", "{}", ),
    ("", "\"password\": \"{hun\\\"ter, 2}\", \"a\": 1"),
    ("", "\\\"pass\\\":\\\"{hunter2}\\\",\\\"a\\\":1"),
    ("", "\"pin\": {1234}}"),
    ("", "mutation { login(user: \"ada\", password: \"{hunter2}\") { id } }"),
    ("", "mysql --password {hunter2} -u root"),
    ("", "tool --api-key={hunter2}"),
    ("", "Authorization: {Bearer abc def}\nAccept: a"),
    ("", "Cookie: {a=b; c=d}\r\nHost: h"),
    ("", "X-Auth: {hunter2}"),
    ("", "x-otp={1}"),
    ("", "card_cvv={123}&a=1"),
    ("", "your one-time code is {482913}, keep it"),
    ("", "the verification code: {482913}."),
    ("", "API key: {hunter2}"),
    ("", "<password>{hunter2}</password><a>1</a>"),
    ("", "<ns:apiKey>{hunter2}</ns:apiKey>"),
    ("", "<a password=\"{hunter2}\"/>"),
    ("", "DefaultEndpointsProtocol=https;AccountKey={abc+/=};EndpointSuffix=core"),
    ("", "ALTER USER ada PASSWORD '{hunter2}';"),
    ("", "{\"name\": \"password\", \"value\": \"{hunter2}\"}"),
    ("", "- name: DB_PASSWORD\n  value: {hunter2}\n- name: A"),
    ("", "name=\"pin\"\r\n\r\n{1234}\r\n--q"),
    ("", "token => {abc}, other => 1"),
    ("", "'client_secret': '{abc}'"),
    ("", "credentials={\"a\": \"b\"}"),
    ("", "see https://h/?token={s}, or"),
    ("", "postgres://{ada:hunter2}@db:5432/x"),
    ("", "redis://{:hunter2}@cache/0"),
    ("", "https://hooks.slack.com/{services/T/B/s}"),
];

/// A row as it is written, and as it is masked.
fn row(shape: &str, marked: &str) -> (String, String) {
    if let Some((start, _)) = marked.split_once("credentials={") {
        return (marked.to_owned(), format!("{start}credentials={MASK}"));
    }
    let at = marked.find("{eyJ").or_else(|| secret_at(marked)).unwrap_or(marked.len());
    let (start, rest) = marked.split_at(at);
    let rest = rest.strip_prefix('{').unwrap_or(rest);
    let (secret, end) = rest.rsplit_once('}').map_or((rest, ""), |_| close(rest));
    let mask = if shape.is_empty() { MASK.to_owned() } else { mask_of(shape) };
    let mask = if secret.is_empty() { String::new() } else { mask };
    (format!("{start}{secret}{end}"), format!("{start}{mask}{end}"))
}

/// The brace that marks a secret is one without a space or a quote behind it.
fn secret_at(marked: &str) -> Option<usize> {
    marked
        .match_indices('{')
        .map(|(at, _)| at)
        .find(|at| !marked[at + 1..].starts_with([' ', '"', '}']))
}

fn close(rest: &str) -> (&str, &str) {
    let at = rest.find('}').unwrap_or(rest.len());
    (&rest[..at], &rest[at + 1..])
}

#[test]
fn secrets_in_texts_are_masked() {
    let wrong: Vec<_> = SECRETS
        .iter()
        .map(|(shape, marked)| row(shape, marked))
        .map(|(text, want)| (masked(&text).into_owned(), want))
        .filter(|(found, want)| found != want)
        .collect();
    assert!(wrong.is_empty(), "found, wanted: {wrong:#?}");
    assert!(SECRETS.len() >= 60);
}

/// Each known prefix, followed by the least that makes it a credential, and by less.
#[test]
fn each_prefix_makes_a_credential() {
    for prefix in PREFIXES {
        let drawn = match prefix.chars {
            Chars::Hex => "0123456789abcdef",
            Chars::Upper => "A2B3C4D5E6F7G2H3",
            _ => "a1B2c3D4e5F6g7H8",
        };
        let body: String = drawn.chars().cycle().take(prefix.least).collect();
        let secret = format!("{}{body}", prefix.start);
        let want = format!("x={} y", mask_of(prefix.shape));
        assert_eq!(masked(&format!("x={secret} y")), want, "{secret}");
        let short = format!("x={}{} y", prefix.start, &body[..prefix.least.min(8) - 2]);
        assert_eq!(masked(&short), short);
        let within = format!("word{secret} y");
        assert!(masked(&within).starts_with("word"), "{within}");
    }
}

/// What must stay readable.
#[rustfmt::skip]
const PLAIN: &[&str] = &[
    "550e8400-e29b-41d4-a716-446655440000", "018f5b2e-7c3e-7d4f-8a6b-1c2d3e4f5a6b",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "d41d8cd98f00b204e9800998ecf8427e",
    "8ad580c", "v1.2.3-rc.1+build.5", "ORD-2026-000123", "INV-0042/2026", "112-8492837-1234567",
    "2026-11-30T15:20:14Z", "2026-11-30", "19.99 EUR", "$1,299.00", "1.0e-7", "+49 30 1234567",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "1-67891233-abcdef012345678912345678",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk", "eyJpZCI6MTIzLCJuZXh0Ijp0cnVlfQ==",
    "pi_3MtwBwLkdIwHu7ix28a3tqPa", "cus_NffrFeUfNV2Hib", "price_1MoBy5LkdIwHu7ixZhnattbh",
    "pk_live_4eC39HqLyjWDarjtT1zdp7dc", "arn:aws:iam::123456789012:role/Admin", "AC0123456789abcdef0123456789abcdef",
    "ada@example.com", "https://example.com/a/b?c=1#d", "http://h:8080/a:b@c",
    "token bucket algorithm", "the bearer of good news", "Basic plan", "basic authentication is required",
    "Bearer realm=\"api\", error=\"invalid_token\"", "Token endpoint", "password reset instructions",
    "forgot your password?", "secret santa", "a cookie recipe", "the pin is pulled", "key: value",
    "max_tokens: 4096", "prompt_tokens=12", "status code: 404", "error code: 1234", "zip code: 90210",
    "country_code=DE", "promo code: SUMMER26", "author: Ada", "monkey: banana", "passenger: 2",
    "compass=north", "idempotency_key: order-42", "primary key: id", "public_key: abc", "keyword=rust",
    "API_KEY=$API_KEY", "curl -H \"Authorization: $AUTH\"", "password=${DB_PASSWORD}", "token: {{token}}",
    "password: ********", "password=<your-password>", "token: null", "password: string", "auth=true",
    "if token == other", "std::token::Kind", "sk-learn-classification-pipeline", "task-1234567890abcdef-x",
    "risk_live_monitor", "SKU 0123456789", "skeleton", "glc_", "pat.the.dog", "test_results_2026",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "12:30:45", "10:AAA", "SG.1", "Über-Größe: ✓", "session_id=abc", "us-east-1", "md5-us1",
    "lorem ipsum dolor sit amet, consectetur adipiscing elit", "0x1f", "3.14159", "true", "[masked]",
    "token=[masked]", "[masked:jwt]",
];

#[test]
fn what_is_not_a_secret_stays() {
    let wrong: Vec<_> = PLAIN
        .iter()
        .map(|text| (*text, masked(text)))
        .filter(|(text, masked)| text != masked)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(PLAIN.len() >= 60);
}

#[test]
fn a_masked_text_stays_as_it_is() {
    for (shape, marked) in SECRETS {
        let once = masked(&row(shape, marked).0).into_owned();
        assert_eq!(masked(&once), once);
    }
}

/// The beginning of a text hides what may be the beginning of a secret.
#[test]
fn a_cut_text_ends_before_a_secret() {
    let cut = |text: &str| Excerpt { text, cut: true, depth: 0 }.masked().into_owned();
    for (shape, marked) in SECRETS {
        let (text, _) = row(shape, marked);
        let (want, secret) = (masked(&text).into_owned(), text.len());
        // All ends within the secret, once its kind can be seen.
        let start = want.find(MASK).or_else(|| want.find("[masked:")).unwrap_or(secret);
        for end in (start + 24..secret).filter(|end| text.is_char_boundary(*end)) {
            let shown = cut(&text[..end]);
            let hidden = shown.contains("[masked")
                || !["jwt", "private-key", "aws", "github", "stripe"].contains(shape);
            assert!(hidden, "{shown}");
        }
    }
}

/// Texts that make a careless search look at each byte many times.
#[test]
fn a_text_is_read_once() {
    for part in [
        "sk-",
        "eyJ-",
        "eyJ.",
        "token=",
        "key",
        "key=[masked",
        "a://?x=",
        "://",
        "1:AA",
        "1Q~",
        "-us1",
        "https://h/?x=",
        "password is ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "bearer ",
        "key\n",
        "\"key\",\\",
        "key={",
        "a-",
        "%",
        ".atlasv1.",
        "token='",
        "/",
        "https://h/a@",
    ] {
        let text = part.repeat((1 << 16) / part.len());
        let found = masked(&text);
        assert!(found.len() <= text.len() * 3, "{part}");
    }
}
