//! The texts of a file that people read: declared names, comments and prose, string literals.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::lexer::{self, Kind, Piece};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Language {
    Rust,
    Script,
    Markdown,
    Html,
}

impl Language {
    /// The language by the ending of the file's name. `None` if its text is not checked.
    pub(crate) fn of(file: &str) -> Option<Self> {
        match Path::new(file).extension()?.to_str()? {
            "rs" => Some(Self::Rust),
            "js" | "mjs" | "ts" => Some(Self::Script),
            "json" if !file.ends_with("package-lock.json") => Some(Self::Script),
            "md" => Some(Self::Markdown),
            "html" => Some(Self::Html),
            _ => None,
        }
    }
}

pub(crate) fn pieces(source: &str, language: Language) -> Vec<Piece> {
    if matches!(language, Language::Markdown | Language::Html) {
        return vec![Piece { kind: Kind::Docs, line: 1, text: without_code(source) }];
    }
    let mut pieces = lexer::pieces(source, language == Language::Script);
    for piece in pieces.iter_mut().filter(|piece| piece.kind == Kind::Docs) {
        piece.text = without_code(&piece.text);
    }
    pieces
}

/// Replaces code blocks, code in backticks and the targets of links by a dot; keeps line breaks.
fn without_code(text: &str) -> String {
    static CODE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?ms)^ *```.*?^ *```|^ *~~~.*?^ *~~~|`[^`]*`|\]\([^)]*\)").expect("a pattern")
    });
    let dot = |code: &Captures<'_>| format!("·{}", "\n".repeat(code[0].matches('\n').count()));
    CODE.replace_all(text, dot).into_owned()
}
