//! The user's own proxy, which the environment names and which the engine's is put before.

use anyhow::anyhow;
use proxy::{Chain, Hop};

use super::variables::{self, Variables};

/// By which way calls leave the machine.
#[derive(Debug, Default)]
pub(crate) struct Outward {
    http: Option<Hop>,
    https: Option<Hop>,
    no_proxy: String,
}

impl Outward {
    /// The proxies that are named.
    pub(crate) fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.http.iter().chain(&self.https)
    }

    /// As an engine takes it; `None` where no proxy is named.
    pub(crate) fn chain(&self) -> Option<Chain> {
        self.hops().next()?;
        Some(Chain::new(self.http.clone(), self.https.clone(), &self.no_proxy))
    }
}

/// What `--upstream-proxy` says, else the variables: the lower-case name wins, as in curl. A proxy
/// that cannot be used is an error, since leaving it out would send calls by another way.
pub(crate) fn of(inherited: &Variables, flag: Option<&str>) -> anyhow::Result<Outward> {
    let no_proxy = variables::no_proxy(inherited).unwrap_or_default();
    let hop = |names: [&str; 4]| {
        let (name, url) = names.iter().find_map(|name| {
            let value = inherited.get(*name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        })?;
        let hop = url.parse::<Hop>().map_err(|why| anyhow!("{name}: {why}"));
        Some(hop)
    };
    let (http, https) = match flag {
        Some("none") => (None, None),
        Some(url) => {
            let hop: Hop = url.parse().map_err(|why| anyhow!("--upstream-proxy: {why}"))?;
            (Some(hop.clone()), Some(hop))
        }
        None => (
            hop(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
            hop(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
        ),
    };
    Ok(Outward { http, https, no_proxy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)], flag: Option<&str>) -> Result<[String; 2], String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let outward = of(&variables, flag).map_err(|error| error.to_string())?;
        let shown = |hop: &Option<Hop>| hop.as_ref().map_or("-".to_owned(), Hop::address);
        Ok([shown(&outward.http), shown(&outward.https)])
    }

    #[test]
    fn the_users_proxy_is_never_dropped_silently() {
        let told = |variables: &[_], flag| told(variables, flag).unwrap();
        assert_eq!(told(&[], None), ["-", "-"]);
        assert_eq!(
            told(&[("HTTP_PROXY", "http://a:1"), ("http_proxy", "b:2")], None),
            ["b:2", "-"]
        );
        assert_eq!(told(&[("HTTPS_PROXY", "http://a:1")], None), ["-", "a:1"]);
        assert_eq!(
            told(&[("ALL_PROXY", "http://a:1"), ("https_proxy", "b:2")], None),
            ["a:1", "b:2"]
        );
        assert_eq!(told(&[("HTTP_PROXY", "http://a:1")], Some("http://c:3")), ["c:3", "c:3"]);
        assert_eq!(told(&[("ALL_PROXY", "socks5://a:1")], Some("none")), ["-", "-"]);
    }

    #[test]
    fn one_that_cannot_be_used_is_an_error_with_a_remedy() {
        let why = told(&[("ALL_PROXY", "socks5h://ann:secret@a:1")], None).unwrap_err();
        assert!(why.starts_with("ALL_PROXY: ") && why.contains("--upstream-proxy none"), "{why}");
        assert!(!why.contains("secret"), "{why}");
    }
}
