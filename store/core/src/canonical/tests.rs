use std::fmt::Write as _;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::{display, json, json_or_raw};
use crate::key::Digest;

fn form(text: &str) -> Option<String> {
    json(text.as_bytes()).map(|form| String::from_utf8(form).unwrap())
}

#[test]
fn one_meaning_has_one_form() {
    for (text, want) in [
        (" {\"b\" : 1 ,\r\n\t\"a\":[ 1 , 2 ] } ", r#"{"a":[1,2],"b":1}"#),
        (r#"{"b":{"d":1,"c":{"z":0,"y":1}},"a":0}"#, r#"{"a":0,"b":{"c":{"y":1,"z":0},"d":1}}"#),
        (r#""\u0041\/\u00e9\u20AC\ud83d\uDE00""#, "\"A/é€😀\""),
        (r#""\u0008\u0009\u000a\u000c\u000D\u0022\u005c""#, r#""\b\t\n\f\r\"\\""#),
        (r#""\u0000\u001F\u007f""#, "\"\\u0000\\u001f\u{7f}\""),
        (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"":1}"#, r#"{"":1}"#),
        ("[]", "[]"),
        ("{}", "{}"),
        (" null", "null"),
        ("true", "true"),
        ("\tfalse", "false"),
        ("\"\"", "\"\""),
    ] {
        assert_eq!(form(text).as_deref(), Some(want), "{text}");
    }
}

#[test]
fn members_sort_by_utf16_code_units() {
    // The example of RFC 8785, 3.2.3.
    let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
        "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let form = form(text).unwrap();
    let places: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
        .iter()
        .map(|word| form.find(word).unwrap())
        .collect();
    assert!(places.is_sorted(), "{form}");
    assert_eq!(
        self::form(r#"{"\\":1,"a":1,"\n":1,"\"":1,"Z":1}"#).unwrap(),
        r#"{"\n":1,"\"":1,"Z":1,"\\":1,"a":1}"#
    );
    assert_eq!(self::form(r#"{"ab":1,"a":1,"":1}"#).unwrap(), r#"{"":1,"a":1,"ab":1}"#);
}

#[test]
fn numbers_stay_as_written() {
    for number in [
        "0",
        "-0",
        "0.0",
        "1",
        "1.0",
        "1e0",
        "1E0",
        "1e+0",
        "1e-0",
        "10e-1",
        "-1.50",
        "12345678901234567890",
        "12345678901234567891",
        "123456789012345678901234567890",
        "1.00000000000000000001",
        "1e999",
        "-1E-999",
    ] {
        assert_eq!(form(number).as_deref(), Some(number));
    }
}

#[test]
fn what_has_no_form() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "]",
        "\"",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1e",
        "1e+",
        "0x1",
        "--1",
        "1_0",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "nulll",
        "True",
        "tru",
        "'a'",
        "\"\\x\"",
        "\"\\",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\u+123\"",
        "\"a\nb\"",
        "\"\t\"",
        "\"\u{0}\"",
        "1 2",
        "{} {}",
        "[]x",
        "\u{feff}{}",
        "\u{a0}1",
        "// c\n1",
        "/**/1",
        "\u{c}1",
        // Lone surrogates, in values and in names.
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\udc00\ud800""#,
        r#""\ud800\u0041""#,
        r#""\ud83d\n""#,
        r#"{"\udfff":1}"#,
        // Duplicate names, also by another spelling, in any object.
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"":1,"":1}"#,
        r#"[{"x":{"\/":1,"/":2}}]"#,
        r#"{"b":1,"c":{"a":1,"a":2}}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
    ] {
        assert_eq!(form(text), None, "{text:?}");
    }
    for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\xff\xfe1\x001"] {
        assert_eq!(json(bytes), None, "{bytes:?}");
    }
    assert!(form(r#"{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}"#).is_some());
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |n: usize| format!("{}0{}", open.repeat(n), close.repeat(n));
        assert_eq!(form(&nested(128)), Some(nested(128)));
        assert_eq!(form(&nested(129)), None);
        assert_eq!(form(&open.repeat(1_000_000)), None);
    }
}

#[test]
fn large_and_hostile_inputs_take_no_quadratic_time() {
    let mut flat = String::from("{");
    for n in (0..200_000).rev() {
        let _ = write!(flat, "\"{n:06}\":{n},");
    }
    flat.push_str("\"x\":0}");
    // Every level is unsorted and holds nearly all of the text.
    let text = "x".repeat(50_000);
    let deep = format!("{}\"{text}\"{}", "{\"b\":".repeat(128), ",\"a\":0}".repeat(128));
    let started = std::time::Instant::now();
    assert_eq!(form(&flat).unwrap().len(), flat.len());
    assert_eq!(form(&deep).unwrap().len(), deep.len());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn forms_and_raw_bytes_never_collide() {
    assert_eq!(json_or_raw(b"{ }"), b"j{}");
    assert_eq!(json_or_raw(b"j{}"), b"rj{}");
    assert_ne!(json_or_raw(b"{\"a\":1,\"a\":2}"), json_or_raw(b"{\"a\":1, \"a\":2}"));
    assert_eq!(display("{ \"b\":1, \"a\":2.0 }"), "{\"a\":2.0,\"b\":1}");
    assert_eq!(display("{\"a\":1, \"a\":2}"), "{\"a\":1, \"a\":2}");
}

/// A stored key must be found again by every later version: these may never change.
#[test]
fn the_form_is_frozen() {
    for (text, sha256) in [
        (r#"{"subject":"Welcome!","to":"user@example.com"}"#, "46e2aa073b5e907330dec762efd7f636"),
        (
            " { \"to\" : \"user@example.com\", \"subject\":\"\\u0057elcome!\" } ",
            "46e2aa073b5e907330dec762efd7f636",
        ),
        (
            r#"{"€":1,"\r":2,"\ufb33":3,"1":4,"😀":5,"\u0080":6,"ö":7}"#,
            "72f8534b09a5cd1d93f064e5dea40539",
        ),
        (
            r#"[1,1.0,1e0,-0,123456789012345678901234567890,"\u001f\/\"\\",null,true,false,{}]"#,
            "97bca74640a103bb09bbb440b407fb5e",
        ),
        (r#"{"a":1,"a":2}"#, "7bbc27548ea70a826943195e38b3fe79"),
        ("not JSON", "9424fb0b52584b266f002d9f0d14f80f"),
        ("", "454349e422f05297191ead13e21d3db5"),
    ] {
        assert_eq!(Digest::of(&json_or_raw(text.as_bytes())).hex(16), sha256, "{text}");
    }
}

/// A JSON value as a test knows it: numbers are texts, members are in any order.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Self>),
    Object(std::collections::BTreeMap<String, Self>),
}

fn value() -> impl Strategy<Value = Value> {
    let text = || {
        prop_oneof![
            "[a-c]{0,2}",
            "[\u{0}-\u{10ffff}]{0,4}",
            "[\"\\\\/\u{0}-\u{20}\u{d7ff}\u{e000}\u{ffff}😀]{0,3}"
        ]
    };
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Value::Word),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?".prop_map(Value::Number),
        text().prop_map(Value::Text),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(Value::Object),
        ]
    })
}

/// Writes `value` in one of its many spellings, which `choice` picks.
fn spell(value: &Value, choice: &mut impl FnMut(usize) -> usize, out: &mut String) {
    let space = |choice: &mut dyn FnMut(usize) -> usize, out: &mut String| {
        out.push_str(["", " ", "\n\t", "\r"][choice(4)]);
    };
    space(choice, out);
    match value {
        Value::Word(word) => out.push_str(word),
        Value::Number(number) => out.push_str(number),
        Value::Text(text) => spell_text(text, choice, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spell(item, choice, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            let mut members: Vec<_> = members.iter().collect();
            if !members.is_empty() {
                let turn = choice(members.len());
                members.rotate_left(turn);
            }
            for (index, (name, item)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                space(choice, out);
                spell_text(name, choice, out);
                space(choice, out);
                out.push(':');
                spell(item, choice, out);
            }
            out.push('}');
        }
    }
    space(choice, out);
}

fn spell_text(text: &str, choice: &mut impl FnMut(usize) -> usize, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if character < ' ' || character == '"' || character == '\\' || choice(3) == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = if choice(2) == 0 {
                    write!(out, "\\u{unit:04x}")
                } else {
                    write!(out, "\\u{unit:04X}")
                };
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn spelled(value: &Value, seed: u64) -> String {
    let mut state = seed;
    let mut choice = |n: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut out = String::new();
    spell(value, &mut choice, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_has_the_same_form(value in value(), a in any::<u64>(), b in any::<u64>()) {
        let one = form(&spelled(&value, a));
        prop_assert!(one.is_some());
        prop_assert_eq!(&one, &form(&spelled(&value, b)));
        prop_assert_eq!(&one, &form(one.as_deref().unwrap()));
    }

    #[test]
    fn other_values_have_other_forms(a in value(), b in value(), seed in any::<u64>()) {
        prop_assert_eq!(a == b, form(&spelled(&a, seed)) == form(&spelled(&b, seed ^ 1)));
    }

    #[test]
    fn bytes_that_have_a_form_are_json(bytes in prop::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b','), Just(b':'), Just(b'\\'),
        Just(b'u'), Just(b'0'), Just(b'1'), Just(b'.'), Just(b'e'), Just(b'-'), Just(b' '), any::<u8>(),
    ], 0..24)) {
        if let Some(form) = json(&bytes) {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&bytes).is_ok());
            prop_assert_eq!(json(&form), Some(form));
        }
    }

    #[test]
    fn one_byte_changed_gives_invalid_json_or_another_value(
        value in value(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let text = form(&spelled(&value, 0)).unwrap();
        let mut changed = text.clone().into_bytes();
        let at = at.index(changed.len());
        // `\u001F` and `\u001f` are one character.
        prop_assume!(!changed[at].eq_ignore_ascii_case(&byte));
        changed[at] = byte;
        if let Some(form) = json(&changed) {
            prop_assert_ne!(form, text.into_bytes());
        }
    }
}
