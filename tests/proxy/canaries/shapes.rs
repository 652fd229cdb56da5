//! Secrets of every usual shape, each drawn once, so that a byte of it that is seen shows where it came
//! from.

use testkit::base64;

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";

/// A secret in one place.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    /// As a text has it.
    pub text: String,
    /// The part that must not be seen: letters and digits, which no encoding changes.
    pub secret: String,
    /// What it is called where names and values stand apart. `None`: only its shape says what it is.
    pub name: Option<&'static str>,
    /// The value under that name.
    pub value: String,
}

pub(super) const SHAPES: [&str; 20] = [
    "jwt",
    "pem",
    "aws",
    "github",
    "slack",
    "stripe",
    "openai",
    "anthropic",
    "google",
    "telegram",
    "npm",
    "pypi",
    "sendgrid",
    "twilio",
    "bearer",
    "basic",
    "userinfo",
    "password",
    "card_cvv",
    "one-time code",
];

/// The canary of a shape. `seed` makes it the only one of its kind.
pub(super) fn canary(shape: &str, seed: u64) -> Canary {
    let drawn = |alphabet: &str, length| draw(alphabet, length, seed);
    let alnum = |length| drawn(ALNUM, length);
    let mut name = None;
    let (secret, text) = match shape {
        "jwt" => with(alnum(40), |s| format!("eyJhbGciOiJIUzI1NiJ9.{s}.c2lnbmF0dXJl")),
        "pem" => with(alnum(64), |s| {
            format!("-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----")
        }),
        "aws" => with(drawn(UPPER, 16), |s| format!("AKIA{s}")),
        "github" => with(alnum(36), |s| format!("ghp_{s}")),
        "slack" => with(alnum(24), |s| format!("xoxb-123456789012-{s}")),
        "stripe" => with(alnum(24), |s| format!("sk_live_{s}")),
        "openai" => with(alnum(40), |s| format!("sk-proj-{s}")),
        "anthropic" => with(alnum(40), |s| format!("sk-ant-api03-{s}")),
        "google" => with(alnum(35), |s| format!("AIza{s}")),
        "telegram" => with(alnum(33), |s| format!("123456789:AA{s}")),
        "npm" => with(alnum(36), |s| format!("npm_{s}")),
        "pypi" => with(alnum(60), |s| format!("pypi-AgEIcHlwaS5vcmc{s}")),
        "sendgrid" => with(alnum(43), |s| format!("SG.ngeVfQFYQlKU0ufo8x5d1A.{s}")),
        "twilio" => with(drawn(HEX, 32), |s| format!("SK{s}")),
        "bearer" => with(alnum(30), |s| format!("Bearer {s}")),
        "basic" => {
            let coded = base64(&format!("ada:{}", alnum(29)));
            // Its first bytes are those of the user.
            (coded[6..].trim_end_matches('=').to_owned(), format!("Basic {coded}"))
        }
        "userinfo" => with(alnum(20), |s| format!("https://ada:{s}@db.test/x")),
        "password" => {
            name = Some("password");
            with(alnum(20), |s| format!("password={s}"))
        }
        "card_cvv" => {
            name = Some("card_cvv");
            with(drawn(DIGITS, 12), |s| format!("card_cvv: {s}"))
        }
        "one-time code" => {
            name = Some("X-Otp");
            with(drawn(DIGITS, 12), |s| format!("your one-time code is {s}"))
        }
        _ => unreachable!("{shape}"),
    };
    let value = if name.is_some() { secret.clone() } else { text.clone() };
    Canary { text, secret, name, value }
}

fn with(secret: String, text: impl Fn(&str) -> String) -> (String, String) {
    let text = text(&secret);
    (secret, text)
}

/// Characters that look drawn and are the same in each run (splitmix64).
fn draw(alphabet: &str, length: usize, seed: u64) -> String {
    // Far from those of other seeds.
    let mut state = seed.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95);
    let letters = alphabet.as_bytes();
    (0..length)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            char::from(letters[(mixed ^ (mixed >> 31)) as usize % letters.len()])
        })
        .collect()
}
