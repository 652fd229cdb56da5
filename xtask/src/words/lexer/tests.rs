//! Tests of what the lexer cuts out.

use super::super::pieces::{Language, pieces};
use super::Kind;

fn texts(source: &str, language: Language, kind: Kind) -> Vec<String> {
    let pieces = pieces(source, language).into_iter();
    pieces.filter(|piece| piece.kind == kind).map(|piece| piece.text.trim().to_owned()).collect()
}

fn names(source: &str) -> Vec<String> {
    texts(source, Language::Rust, Kind::Identifiers)
}

#[test]
fn names_are_those_that_are_declared() {
    assert_eq!(
        names("pub(crate) fn send(body: &[u8]) -> Sent { call::other(body) }"),
        ["send", "body"]
    );
    assert_eq!(names("struct A<'a> { pub b: &'a str, c: d::E }"), ["A", "b", "c"]);
    assert_eq!(
        names("enum A { B, C(D), #[x] E { f: G } }\nmod h;"),
        ["A", "B", "C", "E", "f", "h"]
    );
    assert_eq!(names("const A: u8 = B; static C: u8 = 1;"), ["A", "C"]);
    assert_eq!(names("let mut a = b.c(); if let Some(d) = e {}"), ["a", "d"]);
    assert_eq!(names("for (a, b) in c {} d.map(|e| e.f)"), ["a", "b", "e"]);
    assert_eq!(names("impl a::B for C { const D: u8 = e(); }"), ["D"]);
}

#[test]
fn line_comments_are_joined() {
    let source = "//! One\n//! text.\n\n/// Another.\nfn f() {} // A third,\n// which goes on.\n";
    assert_eq!(
        texts(source, Language::Rust, Kind::Docs),
        ["One\n text.", "Another.", "A third,\n which goes on."]
    );
    let lines: Vec<_> = pieces(source, Language::Rust)
        .iter()
        .filter(|piece| piece.kind == Kind::Docs)
        .map(|piece| piece.line)
        .collect();
    assert_eq!(lines, [1, 4, 5]);
}

#[test]
fn block_comments_nest_only_in_rust() {
    let source = "/* a /* b */ c */ fn d() {}";
    assert_eq!(texts(source, Language::Rust, Kind::Docs), ["a  b  c"]);
    assert_eq!(texts("/** a\n * b */", Language::Script, Kind::Docs), ["a\n b"]);
    assert_eq!(texts("/* a /* b */ c", Language::Script, Kind::Docs), ["a /* b"]);
}

#[test]
fn strings_of_all_kinds_are_messages() {
    let source = r#"f("a \"b\" {c}", b"d", r"e\", '"', '\'', "h", 'i)"#;
    let expected = ["a  b  ·", "d", r"e\", "h"];
    assert_eq!(texts(source, Language::Rust, Kind::Messages), expected);
    let with_quotes = "br#\"f \"g\"\"#; \"h\"";
    assert_eq!(texts(with_quotes, Language::Rust, Kind::Messages), ["f \"g\"", "h"]);
}

#[test]
fn templates_of_scripts_hold_code_that_holds_templates() {
    let source = "const a = `b ${c ? `d ${\"e\"} f` : { g: 'h' }} i`; const j = /['\"`]/; k('l')";
    let expected = ["b", "d", "e", "f", "h", "i", "l"];
    let texts = texts(source, Language::Script, Kind::Messages);
    assert_eq!(texts.iter().filter(|text| !text.is_empty()).collect::<Vec<_>>(), expected);
}
