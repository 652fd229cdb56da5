//! The user's own proxy, which the environment names: the engine becomes the first hop, this the
//! next.

use anyhow::anyhow;
use proxy::{EgressProxies, EgressProxy};

use super::variables::{self, Variables};

/// How calls leave this machine.
#[derive(Debug, Default)]
pub(crate) struct UpstreamProxies {
    http: Option<EgressProxy>,
    https: Option<EgressProxy>,
    no_proxy: String,
    notes: Vec<String>,
}

impl UpstreamProxies {
    /// The configured proxies.
    pub(crate) fn all(&self) -> impl Iterator<Item = &EgressProxy> {
        self.http.iter().chain(&self.https)
    }

    /// Warnings for the user: which of two variables was used.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// As the engine is configured with it; `None` if no proxy is configured.
    pub(crate) fn egress_proxies(&self) -> Option<EgressProxies> {
        self.all().next()?;
        Some(EgressProxies::new(self.http.clone(), self.https.clone(), &self.no_proxy))
    }
}

/// Reads `--upstream-proxy`, else the variables: the lower-case name wins, as in curl. A proxy that
/// cannot be used is an error, because leaving it out would send calls another way.
pub(crate) fn configured(
    inherited: &Variables,
    flag: Option<&str>,
) -> anyhow::Result<UpstreamProxies> {
    let no_proxy = variables::no_proxy(inherited).unwrap_or_default();
    let hop = |names: [&str; 4]| {
        let (name, url) = names.iter().find_map(|name| {
            let value = inherited.get(*name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        })?;
        let hop = url.parse::<EgressProxy>().map_err(|why| anyhow!("{name}: {why}"));
        Some(hop)
    };
    let mut notes = Vec::new();
    let (http, https) = match flag {
        Some("none") => (None, None),
        Some(url) => {
            let hop: EgressProxy = url.parse().map_err(|why| anyhow!("--upstream-proxy: {why}"))?;
            (Some(hop.clone()), Some(hop))
        }
        None => {
            const PAIRS: [[&str; 2]; 3] = [
                ["http_proxy", "HTTP_PROXY"],
                ["https_proxy", "HTTPS_PROXY"],
                ["all_proxy", "ALL_PROXY"],
            ];
            notes.extend(PAIRS.into_iter().filter_map(|pair| differing(inherited, pair)));
            (
                hop(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
                hop(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
            )
        }
    };
    Ok(UpstreamProxies { http, https, no_proxy, notes })
}

/// A warning if both variables are set and differ. Their values may hold a password.
fn differing(inherited: &Variables, [used, ignored]: [&str; 2]) -> Option<String> {
    let value = |name| inherited.get(name).filter(|value| !value.is_empty());
    (value(used)? != value(ignored)?).then(|| {
        format!("warning: {used} and {ignored} differ: calls go out through the proxy of {used}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured_from(
        variables: &[(&str, &str)],
        flag: Option<&str>,
    ) -> Result<[String; 2], String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let upstream_proxy = configured(&variables, flag).map_err(|error| error.to_string())?;
        let shown =
            |hop: &Option<EgressProxy>| hop.as_ref().map_or("-".to_owned(), EgressProxy::address);
        Ok([shown(&upstream_proxy.http), shown(&upstream_proxy.https)])
    }

    #[test]
    fn the_users_proxy_is_never_dropped_silently() {
        let configured_from = |variables: &[_], flag| configured_from(variables, flag).unwrap();
        assert_eq!(configured_from(&[], None), ["-", "-"]);
        assert_eq!(
            configured_from(&[("HTTP_PROXY", "http://a:1"), ("http_proxy", "b:2")], None),
            ["b:2", "-"]
        );
        assert_eq!(configured_from(&[("HTTPS_PROXY", "http://a:1")], None), ["-", "a:1"]);
        assert_eq!(
            configured_from(&[("ALL_PROXY", "http://a:1"), ("https_proxy", "b:2")], None),
            ["a:1", "b:2"]
        );
        assert_eq!(
            configured_from(&[("HTTP_PROXY", "http://a:1")], Some("http://c:3")),
            ["c:3", "c:3"]
        );
        assert_eq!(configured_from(&[("ALL_PROXY", "socks5://a:1")], Some("none")), ["-", "-"]);
    }

    #[test]
    fn of_two_different_variables_the_used_one_is_named() {
        let notes = |variables: &[(&str, &str)], flag| {
            let all = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            configured(&all, flag).unwrap().notes().join("\n")
        };
        let both = [("http_proxy", "http://u:secret@a:1"), ("HTTP_PROXY", "b:2")];
        let warning = notes(&both, None);
        assert!(warning.contains("proxy of http_proxy") && !warning.contains("secret"));
        assert_eq!(notes(&both, Some("none")), "");
        assert_eq!(notes(&[("http_proxy", "a:1"), ("HTTP_PROXY", "a:1")], None), "");
        assert_eq!(notes(&[("http_proxy", ""), ("HTTP_PROXY", "a:1")], None), "");
        assert!(
            notes(&[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")], None).contains("HTTPS_PROXY")
        );
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_with_a_remedy() {
        let why = configured_from(&[("ALL_PROXY", "socks5h://ann:secret@a:1")], None).unwrap_err();
        assert!(why.starts_with("ALL_PROXY: ") && why.contains("--upstream-proxy none"), "{why}");
        assert!(!why.contains("secret"), "{why}");
    }
}
