//! Parts of a canonical text by JSON pointer (RFC 6901), without building a tree.

use std::fmt;
use std::str::FromStr;

/// A JSON pointer to something inside a document: `/name`, `/items/0/id`. `~1` stands for `/`, `~0`
/// for `~`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    /// Spelled as canonical texts spell them, without quotes.
    steps: Vec<String>,
}

impl Pointer {
    /// The only step of a one-step pointer, unescaped. For forms, which are flat.
    pub fn only_name(&self) -> Option<String> {
        let step = &self.text[1..];
        (!step.contains('/')).then(|| unescaped(step))
    }

    /// The value in a text from [`super::json`], as it is written there.
    pub fn get<'a>(&self, canonical: &'a str) -> Option<&'a str> {
        let mut at = 0;
        for step in &self.steps {
            at = child(canonical, at, step)?;
        }
        Some(&canonical[at..end_of(canonical, at)])
    }
}

impl FromStr for Pointer {
    type Err = String;

    /// Refuses the empty pointer (the whole document), and what is not a pointer.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("{text:?} {why}; write a JSON pointer such as /amount or /items/0/id")
        };
        let rest = text.strip_prefix('/').ok_or_else(|| bad("begins with no slash"))?;
        let steps = rest.split('/').map(|step| {
            let mut after_tilde = step.split('~').skip(1);
            if !after_tilde.all(|rest| rest.starts_with(['0', '1'])) {
                return Err(bad("has a ~ that is neither ~0 nor ~1"));
            }
            let quoted = serde_json::to_vec(&unescaped(step)).unwrap_or_default();
            let spelled = super::json(&quoted).and_then(|bytes| String::from_utf8(bytes).ok());
            let spelled = spelled.ok_or_else(|| bad("cannot be read"))?;
            Ok(spelled[1..spelled.len() - 1].to_owned())
        });
        Ok(Self { text: text.to_owned(), steps: steps.collect::<Result<_, _>>()? })
    }
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text from [`super::json`] without the values that the pointers name. Missing values are ignored.
pub fn without<'a>(canonical: &str, pointers: impl IntoIterator<Item = &'a Pointer>) -> String {
    let mut out = String::with_capacity(canonical.len());
    let steps: Vec<&[String]> = pointers.into_iter().map(|pointer| &pointer.steps[..]).collect();
    copy(canonical, 0, &steps, &mut out);
    out
}

/// Copies the value at `at` without what `left` names in it; returns its end. Recurses no deeper than
/// the text is nested, which is limited.
fn copy(text: &str, at: usize, left: &[&[String]], out: &mut String) -> usize {
    let open = text.as_bytes()[at];
    if left.is_empty() || !matches!(open, b'{' | b'[') {
        let end = end_of(text, at);
        out.push_str(&text[at..end]);
        return end;
    }
    out.push(char::from(open));
    let (start, mut next) = (out.len(), at + 1);
    let mut index = 0;
    while let Some(part) = part(text, open, next) {
        let inner: Vec<&[String]> = left
            .iter()
            .filter(|steps| steps.first().is_some_and(|step| part.is(step, index)))
            .map(|steps| &steps[1..])
            .collect();
        if inner.iter().any(|steps| steps.is_empty()) {
            next = end_of(text, part.value);
        } else {
            if out.len() > start {
                out.push(',');
            }
            out.push_str(&text[part.start..part.value]);
            next = copy(text, part.value, &inner, out);
        }
        index += 1;
    }
    out.push(if open == b'{' { '}' } else { ']' });
    next + 1
}

/// A member of an object, or an element of an array.
struct Part<'a> {
    name: Option<&'a str>,
    start: usize,
    /// Where its value begins.
    value: usize,
}

impl Part<'_> {
    fn is(&self, step: &str, index: usize) -> bool {
        match self.name {
            Some(name) => name == step,
            None => step == index.to_string(),
        }
    }
}

/// The part that begins at `next`, or behind the comma there; `None` at the end.
fn part(text: &str, open: u8, next: usize) -> Option<Part<'_>> {
    let start = next + usize::from(text.as_bytes()[next] == b',');
    match (text.as_bytes()[start], open) {
        (b'}' | b']', _) => None,
        (_, b'{') => {
            let end = end_of(text, start);
            Some(Part { name: Some(&text[start + 1..end - 1]), start, value: end + 1 })
        }
        _ => Some(Part { name: None, start, value: start }),
    }
}

/// Where the value begins that `step` names in the one at `at`.
fn child(text: &str, at: usize, step: &str) -> Option<usize> {
    let open = text.as_bytes()[at];
    if !matches!(open, b'{' | b'[') {
        return None;
    }
    let (mut next, mut index) = (at + 1, 0);
    while let Some(part) = part(text, open, next) {
        if part.is(step, index) {
            return Some(part.value);
        }
        next = end_of(text, part.value);
        index += 1;
    }
    None
}

/// The end of the value that begins at `at`.
fn end_of(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut next, mut depth) = (at, 0_usize);
    loop {
        match bytes[next] {
            b'"' => next = end_of_string(bytes, next),
            b'{' | b'[' => {
                depth += 1;
                next += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                next += 1;
            }
            b',' | b':' => next += 1,
            _ => {
                while bytes.get(next).is_some_and(|byte| !b",:]}".contains(byte)) {
                    next += 1;
                }
            }
        }
        if depth == 0 {
            return next;
        }
    }
}

fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while bytes[next] != b'"' {
        next += if bytes[next] == b'\\' { 2 } else { 1 };
    }
    next + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn form(text: &str) -> String {
        String::from_utf8(super::super::json(text.as_bytes()).unwrap()).unwrap()
    }

    fn pointers(list: &[&str]) -> Vec<Pointer> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_pointer_finds_what_rfc_6901_says() {
        let text = form(
            r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"i\\j":5,"k\"l":6," ":7,"m~n":8,"n":{"o":1.50}}"#,
        );
        for (pointer, want) in [
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some(r#""bar""#)),
            ("/foo/1", Some(r#""baz""#)),
            ("/foo/2", None),
            ("/foo/01", None),
            ("/foo/-", None),
            ("/foo/0/x", None),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/c%d", Some("2")),
            ("/i\\j", Some("5")),
            ("/k\"l", Some("6")),
            ("/ ", Some("7")),
            ("/m~0n", Some("8")),
            ("/n/o", Some("1.50")),
            ("/x", None),
        ] {
            assert_eq!(pointer.parse::<Pointer>().unwrap().get(&text), want, "{pointer}");
        }
        assert_eq!("/a".parse::<Pointer>().unwrap().get("1"), None);
    }

    #[test]
    fn what_is_ignored_is_as_if_it_were_not_there() {
        for (text, ignored, want) in [
            (r#"{"a":1,"b":2,"c":3}"#, &["/b"][..], r#"{"a":1,"c":3}"#),
            (r#"{"a":1,"b":2}"#, &["/a"], r#"{"b":2}"#),
            (r#"{"a":1,"b":2}"#, &["/b", "/a"], "{}"),
            (
                r#"{"a":{"t":1,"x":[{"t":2},{"t":3}]}}"#,
                &["/a/t", "/a/x/1/t"],
                r#"{"a":{"x":[{"t":2},{}]}}"#,
            ),
            (r#"{"a":{"b":1},"c":1}"#, &["/a", "/a/b"], r#"{"c":1}"#),
            (r#"{"a":"},\"x\":1","x":1}"#, &["/x"], r#"{"a":"},\"x\":1"}"#),
            ("[1,2,3]", &["/0", "/2"], "[2]"),
            (r#"{"a":1}"#, &["/b", "/a/b", "/0"], r#"{"a":1}"#),
            ("12", &["/a"], "12"),
        ] {
            assert_eq!(without(&form(text), &pointers(ignored)), want, "{text} {ignored:?}");
        }
    }

    #[test]
    fn an_invalid_pointer_is_refused_with_the_syntax() {
        for bad in ["", "amount", "/~", "/a~2", "/~~0", "$.amount"] {
            assert!(bad.parse::<Pointer>().unwrap_err().contains("/amount"), "{bad}");
        }
        let name = |text: &str| text.parse::<Pointer>().unwrap().only_name();
        assert_eq!(name("/a~1b").as_deref(), Some("a/b"));
        assert_eq!(name("/a/b"), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_tree(
            text in r#"[{\[]("[ab\\\\]{0,2}"|[:,\[\]{}01"ab]){0,12}"#,
            path in "(/[ab01]{1}){1,3}",
        ) {
            if let (Ok(tree), Some(canonical)) =
                (serde_json::from_str::<Value>(&text), super::super::json(text.as_bytes()))
            {
                let canonical = String::from_utf8(canonical).unwrap();
                let pointer: Pointer = path.parse().unwrap();
                let found = pointer.get(&canonical).map(|part| serde_json::from_str(part).unwrap());
                prop_assert_eq!(found, tree.pointer(&path).cloned());
                let rest = without(&canonical, std::slice::from_ref(&pointer));
                prop_assert_eq!(form(&rest), rest.clone());
                if tree.pointer(&path).is_none() {
                    prop_assert_eq!(rest, canonical);
                }
            }
        }
    }
}
