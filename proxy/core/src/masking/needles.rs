//! What a text is searched for, all at once: bytes that a secret may begin with, or follow.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::prefixes::PREFIXES;

/// What a needle hints at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// A credential with a known beginning.
    Prefix,
    /// A JSON Web Token.
    Jwt,
    /// A key in PEM.
    Pem,
    /// A scheme of `Authorization`, before a credential.
    Scheme,
    /// The middle of a URL.
    Url,
    /// An image or similar data, which is passed over.
    Data,
    /// The middle of a bot token of Telegram.
    Telegram,
    /// The middle of a token of Terraform.
    Terraform,
    /// The middle of a secret of Entra ID.
    Entra,
    /// The end of a key of Mailchimp.
    Mailchimp,
    /// A part of a name that may name a secret.
    Name,
}

/// Needles besides the known prefixes. Letters match in either case.
const NEEDLES: &[(Hint, &[&str])] = &[
    (Hint::Jwt, &["eyJ"]),
    (Hint::Pem, &["-----BEGIN ", "PuTTY-User-Key-File-"]),
    (
        Hint::Scheme,
        &[
            "apikey ",
            "basic ",
            "bearer ",
            "bot ",
            "dpop ",
            "negotiate ",
            "oauth ",
            "ssws ",
            "token ",
        ],
    ),
    (Hint::Url, &["://"]),
    (Hint::Data, &[";base64,"]),
    (Hint::Telegram, &[":AA"]),
    (Hint::Terraform, &[".atlasv1."]),
    (Hint::Entra, &["Q~"]),
    (Hint::Mailchimp, &["-us"]),
    (
        Hint::Name,
        &[
            "assertion",
            "auth",
            "bearer",
            "code",
            "cookie",
            "cred",
            "csc",
            "cvc",
            "cvv",
            "jwt",
            "kennwort",
            "key",
            "mnemonic",
            "num",
            "otp",
            "pan",
            "pass",
            "phrase",
            "pin",
            "pwd",
            "secret",
            "session",
            "signature",
            "ssn",
            "token",
            "words",
        ],
    ),
];

/// A place in a text where a secret may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) hint: Hint,
    pub(super) start: usize,
    pub(super) end: usize,
}

struct Needles {
    automaton: AhoCorasick,
    hints: Vec<Hint>,
}

static ALL: LazyLock<Needles> = LazyLock::new(|| {
    let prefixes = PREFIXES.iter().map(|prefix| (Hint::Prefix, prefix.start));
    let others = NEEDLES.iter().flat_map(|(hint, list)| list.iter().map(|text| (*hint, *text)));
    let (hints, texts): (Vec<Hint>, Vec<&str>) = prefixes.chain(others).unzip();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(texts)
        .expect("the needles are few and short");
    Needles { automaton, hints }
});

/// The places in a text where a secret may be, by their ends.
pub(super) fn hits(text: &str) -> impl Iterator<Item = Hit> {
    ALL.automaton.find_overlapping_iter(text).map(|found| Hit {
        hint: ALL.hints[found.pattern().as_usize()],
        start: found.start(),
        end: found.end(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::names::names_secret;
    use super::*;

    #[test]
    fn a_name_of_a_secret_has_a_needle() {
        for name in [
            "password",
            "passphrase",
            "client_secret",
            "apiKey",
            "accessKey",
            "private_key",
            "credential",
            "Authorization",
            "Set-Cookie",
            "X-Signature",
            "bearer",
            "assertion",
            "pwd",
            "pass",
            "auth",
            "otp",
            "pin",
            "jwt",
            "cvv",
            "cvc",
            "ssn",
            "mcp-session-id",
            "refresh_token",
            "access_tokens",
            "verification_code",
            "seed_phrase",
            "card_number",
            "cc_num",
            "creds",
            "csc",
            "passwort",
            "kennwort",
            "mnemonic",
            "recovery words",
        ] {
            assert!(names_secret(name), "{name}");
            assert!(hits(name).any(|hit| hit.hint == Hint::Name), "{name}");
        }
    }
}
