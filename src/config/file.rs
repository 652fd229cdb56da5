//! Finds and reads `openclaw-state-engine.toml`. Errors have a line and a remedy.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use anyhow::{Context as _, bail};
use etcetera::BaseStrategy as _;
use proxy::Rule;
use toml::de::{DeTable, DeValue};

use super::content::{FileContent, FileValue};
use super::setting::{Declared, Setting, SettingValue, parse_value};

/// Its name, in the working folder or the user's config folder.
const NAME: &str = "openclaw-state-engine.toml";

/// A configuration file.
#[derive(Clone)]
pub(crate) struct File {
    pub(super) path: PathBuf,
    pub(super) content: FileContent,
    text: String,
}

/// Shows only the path: the file may hold a secret.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl File {
    /// Reads the file that `named` names, else the first that exists: in the working folder, then
    /// in the user's config folder.
    pub(super) fn find(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
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

    /// Refuses unknown keys and bad values, a secret that others can read, and two rules or routes
    /// with the same name.
    fn read(path: PathBuf, text: String) -> anyhow::Result<Self> {
        let content: FileContent = match toml::from_str(&text) {
            Ok(content) => content,
            Err(error) => bail!("{}", error_text(&path, &text, &error)),
        };
        let file = Self { path, content, text };
        let holds_secret = |FileValue { declared, texts }: &FileValue| {
            declared.is_secret && texts.iter().any(|text| (declared.by_type.holds_secret)(text))
        };
        let has_secret = file.content.settings.iter().any(holds_secret);
        if has_secret && fs::metadata(&file.path).is_ok_and(|meta| meta.mode() & 0o077 != 0) {
            bail!(
                "{} holds a secret and can be read by others: chmod 600 {}",
                file.path.display(),
                file.path.display()
            );
        }
        file.check_names("rule", file.content.rules.iter().map(Rule::name))?;
        file.check_names("route", file.content.routes.iter().map(|route| Some(route.name())))?;
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
                bail!("{}: duplicate {table}: {name:?}", self.location(&[table], Some(index)));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// The texts of a setting; `None` if the file does not set it.
    pub(super) fn texts(&self, declared: &Declared) -> Option<&[String]> {
        let value = self.content.settings.iter().find(|value| value.declared.name == declared.name);
        value.map(|value| value.texts.as_slice())
    }

    pub(super) fn one<T: SettingValue>(&self, setting: &Setting<T>) -> Option<T> {
        self.list(setting).pop()
    }

    pub(super) fn list<T: SettingValue>(&self, setting: &Setting<T>) -> Vec<T> {
        let texts = self.texts(&setting.declared).unwrap_or_default();
        texts.iter().filter_map(|text| parse_value(text, Some(self.folder())).ok()).collect()
    }

    /// `FILE:LINE` of a value, or of the element `index` of a list of tables.
    pub(super) fn location(&self, keys: &[&str], index: Option<usize>) -> String {
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

    /// The folder that paths in the file are relative to.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// `FILE:LINE: what is wrong`, with the nearest known word.
fn error_text(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let mut message = format!("{}:{line}: {}", path.display(), error.message().trim_end());
    if let Some(nearest) = nearest(error.message()) {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    message
}

/// Parses the message of serde: unknown field `a`, expected one of `b`, `c` (or: expected `b` or
/// `c`).
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
    fn an_unknown_key_is_reported_with_its_line_and_the_nearest_key() {
        let error = refused("[server]\n\n[proxy]\nmax_reqest = 1\n");
        assert!(error.starts_with("f.toml:4: unknown field `max_reqest`"), "{error}");
        assert!(error.ends_with("did you mean `max_request`?"), "{error}");
        assert!(refused("[[rule]]\nefect = \"once\"").contains("mean `effect`?"));
        assert!(refused("[[rule]]\neffect = \"onse\"").contains("mean `once`?"));
        assert!(refused("[[rules]]").contains("mean `rule`?"));
        assert!(refused("[proxy.intercept]\nhost = []").contains("mean `hosts`?"));
        assert!(!refused("[server]\nzzzzzzzzzzzz = 1").contains("did you mean"));
    }

    #[test]
    fn a_bad_value_is_reported_with_its_line() {
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
            let error = refused(text);
            assert!(error.starts_with(&format!("f.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn two_rules_cannot_share_a_name() {
        let error = refused("[[rule]]\nname = \"a\"\n[[rule]]\n[[rule]]\nname = \"a\"");
        assert_eq!(error, "f.toml:4: duplicate rule: \"a\"");
    }

    #[test]
    fn values_have_locations() {
        let file = read("[proxy]\n\naddr = \"127.0.0.1:1\"\n[[rule]]\n\n[[rule]]\n").unwrap();
        assert_eq!(file.location(&["proxy", "addr"], None), "f.toml:3");
        assert_eq!(file.location(&["rule"], Some(1)), "f.toml:6");
    }
}
