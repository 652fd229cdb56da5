//! Which layer says a value: flag, environment, file or default; the first of these that does wins.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::file::File;
use super::flags::Written;
use super::setting::{Declared, Setting, SettingValue, read};
use super::settings::ALL;

/// A line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ListedSetting {
    /// As the file calls it.
    pub(crate) name: String,
    /// Without secrets.
    pub(crate) value: String,
    /// `default`, `FILE:LINE`, the name of the variable, or the flag.
    pub(crate) from: String,
}

/// What each setting came out as, in the order of [`ALL`].
#[derive(Debug, Clone)]
pub(super) struct Layers(Vec<Chosen>);

/// A setting as the first layer that has it says it.
#[derive(Clone)]
struct Chosen {
    declared: &'static Declared,
    texts: Vec<String>,
    /// The file's, where that says it.
    folder: Option<PathBuf>,
    listed: ListedSetting,
}

/// A secret may be in the texts.
impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listed.fmt(f)
    }
}

impl Layers {
    /// Puts the layers together. `database` is where the database is, whichever layer says so: by
    /// default that depends on the user.
    pub(super) fn new(
        written: &[Written],
        file: Option<&File>,
        database: &Path,
    ) -> anyhow::Result<Self> {
        let chosen = ALL.iter().map(|declared| Chosen::new(declared, written, file));
        let mut layers = Self(chosen.collect::<anyhow::Result<_>>()?);
        let name = super::settings::DATABASE.declared.name;
        if let Some(chosen) = layers.0.iter_mut().find(|chosen| chosen.declared.name == name) {
            chosen.listed.value = database.display().to_string();
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
        let chosen = self.0.iter().find(|chosen| chosen.declared.name == name);
        let chosen = chosen.with_context(|| format!("{name} is not a setting"))?;
        let read = |text: &String| read(text, chosen.folder.as_deref());
        chosen
            .texts
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|why| anyhow!("{name}: {why}"))
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &ListedSetting> {
        self.0.iter().map(|chosen| &chosen.listed)
    }

    /// The names of settings that differ from those of `running` and need a restart.
    pub(super) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&running.0);
        pairs
            .filter(|(new, old)| !new.declared.reloads && !new.is_same(old))
            .map(|(new, _)| new.declared.name)
            .collect()
    }
}

impl Chosen {
    fn new(
        declared: &'static Declared,
        written: &[Written],
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

    /// What is shown of a secret does not tell two of them apart.
    fn is_same(&self, other: &Self) -> bool {
        if !self.declared.is_secret {
            return self.listed.value == other.listed.value;
        }
        let mut pairs = self.texts.iter().zip(&other.texts);
        self.texts.len() == other.texts.len()
            && pairs.all(|(one, other)| (self.declared.by_type.is_same)(one, other))
    }
}
