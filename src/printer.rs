//! The only output: data goes to stdout as text or JSON, everything else to stderr.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, Write};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    Json,
}

/// Prints the output of a command. Output is buffered until [`Printer::flush`].
///
/// Drops escape codes if stdout is not a terminal or `NO_COLOR` is set.
pub(crate) struct Printer {
    format: Format,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl Printer {
    /// Prints to the process's stdout and stderr.
    pub(crate) fn stdio(format: Format) -> Self {
        Self::to(format, BufWriter::new(anstream::stdout()), anstream::stderr())
    }

    /// Prints to any two writers.
    pub(crate) fn to(format: Format, out: impl Write + 'static, err: impl Write + 'static) -> Self {
        Self { format, out: Box::new(out), err: Box::new(err) }
    }

    /// Whether the caller asked for JSON.
    pub(crate) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints one line of data, through [`harmless`].
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{}", harmless(&line.to_string()))
    }

    /// Prints one JSON document. Stored texts in it keep their bytes, except that strings have
    /// escapes for what [`harmless`] escapes. A return can only be between tokens, and becomes a
    /// space.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        self.line(serde_json::to_string(document)?.replace('\r', " "))
    }

    /// Prints one JSON document of many, on one line. A line break in a stored text can only be
    /// between tokens, and becomes a space.
    pub(crate) fn json_line(&mut self, document: &impl Serialize) -> io::Result<()> {
        self.line(serde_json::to_string(document)?.replace(['\n', '\r'], " "))
    }

    /// Prints rows under upper-case headings. Cells pass through [`visible`].
    pub(crate) fn table(&mut self, headings: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(headings);
        for row in rows {
            table.add_row(row.iter().map(|cell| visible(cell).into_owned()));
        }
        for line in table.lines() {
            self.line(line.trim())?;
        }
        Ok(())
    }

    /// Prints one line that is not data: a hint, a result in words, an error. Through [`harmless`].
    pub(crate) fn note(&mut self, note: impl Display) {
        // If stderr is closed, nobody is left to read it.
        let _ = writeln!(self.err, "{}", harmless(&note.to_string()));
    }

    /// Writes what is buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `text` with everything escaped that a terminal would act on or hide: control characters, and
/// characters that change the direction of writing or break lines.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push_visible(&mut shown, c));
    Cow::Owned(shown)
}

/// Text of several lines that may be coloured, with everything else escaped that [`visible`]
/// escapes. What goes to a terminal passes through here last, JSON and the log too.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // Where the escape code of a colour ends.
    let mut coloured = 0;
    for (at, c) in text.char_indices() {
        if c == '\u{1b}' {
            coloured = at + colour(&text[at..]).unwrap_or_default();
        }
        if at < coloured || matches!(c, '\n' | '\t') {
            shown.push(c);
        } else {
            push_visible(&mut shown, c);
        }
    }
    Cow::Owned(shown)
}

fn push_visible(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        // As JSON escapes it, so that JSON stays JSON; all of them are in the basic plane.
        c if is_unsafe(c) => {
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        }
        c => shown.push(c),
    }
}

/// Controls of C0 and C1, the property `Bidi_Control` of Unicode, and what breaks lines or is not
/// seen.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// The length of the escape code of a colour or a style, if the text begins with one.
fn colour(text: &str) -> Option<usize> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let length = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    codes[length..].starts_with('m').then_some(length + 3)
}

/// How alarming a word is, shown by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Warning,
    Bad,
}

/// A word of the API as people read it: `in_progress` becomes `In Progress`.
pub(crate) fn title(word: &impl Display, tone: Tone) -> String {
    let mut title = String::new();
    for part in word.to_string().split('_') {
        if !title.is_empty() {
            title.push(' ');
        }
        let mut letters = part.chars();
        title.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        title.push_str(letters.as_str());
    }
    let style = match tone {
        Tone::Plain => Style::new(),
        Tone::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold(),
        Tone::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())),
    };
    format!("{style}{}{style:#}", visible(&title))
}

/// What the printer of a test has written.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedOutput(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

#[cfg(test)]
impl CapturedOutput {
    /// The output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for CapturedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_control_the_terminal() {
        assert_eq!(visible("plain ✓ \"text\""), "plain ✓ \"text\"");
        assert_eq!(visible("\u{1b}[2J\u{7}\u{9b}m\u{7f}"), "\\u001b[2J\\u0007\\u009bm\\u007f");
        assert_eq!(visible("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(visible("evil\u{202e}txt"), "evil\\u202etxt");
        assert_eq!(visible("\u{61c}\u{200f}\u{2067}"), "\\u061c\\u200f\\u2067");
    }

    #[test]
    fn lines_keep_their_colours_and_nothing_else() {
        let line = title(&"in_doubt", Tone::Warning);
        assert_eq!(harmless(&line), line);
        assert_eq!(harmless("a\n\tb"), "a\n\tb");
        assert_eq!(
            harmless("\u{1b}[31mred\u{1b}[0m\u{1b}[2J\u{1b}]0;t\u{7}\r\u{9b}31m\u{202e}\u{1b}[1"),
            "\u{1b}[31mred\u{1b}[0m\\u001b[2J\\u001b]0;t\\u0007\\r\\u009b31m\\u202e\\u001b[1"
        );
    }

    #[test]
    fn json_has_escapes_for_what_a_terminal_acts_on() {
        let text = "\u{9b}\u{202e}\u{61c}\u{7f}\u{1b}✓";
        let (out, raw) = (CapturedOutput::default(), "[1,\r\n\t2]");
        let mut printer = Printer::to(Format::Json, out.clone(), CapturedOutput::default());
        printer.document(&text).unwrap();
        printer
            .document(&serde_json::value::RawValue::from_string(raw.to_owned()).unwrap())
            .unwrap();
        let written = out.text();
        assert!(
            !written.contains(|c: char| is_unsafe(c) && !matches!(c, '\n' | '\t')),
            "{written}"
        );
        let mut values =
            serde_json::Deserializer::from_str(&written).into_iter::<serde_json::Value>();
        assert_eq!(values.next().unwrap().unwrap(), text);
        assert_eq!(values.next().unwrap().unwrap(), serde_json::json!([1, 2]));
    }

    #[test]
    fn statuses_read_like_words() {
        assert_eq!(title(&"pending", Tone::Plain), "Pending");
        assert_eq!(title(&"in_progress", Tone::Plain), "In Progress");
        let doubt = title(&"in_doubt", Tone::Warning);
        assert_eq!(anstream::adapter::strip_str(&doubt).to_string(), "In Doubt");
    }
}
