//! The lines of a rule that make two calls one.

use std::collections::BTreeSet;

use store_core::canonical::Pointer;

use super::list::{Differences, DifferentPart};
use crate::http::signatures::decoded;
use crate::policy::rule_values::ParameterName;

/// Fields that say how the body is to be read. To ignore them is hardly ever meant.
const ABOUT_BODY: &[&str] = &["content-type", "content-encoding"];

impl Differences {
    /// Writes what a rule would have to say for the two to be one call. A rule that selects what
    /// counts ignores nothing.
    pub(super) fn write_rule(&mut self, selects: bool) {
        let members = || {
            let names = self.names(&[DifferentPart::Member, DifferentPart::Field]);
            names.filter(|name| name.parse::<Pointer>().is_ok()).map(quoted).collect()
        };
        // A URL may write one name in several ways. A rule has it as a server reads it.
        let parameters: BTreeSet<String> = self
            .names(&[DifferentPart::Query])
            .map(|name| decoded(name).0)
            .filter(|name| name.parse::<ParameterName>().is_ok())
            .map(|name| quoted(&name))
            .collect();
        let headers = self.names(&[DifferentPart::Header]);
        let headers = headers.filter(|name| !ABOUT_BODY.contains(name)).map(quoted);
        let settings: [(&str, Vec<String>); 3] = [
            ("ignore", if selects { Vec::new() } else { members() }),
            ("ignore_query", parameters.into_iter().collect()),
            ("ignore_headers", headers.collect()),
        ];
        let filled = settings.into_iter().filter(|(_, names)| !names.is_empty());
        let lines = filled.map(|(setting, names)| format!("{setting} = [{}]", names.join(", ")));
        self.rule = lines.collect();
    }

    /// The names in these parts that are listed in full.
    fn names(&self, parts: &[DifferentPart]) -> impl Iterator<Item = &str> {
        let of = self.differs.iter().filter(|one| parts.contains(&one.part));
        of.filter_map(|one| one.name.as_deref()).filter(|name| !name.ends_with('…'))
    }
}

/// A text as TOML writes it, which escapes as JSON does.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
