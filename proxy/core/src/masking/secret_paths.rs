//! Paths of known hosts that are themselves credentials.

use super::mask::MASK;

/// A kind of path that is itself a credential: from which segment on, and whose documents say so.
pub(super) struct SecretPath {
    /// The host, or its end if it begins with a dot.
    hosts: &'static [&'static str],
    /// What the path begins with, without a version.
    start: &'static str,
    /// What is masked behind that.
    hidden: Secret,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    source: &'static str,
}

enum Secret {
    /// The rest of the path.
    Rest,
    /// The rest of the segment.
    Segment,
    /// The second segment. The first is an id.
    Second,
}

const DISCORD: &[&str] = &["discord.com", ".discord.com", "discordapp.com", ".discordapp.com"];

pub(super) const SECRET_PATHS: &[SecretPath] = &[
    SecretPath {
        hosts: &["hooks.slack.com"],
        start: "/",
        hidden: Secret::Rest,
        source: "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    },
    SecretPath {
        hosts: DISCORD,
        start: "/api/webhooks/",
        hidden: Secret::Second,
        source: "https://discord.com/developers/docs/resources/webhook#execute-webhook",
    },
    SecretPath {
        hosts: DISCORD,
        start: "/api/interactions/",
        hidden: Secret::Second,
        source: "https://discord.com/developers/docs/interactions/receiving-and-responding",
    },
    SecretPath {
        hosts: &["api.telegram.org"],
        start: "/bot",
        hidden: Secret::Segment,
        source: "https://core.telegram.org/bots/api#making-requests",
    },
    SecretPath {
        hosts: &[".webhook.office.com"],
        start: "/",
        hidden: Secret::Rest,
        source: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook",
    },
    SecretPath {
        hosts: &["hooks.zapier.com"],
        start: "/hooks/catch/",
        hidden: Secret::Second,
        source: "https://help.zapier.com/hc/en-us/articles/8496288690317",
    },
    SecretPath {
        hosts: &["maker.ifttt.com"],
        start: "/",
        hidden: Secret::Rest,
        source: "https://ifttt.com/maker_webhooks",
    },
];

impl SecretPath {
    /// The path with its secret masked. `None`: the row does not match it.
    pub(super) fn mask(&self, host: &str, path: &str) -> Option<String> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_about =
            |known: &str| host == known || known.starts_with('.') && host.ends_with(known);
        self.hosts.iter().find(|known| is_about(known))?;
        let rest = behind(self.start, path)?;
        let start = &path[..path.len() - rest.len()];
        let (shown, secret) = match self.hidden {
            Secret::Second => rest.split_at(rest.find('/')? + 1),
            Secret::Rest | Secret::Segment => ("", rest),
        };
        let end = match self.hidden {
            Secret::Rest => secret.len(),
            Secret::Segment | Secret::Second => secret.find('/').unwrap_or(secret.len()),
        };
        (end > 0).then(|| format!("{start}{shown}{MASK}{}", &secret[end..]))
    }
}

/// The part of the path behind its start. The start may contain a version: `/api/v10/…` for
/// `/api/…`.
fn behind<'a>(start: &str, path: &'a str) -> Option<&'a str> {
    if let Some(rest) = path.strip_prefix(start) {
        return Some(rest);
    }
    let (first, others) = start.strip_prefix('/')?.split_once('/')?;
    let rest = path.strip_prefix('/')?.strip_prefix(first)?.strip_prefix("/v")?;
    rest.trim_start_matches(|digit: char| digit.is_ascii_digit())
        .strip_prefix('/')?
        .strip_prefix(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_their_source() {
        for row in SECRET_PATHS {
            assert!(row.source.starts_with("https://"), "{:?}", row.hosts);
            assert!(row.start.starts_with('/'), "{:?}", row.hosts);
        }
    }
}
