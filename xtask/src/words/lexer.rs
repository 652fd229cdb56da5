//! Cuts the names, comments and strings out of Rust, JavaScript and TypeScript.
//!
//! It knows only the syntax that this needs, and never fails. In code that it misreads, a word may be
//! missed, or found where there is none.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Identifiers,
    Docs,
    Messages,
}

/// A text, with the line on which it begins. Its line breaks are those of the file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The pieces of a source; `script` means JavaScript, TypeScript or JSON, else it is Rust.
pub(crate) fn pieces(source: &str, script: bool) -> Vec<Piece> {
    let mut lexer = Lexer { chars: source.chars().collect(), script, ..Lexer::default() };
    lexer.run();
    lexer.pieces
}

#[derive(Default)]
struct Lexer {
    chars: Vec<char>,
    script: bool,
    at: usize,
    /// Line breaks before `at`.
    breaks: usize,
    /// The number of open brackets.
    depth: usize,
    /// The last word or sign.
    before: String,
    /// The line break after the last line comment. A comment on the next line continues it.
    comment: Option<usize>,
    /// `let` or `for` was read, and its pattern has not ended.
    pattern: bool,
    /// An enum's name was read: the next bracket at its depth opens it.
    enum_named: bool,
    /// The depth inside the enum whose body this is.
    variants: Option<usize>,
    /// The depths at which a template's text goes on.
    templates: Vec<usize>,
    pieces: Vec<Piece>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let c = self.peek(0);
        self.breaks += usize::from(c == '\n');
        self.at += 1;
        c
    }

    fn push(&mut self, kind: Kind, line: usize, text: String) {
        self.pieces.push(Piece { kind, line, text });
    }

    fn run(&mut self) {
        while self.at < self.chars.len() {
            let next = (self.peek(0), self.peek(1));
            if next != ('/', '/') && !next.0.is_whitespace() {
                self.comment = None;
            }
            match next {
                ('/', '/') => self.line_comment(),
                ('/', '*') => self.block_comment(),
                ('/', _) if self.script && !self.after_operand() => self.regular_expression(),
                ('"', _) => self.string('"'),
                ('\'', _) if self.script => self.string('\''),
                ('\'', _) => self.char_or_lifetime(),
                ('`', _) if self.script => self.template(),
                (c, _) if c.is_alphabetic() || c == '_' => self.word(),
                (c, _) if c.is_whitespace() => {
                    self.bump();
                }
                _ => self.sign(),
            }
        }
    }

    /// Comments on lines one after the other are one text.
    fn line_comment(&mut self) {
        let start = self.breaks;
        while self.peek(0) == '/' || self.peek(0) == '!' {
            self.bump();
        }
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            text.push(self.bump());
        }
        match self.pieces.last_mut() {
            Some(piece) if self.comment == Some(start) => {
                piece.text.push('\n');
                piece.text.push_str(&text);
            }
            _ => self.push(Kind::Docs, start + 1, text),
        }
        self.comment = Some(start + 1);
    }

    fn block_comment(&mut self) {
        let (line, mut open, mut text) = (self.breaks + 1, 0_usize, String::new());
        while self.at < self.chars.len() {
            let (first, second) = (self.peek(0), self.peek(1));
            match (first, second) {
                ('/', '*') if open == 0 || !self.script => open += 1,
                ('*', '/') => open -= 1,
                _ => {
                    text.push(self.bump());
                    continue;
                }
            }
            self.bump();
            self.bump();
            if open == 0 {
                break;
            }
        }
        let lines: Vec<_> =
            text.split('\n').map(|line| line.trim().trim_start_matches('*')).collect();
        self.push(Kind::Docs, line, lines.join("\n"));
    }

    fn string(&mut self, quote: char) {
        let line = self.breaks + 1;
        self.bump();
        let text = self.text_until(|lexer| lexer.peek(0) == quote);
        self.bump();
        self.message(line, &text);
        quote.to_string().clone_into(&mut self.before);
    }

    /// The text up to `end`, which is not read. Escapes become spaces.
    fn text_until(&mut self, end: impl Fn(&Self) -> bool) -> String {
        let mut text = String::new();
        while self.at < self.chars.len() && !end(self) {
            let c = self.bump();
            if c == '\\' {
                let escaped = self.bump();
                text.push(if escaped == '\n' { '\n' } else { ' ' });
            } else {
                text.push(c);
            }
        }
        text
    }

    /// Pushes a message. What a format string has in braces is code.
    fn message(&mut self, line: usize, text: &str) {
        static VALUES: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\{[^{}\s]*\}").expect("a pattern"));
        self.push(Kind::Messages, line, VALUES.replace_all(text, "·").into_owned());
    }

    /// `r"…"`, `br#"…"#`: from its first quote or hash.
    fn raw_string(&mut self) {
        let line = self.breaks + 1;
        let mut hashes = 0;
        while self.peek(0) == '#' {
            self.bump();
            hashes += 1;
        }
        self.bump();
        let mut text = String::new();
        while self.at < self.chars.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#') {
                break;
            }
            text.push(self.bump());
        }
        for _ in 0..=hashes {
            self.bump();
        }
        self.message(line, &text);
    }

    fn char_or_lifetime(&mut self) {
        self.bump();
        if self.peek(0) == '\\' {
            self.bump();
            self.bump();
            while self.at < self.chars.len() && self.bump() != '\'' {}
        } else if self.peek(1) == '\'' {
            self.bump();
            self.bump();
        }
        "'".clone_into(&mut self.before);
    }

    /// The text of a template, up to its end or to code in it. At the end of that code, `sign` goes on here.
    fn template(&mut self) {
        let line = self.breaks + 1;
        self.bump();
        let text = self.text_until(|lexer| {
            lexer.peek(0) == '`' || (lexer.peek(0) == '$' && lexer.peek(1) == '{')
        });
        self.push(Kind::Messages, line, text);
        if self.bump() == '$' {
            self.bump();
            self.depth += 1;
            self.templates.push(self.depth);
            "{".clone_into(&mut self.before);
        } else {
            "`".clone_into(&mut self.before);
        }
    }

    fn regular_expression(&mut self) {
        self.bump();
        let mut class = false;
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            match self.bump() {
                '\\' => {
                    self.bump();
                }
                '[' => class = true,
                ']' => class = false,
                '/' if !class => break,
                _ => {}
            }
        }
        "/".clone_into(&mut self.before);
    }

    fn after_operand(&self) -> bool {
        let keywords = ["return", "case", "typeof", "in", "of", "await", "yield"];
        let last = self.before.chars().last().unwrap_or(' ');
        let ends_one = last.is_alphanumeric() || "_)]}\"'`".contains(last);
        ends_one && !keywords.contains(&self.before.as_str())
    }

    fn word(&mut self) {
        let (line, mut word) = (self.breaks + 1, String::new());
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.bump());
        }
        if !self.script && matches!(word.as_str(), "r" | "br" | "cr") && self.opens_raw_string() {
            return self.raw_string();
        }
        match word.as_str() {
            "let" | "for" | "const" => self.pattern = true,
            "in" | "of" | "if" => self.pattern = false,
            "mut" | "ref" | "pub" | "readonly" => {}
            _ if self.declares(&word) => self.push(Kind::Identifiers, line, word.clone()),
            _ => {}
        }
        self.enum_named |= self.before == "enum";
        // `mut` and similar words are between the word that declares and the name.
        if !matches!(word.as_str(), "mut" | "ref" | "pub" | "readonly") {
            self.before = word;
        }
    }

    fn opens_raw_string(&self) -> bool {
        let rest = self.chars[self.at..].iter();
        rest.copied().find(|c| *c != '#') == Some('"')
    }

    /// Whether the word that was just read names something new.
    fn declares(&self, word: &str) -> bool {
        let before = self.before.as_str();
        let declaring = [
            "fn",
            "struct",
            "enum",
            "union",
            "trait",
            "type",
            "static",
            "mod",
            "function",
            "class",
            "interface",
            "var",
        ];
        let typed = self.peek(0) == ':' && self.peek(1) != ':'
            || self.peek(0) == '?' && self.peek(1) == ':';
        let opens = ["{", ",", "(", "|", "]", ")", ";"].contains(&before);
        let in_closure = before == "|" && ['|', ','].contains(&self.peek(0));
        let is_variant = self.variants == Some(self.depth) && ["{", ",", "]"].contains(&before);
        let in_pattern = self.pattern
            && before != "."
            && (word.starts_with(|c: char| c.is_lowercase()) || before == "const");
        declaring.contains(&before) || typed && opens || in_closure || is_variant || in_pattern
    }

    fn sign(&mut self) {
        match self.peek(0) {
            '{' | '(' | '[' => {
                self.depth += 1;
                if self.peek(0) == '{' && self.enum_named {
                    (self.enum_named, self.variants) = (false, Some(self.depth));
                }
                // `impl Trait for Type {` has no pattern.
                self.pattern &= self.before != "for"
                    && !self.before.starts_with(char::is_uppercase)
                    || self.peek(0) != '{';
            }
            '}' if self.templates.last() == Some(&self.depth) => {
                self.templates.pop();
                self.depth -= 1;
                return self.template();
            }
            '}' | ')' | ']' => {
                if self.variants == Some(self.depth) {
                    self.variants = None;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            '=' | ';' | ':' => self.pattern = false,
            _ => {}
        }
        self.bump().to_string().clone_into(&mut self.before);
    }
}

#[cfg(test)]
mod tests;
