//! `openclaw-state-engine.toml`: found, read, and refused with a line and a remedy.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use etcetera::BaseStrategy as _;
use proxy::{Hop, HostPattern, Route, Rule};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::values::{LogFormat, Seconds, Secret, Size, TrustedCa, text};

/// Its name, in the working folder or the user's config folder.
const NAME: &str = "openclaw-state-engine.toml";

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    text: String,
}

/// What it says. What it leaves out is the business of the other layers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Content {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) route: Vec<Route>,
    pub(crate) rule: Vec<Rule>,
    pub(crate) mcp: Mcp,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) database: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub(crate) token: Option<Secret>,
    pub(crate) allow_host: Option<Vec<String>>,
    pub(crate) allow_origin: Option<Vec<String>>,
    pub(crate) log_format: Option<LogFormat>,
    #[serde(deserialize_with = "text")]
    pub(crate) drain: Option<Seconds>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "fields are named as the file writes them")]
pub(crate) struct Proxy {
    pub(crate) enabled: Option<bool>,
    pub(crate) addr: Option<SocketAddr>,
    #[serde(deserialize_with = "text")]
    pub(crate) max_request: Option<Size>,
    #[serde(deserialize_with = "text")]
    pub(crate) max_wait: Option<Seconds>,
    pub(crate) pass: Option<Vec<HostPattern>>,
    pub(crate) require_token: Option<bool>,
    pub(crate) reads_table: Option<bool>,
    pub(crate) keyed_table: Option<bool>,
    pub(crate) refuse_loopback: Option<bool>,
    pub(crate) refuse_private: Option<bool>,
    pub(crate) connect_ports: Option<Vec<NonZeroU16>>,
    #[serde(deserialize_with = "text")]
    pub(crate) upstream_proxy: Option<Hop>,
    pub(crate) upstream_direct: Option<String>,
    pub(crate) upstream_ca: Option<Vec<TrustedCa>>,
    pub(crate) intercept: Intercept,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Intercept {
    pub(crate) hosts: Option<Vec<HostPattern>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mcp {
    pub(crate) trust: Option<Vec<String>>,
}

impl File {
    /// The file that `named` names, else the first that is there: in the working folder, then in
    /// the user's config folder.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = named {
            return match fs::read_to_string(path) {
                Ok(text) => Self::read(path.to_owned(), text).map(Some),
                Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
            };
        }
        let of_user = etcetera::choose_base_strategy().ok();
        let of_user = of_user.map(|folders| folders.config_dir().join(NAME));
        for path in [Some(PathBuf::from(NAME)), of_user].into_iter().flatten() {
            match fs::read_to_string(&path) {
                Ok(text) => return Self::read(path, text).map(Some),
                Err(error) if is_absent(&error) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            }
        }
        Ok(None)
    }

    /// Refuses keys that are not known and values that are none, a secret that others can read, and
    /// two rules or routes of one name.
    fn read(path: PathBuf, text: String) -> anyhow::Result<Self> {
        let content: Content = match toml::from_str(&text) {
            Ok(content) => content,
            Err(error) => bail!("{}", explain(&path, &text, &error)),
        };
        let file = Self { path, content, text };
        let has_secret = file.content.server.token.is_some()
            || file.content.proxy.upstream_proxy.as_ref().is_some_and(Hop::has_credentials);
        if has_secret && fs::metadata(&file.path).is_ok_and(|meta| meta.mode() & 0o077 != 0) {
            bail!(
                "{} holds a secret and can be read by others: chmod 600 {}",
                file.path.display(),
                file.path.display()
            );
        }
        file.check_names("rule", file.content.rule.iter().map(Rule::name))?;
        file.check_names("route", file.content.route.iter().map(|route| Some(route.name())))?;
        Ok(file)
    }

    fn check_names<'a>(
        &self,
        table: &str,
        names: impl Iterator<Item = Option<&'a str>>,
    ) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        for (index, name) in names.enumerate() {
            let Some(name) = name else { continue };
            if seen.contains(&name) {
                bail!("{}: a second {table} named {name:?}", self.place(&[table], Some(index)));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// `FILE:LINE` of a value, or of the element `index` of a list of tables.
    pub(crate) fn place(&self, keys: &[&str], index: Option<usize>) -> String {
        let at = self.offset(keys, index).unwrap_or_default();
        format!("{}:{}", self.path.display(), line_of(&self.text, at))
    }

    fn offset(&self, keys: &[&str], index: Option<usize>) -> Option<usize> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = document.get_ref();
        let (name, folders) = keys.split_last()?;
        for folder in folders {
            table = table.get(*folder)?.get_ref().as_table()?;
        }
        let (key, value) = table.get_key_value(*name)?;
        match (value.get_ref(), index) {
            (DeValue::Array(list), Some(index)) => Some(list.get(index)?.span().start),
            _ => Some(key.span().start),
        }
    }

    /// A path in the file means one beside it.
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// `FILE:LINE: what is wrong`, with the nearest word that is known.
fn explain(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let mut told = format!("{}:{line}: {}", path.display(), error.message().trim_end());
    if let Some(nearest) = nearest(error.message()) {
        let _ = write!(told, "; did you mean `{nearest}`?");
    }
    told
}

/// serde says: unknown field `a`, expected one of `b`, `c` (or: expected `b` or `c`).
fn nearest(message: &str) -> Option<&str> {
    let rest =
        message.strip_prefix("unknown field `").or(message.strip_prefix("unknown variant `"));
    let (given, known) = rest?.split_once('`')?;
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .min()
        .filter(|(distance, word)| *distance <= word.len().div_ceil(2))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<File> {
        File::read(PathBuf::from("f.toml"), text.to_owned())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_one() {
        let told = refused("[server]\n\n[proxy]\nmax_reqest = 1\n");
        assert!(told.starts_with("f.toml:4: unknown field `max_reqest`"), "{told}");
        assert!(told.ends_with("did you mean `max_request`?"), "{told}");
        assert!(refused("[[rule]]\nefect = \"once\"").contains("mean `effect`?"));
        assert!(refused("[[rule]]\neffect = \"onse\"").contains("mean `once`?"));
        assert!(refused("[[rules]]").contains("mean `rule`?"));
        assert!(refused("[proxy.intercept]\nhost = []").contains("mean `hosts`?"));
        assert!(!refused("[server]\nzzzzzzzzzzzz = 1").contains("did you mean"));
    }

    #[test]
    fn a_bad_value_is_told_with_its_line() {
        for (text, line, what) in [
            ("[proxy]\naddr = \"x\"", 2, "socket address"),
            ("[proxy]\nmax_request = \"1MB\"", 2, "KiB"),
            ("[proxy]\n\npass = [\"a\", \"http://b\"]", 3, "URL"),
            ("[[rule]]\n\n[[rule]]\nmethod = \"post\"", 4, "capitals"),
            ("[[rule]]\nhost = []", 2, "empty"),
            ("[[rule]]\nignore = \"a\"", 2, "/amount"),
            ("[[rule]]\nwindow = \"1w\"", 2, "24h"),
            ("[[rule]]\nkey = \"a b\"", 2, "header name"),
            ("[[rule]]\nfailed_if = { \"/ok\" = [] }", 2, "whole number"),
            ("[[rule]]\ncount_headers = \"authorization\"", 1, "never counts"),
            ("[[rule]]\nstream_request = true\neffect = \"read\"", 1, "remove `effect`"),
            ("[[rule]]\nignore = \"/a\"\nselect = \"/b\"", 1, "exclude each other"),
            ("[[rule]]\nmcp_tool = \"a\"\nstream = true", 1, "MCP tool calls"),
            ("[[rule]]\nupstream_key = \"X-Key\"", 1, "keyed"),
            ("[[route]]\nname = \"a\"\nto = \"a.example\"", 1, "https://api.example.com"),
            ("[[route]]\nname = \"a/b\"\nto = \"http://a\"", 1, "a-z"),
            ("a = [", 1, ""),
        ] {
            let told = refused(text);
            assert!(told.starts_with(&format!("f.toml:{line}: ")), "{text}: {told}");
            assert!(told.contains(what), "{text}: {told}");
        }
    }

    #[test]
    fn names_are_their_own() {
        let told = refused("[[rule]]\nname = \"a\"\n[[rule]]\n[[rule]]\nname = \"a\"");
        assert_eq!(told, "f.toml:4: a second rule named \"a\"");
    }

    #[test]
    fn values_have_places() {
        let file = read("[proxy]\n\naddr = \"127.0.0.1:1\"\n[[rule]]\n\n[[rule]]\n").unwrap();
        assert_eq!(file.place(&["proxy", "addr"], None), "f.toml:3");
        assert_eq!(file.place(&["rule"], Some(1)), "f.toml:6");
    }
}
