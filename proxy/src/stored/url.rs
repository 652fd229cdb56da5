//! URLs and forms with their secrets masked.

use super::MASK;
use crate::headers::is_secret_parameter;
use crate::request::Target;

/// Where a path is itself a credential: from which segment on, and whose documents say so.
struct SecretPath {
    /// The host, or its end where it begins with a dot.
    host: &'static str,
    /// What the path begins with.
    start: &'static str,
    /// What is masked behind it.
    hidden: Hidden,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    source: &'static str,
}

enum Hidden {
    /// The rest of the path.
    Rest,
    /// The rest of the segment.
    Segment,
    /// The second segment; the first is an id.
    Second,
}

const SECRET_PATHS: &[SecretPath] = &[
    SecretPath {
        host: "hooks.slack.com",
        start: "/",
        hidden: Hidden::Rest,
        source: "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    },
    SecretPath {
        host: "discord.com",
        start: "/api/webhooks/",
        hidden: Hidden::Second,
        source: "https://discord.com/developers/docs/resources/webhook#execute-webhook",
    },
    SecretPath {
        host: "discordapp.com",
        start: "/api/webhooks/",
        hidden: Hidden::Second,
        source: "https://discord.com/developers/docs/resources/webhook#execute-webhook",
    },
    SecretPath {
        host: "api.telegram.org",
        start: "/bot",
        hidden: Hidden::Segment,
        source: "https://core.telegram.org/bots/api#making-requests",
    },
    SecretPath {
        host: ".webhook.office.com",
        start: "/",
        hidden: Hidden::Rest,
        source: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook",
    },
    SecretPath {
        host: "hooks.zapier.com",
        start: "/hooks/catch/",
        hidden: Hidden::Second,
        source: "https://help.zapier.com/hc/en-us/articles/8496288690317",
    },
    SecretPath {
        host: "maker.ifttt.com",
        start: "/",
        hidden: Hidden::Rest,
        source: "https://ifttt.com/maker_webhooks",
    },
];

impl SecretPath {
    fn matches(&self, host: &str, path: &str) -> bool {
        let host_matches =
            if self.host.starts_with('.') { host.ends_with(self.host) } else { host == self.host };
        host_matches && path.starts_with(self.start)
    }

    /// The path with its secret masked; it begins with `start`.
    fn mask(&self, path: &str) -> String {
        let (start, rest) = path.split_at(self.start.len());
        match self.hidden {
            Hidden::Rest if rest.is_empty() => path.to_owned(),
            Hidden::Rest => format!("{start}{MASK}"),
            Hidden::Segment => {
                let end = rest.find('/').unwrap_or(rest.len());
                format!("{start}{MASK}{}", &rest[end..])
            }
            Hidden::Second => match rest.split_once('/') {
                None => path.to_owned(),
                Some((id, rest)) => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    format!("{start}{id}/{MASK}{}", &rest[end..])
                }
            },
        }
    }
}

/// The URL for people, logs and the store: without the values of credential query parameters, and
/// without path parts that are known to be secrets.
pub(crate) fn masked_url(target: &Target) -> String {
    let path = target.path();
    let path = SECRET_PATHS
        .iter()
        .find(|row| row.matches(&target.authority.host, path))
        .map_or_else(|| path.to_owned(), |row| row.mask(path));
    let origin = format!("{}://{}", target.scheme.as_str(), target.host());
    match target.query() {
        None => format!("{origin}{path}"),
        Some(query) => format!("{origin}{path}?{}", mask_values(query, is_secret_parameter)),
    }
}

/// A form with the values masked whose names say that they are secrets. `None` where something
/// that is no name of a form field mentions one: it may be any text that only calls itself a form.
pub(super) fn masked_pairs(form: &str) -> Option<String> {
    let odd =
        |name: &str| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.~*%+[]".contains(&b));
    let hides = form.split('&').any(|pair| {
        odd(pair.split('=').next().unwrap_or_default()) && super::mentions_secret(pair)
    });
    (!hides).then(|| {
        mask_values(form, |name| is_secret_parameter(name) && !name.eq_ignore_ascii_case("key"))
    })
}

fn mask_values(pairs: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let masked: Vec<_> = pairs
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        })
        .collect();
    masked.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_their_source() {
        for row in SECRET_PATHS {
            assert!(row.source.starts_with("https://"), "{}", row.host);
            assert!(row.start.starts_with('/'), "{}", row.host);
        }
    }
}
