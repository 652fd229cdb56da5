//! The result of one check.

use serde::Serialize;

/// How bad a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Ok,
    /// It works, but someone should know about it.
    Warning,
    Problem,
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
pub(crate) struct CheckResult {
    pub(crate) what: String,
    #[serde(rename = "verdict")]
    pub(crate) severity: Severity,
    /// In words.
    pub(crate) found: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

impl CheckResult {
    pub(super) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), severity: Severity::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn bad(
        severity: Severity,
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), severity, found: found.into(), remedy }
    }

    pub(super) fn problem(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::bad(Severity::Problem, what, found, remedy)
    }
}
