//! Merges the layers: flag, environment, file, default; the first that sets a value wins.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::file::File;
use super::flags::FlagValue;
use super::setting::{Declared, Setting, SettingValue, parse_value};
use super::settings::ALL;

/// A line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ListedSetting {
    /// The name in the file.
    pub(crate) name: String,
    /// The value, with secrets redacted.
    pub(crate) value: String,
    /// `default`, `FILE:LINE`, the name of the variable, or the flag.
    pub(crate) from: String,
}

/// The merged value of each setting, in the order of [`ALL`].
#[derive(Debug, Clone)]
pub(super) struct Layers(Vec<MergedValue>);

/// The value of a setting, from the first layer that sets it.
#[derive(Clone)]
struct MergedValue {
    declared: &'static Declared,
    texts: Vec<String>,
    /// The folder of the file, if the file sets it.
    folder: Option<PathBuf>,
    listed: ListedSetting,
}

/// Shows the redacted value.
impl fmt::Debug for MergedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listed.fmt(f)
    }
}

impl Layers {
    /// Merges the layers. `database` is the path of the database; its default depends on the user.
    pub(super) fn new(
        written: &[FlagValue],
        file: Option<&File>,
        database: &Path,
    ) -> anyhow::Result<Self> {
        let merged = ALL.iter().map(|declared| MergedValue::new(declared, written, file));
        let mut layers = Self(merged.collect::<anyhow::Result<_>>()?);
        let name = super::settings::DATABASE.declared.name;
        if let Some(merged) = layers.0.iter_mut().find(|merged| merged.declared.name == name) {
            merged.listed.value = database.display().to_string();
        }
        Ok(layers)
    }

    /// The value of a setting that has a default.
    pub(super) fn one<T: SettingValue>(&self, setting: &Setting<T>) -> anyhow::Result<T> {
        self.optional(setting)?.with_context(|| format!("{} has no value", setting.declared.name))
    }

    pub(super) fn optional<T: SettingValue>(
        &self,
        setting: &Setting<T>,
    ) -> anyhow::Result<Option<T>> {
        Ok(self.list(setting)?.pop())
    }

    pub(super) fn list<T: SettingValue>(&self, setting: &Setting<T>) -> anyhow::Result<Vec<T>> {
        let name = setting.declared.name;
        let merged = self.0.iter().find(|merged| merged.declared.name == name);
        let merged = merged.with_context(|| format!("{name} is not a setting"))?;
        let read = |text: &String| parse_value(text, merged.folder.as_deref());
        merged
            .texts
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|why| anyhow!("{name}: {why}"))
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &ListedSetting> {
        self.0.iter().map(|merged| &merged.listed)
    }

    /// The names of settings that differ from `running` and need a restart.
    pub(super) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&running.0);
        pairs
            .filter(|(new, old)| !new.declared.reloads && !new.is_same(old))
            .map(|(new, _)| new.declared.name)
            .collect()
    }
}

impl MergedValue {
    fn new(
        declared: &'static Declared,
        written: &[FlagValue],
        file: Option<&File>,
    ) -> anyhow::Result<Self> {
        let in_file = file.and_then(|file| Some((file, file.texts(declared)?)));
        let (texts, from, folder) = if let Some(written) =
            written.iter().find(|written| written.setting == declared.name)
        {
            (written.texts.clone(), written.by.clone(), None)
        } else if let Some((file, texts)) = in_file {
            let keys: Vec<&str> = declared.name.split('.').collect();
            (texts.to_owned(), file.location(&keys, None), Some(file.folder().to_owned()))
        } else {
            (declared.default.iter().map(ToString::to_string).collect(), "default".to_owned(), None)
        };
        let shown = texts.iter().map(|text| (declared.by_type.shown)(text, folder.as_deref()));
        let shown: Vec<String> = shown.collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
        let listed =
            ListedSetting { name: declared.name.to_owned(), value: shown.join(", "), from };
        Ok(Self { declared, texts, folder, listed })
    }

    /// Two secrets look the same when redacted.
    fn is_same(&self, other: &Self) -> bool {
        if !self.declared.is_secret {
            return self.listed.value == other.listed.value;
        }
        let mut pairs = self.texts.iter().zip(&other.texts);
        self.texts.len() == other.texts.len()
            && pairs.all(|(one, other)| (self.declared.by_type.is_same)(one, other))
    }
}
