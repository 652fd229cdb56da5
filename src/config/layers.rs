//! Which layer says a value: flag, environment, file or default; the first of these that does wins.

use std::fmt;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;

use super::file::File;

/// Where the flags of a command line come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(Vec<(String, ValueSource)>);

impl Sources {
    /// To be asked before the values are taken out of `matches`.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let source = |id: &clap::Id| Some((id.to_string(), matches.value_source(id.as_str())?));
        Self(matches.ids().filter_map(source).collect())
    }

    /// `None` where neither a flag nor the environment says it.
    fn get(&self, id: &str) -> Option<ValueSource> {
        let source = self.0.iter().find(|(other, _)| other == id).map(|(_, source)| *source);
        source.filter(|source| *source != ValueSource::DefaultValue)
    }
}

/// A setting as it came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    /// As the file calls it.
    pub(crate) name: String,
    /// Without secrets.
    pub(crate) value: String,
    /// `default`, `FILE:LINE`, the name of the variable, or the flag.
    pub(crate) from: String,
}

/// Puts the layers together, and takes down where each value came from.
pub(super) struct Layers<'a> {
    sources: &'a Sources,
    file: Option<&'a File>,
    pub(super) settings: Vec<Setting>,
}

/// What the command line calls a setting; the file calls it `table.key`.
pub(super) struct Named {
    pub(super) name: &'static str,
    /// clap's id and the variable; both empty where only the file has it.
    pub(super) id: &'static str,
    pub(super) variable: &'static str,
}

impl<'a> Layers<'a> {
    pub(super) fn new(sources: &'a Sources, file: Option<&'a File>) -> Self {
        Self { sources, file, settings: Vec::new() }
    }

    /// One value. `given` is what the command line or the environment holds, defaults of clap
    /// included.
    pub(super) fn one<T: fmt::Display>(
        &mut self,
        named: &Named,
        given: Option<T>,
        in_file: Option<T>,
        default: T,
    ) -> T {
        self.optional(named, given, in_file, Some(default.to_string())).unwrap_or(default)
    }

    /// One that may be absent; `default` is how that is told.
    pub(super) fn optional<T: fmt::Display>(
        &mut self,
        named: &Named,
        given: Option<T>,
        in_file: Option<T>,
        default: Option<String>,
    ) -> Option<T> {
        let (value, from) = self.pick(named, given, in_file);
        let shown = value.as_ref().map(ToString::to_string).or(default).unwrap_or_default();
        self.settings.push(Setting { name: named.name.to_owned(), value: shown, from });
        value
    }

    /// A list; a later layer replaces it as a whole.
    pub(super) fn list<T: fmt::Display>(
        &mut self,
        named: &Named,
        given: Vec<T>,
        in_file: Option<Vec<T>>,
    ) -> Vec<T> {
        let (value, from) = self.pick(named, Some(given), in_file);
        let value = value.unwrap_or_default();
        let shown: Vec<String> = value.iter().map(ToString::to_string).collect();
        let value_shown = shown.join(", ");
        self.settings.push(Setting { name: named.name.to_owned(), value: value_shown, from });
        value
    }

    fn pick<T>(&self, named: &Named, given: Option<T>, in_file: Option<T>) -> (Option<T>, String) {
        match (self.sources.get(named.id), in_file) {
            (Some(ValueSource::EnvVariable), _) => (given, named.variable.to_owned()),
            (Some(_), _) => (given, format!("--{}", named.id.replace('_', "-"))),
            (None, Some(value)) => {
                let keys: Vec<&str> = named.name.split('.').collect();
                let place = self.file.map(|file| file.place(&keys, None));
                (Some(value), place.unwrap_or_default())
            }
            (None, None) => (None, "default".to_owned()),
        }
    }

    /// The elements of a list of tables, which only the file has.
    pub(super) fn tables<'n>(&mut self, table: &str, names: impl Iterator<Item = Option<&'n str>>) {
        for (index, name) in names.enumerate() {
            self.settings.push(Setting {
                name: format!("{table}.{}", index + 1),
                value: name.unwrap_or_default().to_owned(),
                from: self.file.map(|file| file.place(&[table], Some(index))).unwrap_or_default(),
            });
        }
    }
}
