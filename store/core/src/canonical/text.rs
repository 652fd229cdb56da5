//! Rewrites one JSON text (RFC 8259) into its canonical form, without building a tree.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::model::MAX_DEPTH;

/// The order of the members of an object in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberOrder {
    Sorted,
    AsWritten,
}

/// The canonical form of `text`; `None` if it has none.
pub(super) fn canonical(text: &str, order: MemberOrder) -> Option<String> {
    let out = String::with_capacity(text.len());
    let mut rewriter = Rewriter { text, at: 0, out, members: Vec::new(), order };
    rewriter.value(0)?;
    rewriter.space();
    (rewriter.at == text.len()).then_some(rewriter.out)
}

/// One member of an object that is still open, as places in the output.
struct Member {
    start: usize,
    /// The end of its name, behind the closing quote.
    name_end: usize,
    end: usize,
}

impl Member {
    /// The name as it is written, without its quotes.
    fn name<'a>(&self, out: &'a str) -> &'a str {
        &out[self.start + 1..self.name_end - 1]
    }
}

struct Rewriter<'a> {
    text: &'a str,
    at: usize,
    out: String,
    /// The members of all open objects, the innermost last.
    members: Vec<Member>,
    order: MemberOrder,
}

impl Rewriter<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte`, where it comes next behind white space.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            self.out.push_str(word);
        })
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.out.push_str(&self.text[start..self.at]);
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        self.out.push('"');
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            self.out.push_str(&self.text[start..self.at]);
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
        self.at += 1;
        self.out.push('"');
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        let letter = self.peek()?;
        self.at += 1;
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.code_point()?,
            _ => return None,
        };
        match character {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\0'..'\u{20}' => write!(self.out, "\\u{:04x}", u32::from(character)).ok()?,
            plain => self.out.push(plain),
        }
        Some(())
    }

    /// What follows `\u`: one unit, or a surrogate pair. A lone surrogate has no canonical
    /// form, since readers make different things of it.
    fn code_point(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let low = self.unit()?;
        if !(0xdc00..0xe000).contains(&low) {
            return None;
        }
        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push('[');
        if !self.take(b']') {
            loop {
                self.value(depth)?;
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
                self.out.push(',');
            }
        }
        self.out.push(']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push('{');
        let (first, body) = (self.members.len(), self.out.len());
        if !self.take(b'}') {
            loop {
                self.member(depth)?;
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
                self.out.push(',');
            }
        }
        self.sort(first, body)?;
        self.out.push('}');
        Some(())
    }

    fn member(&mut self, depth: usize) -> Option<()> {
        self.space();
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.out.len();
        self.string()?;
        let name_end = self.out.len();
        if !self.take(b':') {
            return None;
        }
        self.out.push(':');
        self.value(depth)?;
        self.members.push(Member { start, name_end, end: self.out.len() });
        Some(())
    }

    /// Sorts the members from `first` on, which fill the output from `body` on; `None` where two
    /// have the same name.
    fn sort(&mut self, first: usize, body: usize) -> Option<()> {
        let order = |out: &str, a: &Member, b: &Member| utf16_order(a.name(out), b.name(out));
        let mut members = self.members.split_off(first);
        if !members.is_sorted_by(|a, b| order(&self.out, a, b) == Ordering::Less) {
            members.sort_unstable_by(|a, b| order(&self.out, a, b));
            if members.windows(2).any(|pair| pair[0].name(&self.out) == pair[1].name(&self.out)) {
                return None;
            }
            if self.order == MemberOrder::AsWritten {
                return Some(());
            }
            let unsorted = self.out.split_off(body);
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    self.out.push(',');
                }
                self.out.push_str(&unsorted[member.start - body..member.end - body]);
            }
        }
        Some(())
    }
}

/// How RFC 8785 (3.2.3) orders two names, which are given in their canonical spelling.
fn utf16_order(a: &str, b: &str) -> Ordering {
    characters(a).map(utf16_rank).cmp(characters(b).map(utf16_rank))
}

/// Orders characters as their UTF-16 code units are ordered: surrogates, and so all characters
/// beyond U+FFFF, sort before U+E000.
fn utf16_rank(character: char) -> u32 {
    match u32::from(character) {
        private_or_later @ 0xe000..=0xffff => private_or_later + 0x11_0000,
        other => other,
    }
}

/// The characters that a canonically spelled string means.
fn characters(spelled: &str) -> impl Iterator<Item = char> {
    let mut rest = spelled.chars();
    std::iter::from_fn(move || match rest.next()? {
        '\\' => match rest.next()? {
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let code = rest.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
                char::from_u32(code.fold(0, |code, digit| code * 16 + digit))
            }
            itself => Some(itself),
        },
        plain => Some(plain),
    })
}
