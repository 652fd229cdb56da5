//! What a setting declares; `settings.rs` has all of them.

use std::fmt::Display;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

/// A setting with values of type `T`.
pub(crate) struct Setting<T> {
    pub(super) declared: Declared,
    value: PhantomData<fn() -> T>,
}

/// The declaration of a setting, without the type of its values.
pub(crate) struct Declared {
    /// The name in the file: `table.key`.
    pub(super) name: &'static str,
    /// The text of `--help`.
    pub(super) help: &'static str,
    /// `None` if only the file can set it.
    pub(super) flag: Option<Flag>,
    pub(super) form: ValueForm,
    /// Whether it is a list. A later layer replaces the whole list.
    pub(super) is_list: bool,
    /// As in the file; `None` for no value, or an empty list.
    pub(super) default: Option<&'static str>,
    /// Whether a reload changes it; otherwise it needs a restart.
    pub(super) reloads: bool,
    /// Whether a value may hold a secret.
    pub(super) is_secret: bool,
    pub(super) by_type: ByType,
}

/// The name of a setting on the command line and in the environment.
#[derive(Clone, Copy)]
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) name: &'static str,
    /// The placeholder of its value in `--help`.
    pub(super) value: &'static str,
    pub(super) variable: &'static str,
    /// Its position in `--help`; `None` for the order of the code.
    pub(super) help_order: Option<usize>,
}

/// How a value is written.
#[derive(Clone, Copy)]
pub(super) enum ValueForm {
    /// As a text.
    Text,
    /// As a text or a whole number.
    Number,
    /// As `true` or `false`; the flag means `true`.
    Switch,
    /// As `true` or `false`; the flag means `false`.
    SwitchOff,
    /// As one of these words, each with its help.
    Word(&'static [(&'static str, &'static str)]),
    /// As a path, which may be non-UTF-8 on the command line and in the environment.
    Path,
}

/// What the type of the values knows about a text.
#[derive(Clone, Copy)]
pub(super) struct ByType {
    /// The value as `config show` prints it, or why the text is not valid. A text from the file
    /// comes with the folder of the file.
    pub(super) shown: fn(&str, Option<&Path>) -> Result<String, String>,
    /// Whether both texts mean the same value.
    pub(super) is_same: fn(&str, &str) -> bool,
    pub(super) holds_secret: fn(&str) -> bool,
}

/// A type of values. `Display` hides secrets.
pub(crate) trait SettingValue: FromStr<Err: Display> + Display + PartialEq {
    /// The value from the file: a path in it is relative to the folder of the file.
    #[must_use]
    fn beside(self, _folder: &Path) -> Self {
        self
    }

    /// Whether this value of a secret setting holds a secret.
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
                shown: |text, folder| Ok(parse_value::<T>(text, folder)?.to_string()),
                is_same: |one, other| matches!((T::from_str(one), T::from_str(other)), (Ok(one), Ok(other)) if one == other),
                holds_secret: |text| T::from_str(text).is_ok_and(|value| value.holds_secret()),
            },
        };
        Self { declared, value: PhantomData }
    }

    /// `name` has no dashes; `value` is the placeholder in `--help`.
    pub(super) const fn flag(
        mut self,
        name: &'static str,
        value: &'static str,
        variable: &'static str,
    ) -> Self {
        self.declared.flag = Some(Flag { name, value, variable, help_order: None });
        self
    }

    /// The position of the flag in the help of `serve`.
    pub(super) const fn help_order(mut self, order: usize) -> Self {
        if let Some(flag) = &mut self.declared.flag {
            flag.help_order = Some(order);
        }
        self
    }

    /// How the value is written, if not as a text.
    pub(super) const fn form(mut self, form: ValueForm) -> Self {
        self.declared.form = form;
        self
    }

    pub(super) const fn list(mut self) -> Self {
        self.declared.is_list = true;
        self
    }

    /// As in the file.
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
    /// The environment variable; empty if only the file can set it.
    pub(crate) const fn variable(&self) -> &'static str {
        match self.declared.flag {
            Some(flag) => flag.variable,
            None => "",
        }
    }
}

/// Parses a text; `folder` is the folder of the file, if the text is from the file.
pub(super) fn parse_value<T: SettingValue>(text: &str, folder: Option<&Path>) -> Result<T, String> {
    let value: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    Ok(match folder {
        Some(folder) => value.beside(folder),
        None => value,
    })
}
