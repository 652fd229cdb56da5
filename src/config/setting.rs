//! What can be declared of a setting; `settings.rs` declares all of them.

use std::fmt::Display;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

/// A setting with values of type `T`.
pub(crate) struct Setting<T> {
    pub(super) declared: Declared,
    value: PhantomData<fn() -> T>,
}

/// All that is declared of a setting but the type of its values.
pub(crate) struct Declared {
    /// In the file: `table.key`.
    pub(super) name: &'static str,
    /// As `--help` and the documents say it.
    pub(super) help: &'static str,
    /// `None`: it stands in the file alone.
    pub(super) flag: Option<Flag>,
    pub(super) form: ValueForm,
    /// It is a list; a later layer replaces it as a whole.
    pub(super) is_list: bool,
    /// As the file would write it; `None`: it is absent, or an empty list.
    pub(super) default: Option<&'static str>,
    /// It changes at a reload; all others need a restart.
    pub(super) reloads: bool,
    /// What is written of it may hold a secret.
    pub(super) is_secret: bool,
    pub(super) by_type: ByType,
}

/// How the command line and the environment call a setting.
#[derive(Clone, Copy)]
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) name: &'static str,
    /// What the help calls its value.
    pub(super) value: &'static str,
    pub(super) variable: &'static str,
    /// Where the help shows it; `None`: in the order of the code.
    pub(super) help_order: Option<usize>,
}

/// How a value is written.
#[derive(Clone, Copy)]
pub(super) enum ValueForm {
    /// As a text.
    Text,
    /// As a text, or as a whole number.
    Number,
    /// As `true` or `false`; the flag says `true`.
    Switch,
    /// As `true` or `false`; the flag says `false`.
    SwitchOff,
    /// As one of these words, each with its help.
    Word(&'static [(&'static str, &'static str)]),
    /// As a path, which need be no text on the command line and in the environment.
    Path,
}

/// What the type of a setting's values says about a text.
#[derive(Clone, Copy)]
pub(super) struct ByType {
    /// The value as `config show` prints it, or why there is none. A text of the file comes with the
    /// file's folder.
    pub(super) shown: fn(&str, Option<&Path>) -> Result<String, String>,
    /// Both texts mean the same value.
    pub(super) is_same: fn(&str, &str) -> bool,
    pub(super) holds_secret: fn(&str) -> bool,
}

/// What a setting can be of. `Display` shows no secret.
pub(crate) trait SettingValue: FromStr<Err: Display> + Display + PartialEq {
    /// What a value of the file means: a path in it is one beside it.
    #[must_use]
    fn beside(self, _folder: &Path) -> Self {
        self
    }

    /// Of a setting that may hold a secret: this value does.
    fn holds_secret(&self) -> bool {
        true
    }
}

impl<T: SettingValue> Setting<T> {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        let declared = Declared {
            name,
            help,
            flag: None,
            form: ValueForm::Text,
            is_list: false,
            default: None,
            reloads: false,
            is_secret: false,
            by_type: ByType {
                shown: |text, folder| Ok(read::<T>(text, folder)?.to_string()),
                is_same: |one, other| matches!((T::from_str(one), T::from_str(other)), (Ok(one), Ok(other)) if one == other),
                holds_secret: |text| T::from_str(text).is_ok_and(|value| value.holds_secret()),
            },
        };
        Self { declared, value: PhantomData }
    }

    /// `name` without its dashes; `value` as the help calls it.
    pub(super) const fn flag(
        mut self,
        name: &'static str,
        value: &'static str,
        variable: &'static str,
    ) -> Self {
        self.declared.flag = Some(Flag { name, value, variable, help_order: None });
        self
    }

    /// Where the help of `serve` shows the flag.
    pub(super) const fn help_order(mut self, order: usize) -> Self {
        if let Some(flag) = &mut self.declared.flag {
            flag.help_order = Some(order);
        }
        self
    }

    /// How it is written, where that is not as a text.
    pub(super) const fn form(mut self, form: ValueForm) -> Self {
        self.declared.form = form;
        self
    }

    pub(super) const fn list(mut self) -> Self {
        self.declared.is_list = true;
        self
    }

    /// As the file would write it.
    pub(super) const fn default(mut self, default: &'static str) -> Self {
        self.declared.default = Some(default);
        self
    }

    pub(super) const fn reloads(mut self) -> Self {
        self.declared.reloads = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.declared.is_secret = true;
        self
    }
}

impl<T> Setting<T> {
    /// Its name in the environment; empty where the file alone has it.
    pub(crate) const fn variable(&self) -> &'static str {
        match self.declared.flag {
            Some(flag) => flag.variable,
            None => "",
        }
    }
}

/// The value that a text means; `folder` is the file's, where the text stands in the file.
pub(super) fn read<T: SettingValue>(text: &str, folder: Option<&Path>) -> Result<T, String> {
    let value: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    Ok(match folder {
        Some(folder) => value.beside(folder),
        None => value,
    })
}
