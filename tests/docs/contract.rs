//! `docs/FAILURE_CONTRACT.md` has the codes that the proxy and the API answer with, and no others.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;

use crate::{files, part, read};

/// The sections of a part whose headings are a code, by their code.
fn sections(part: &str) -> BTreeMap<String, &str> {
    let sections = part.split("\n### `").skip(1);
    sections
        .map(|section| {
            let (code, text) = section.split_once("`\n").unwrap();
            (code.to_owned(), text)
        })
        .collect()
}

/// By its name in upper case.
fn status(name: &str) -> u16 {
    let named = |status: &StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_ascii_uppercase().replace([' ', '-'], "_") == name
    };
    (400..600).filter_map(|n| StatusCode::from_u16(n).ok()).find(named).unwrap().as_u16()
}

/// Statuses and codes of the proxy's problems, from its table.
fn proxy_codes() -> BTreeMap<String, BTreeSet<u16>> {
    let mut codes: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for path in files("proxy/src", "rs") {
        for entry in read(path).split("(S::").skip(1) {
            let name = entry.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            let code = entry.split('"').nth(1).unwrap();
            codes.entry(code.to_owned()).or_default().insert(status(name));
        }
    }
    assert!(codes.len() > 15, "the table of proxy/src/respond is not where it was: {codes:?}");
    codes
}

/// What a function of the state API's table maps each variant to; without the arm for all others.
fn api_table(function: &str) -> BTreeMap<String, String> {
    let source = read("src/api/error.rs");
    let (_, rest) = source.split_once(&format!("fn {function}(")).unwrap();
    let body = rest.split("\n    }\n").next().unwrap();
    let mut table = BTreeMap::new();
    for arm in body.split(",\n") {
        let Some((variants, value)) = arm.split_once(" => ") else { continue };
        for variant in variants.split("Self::").skip(1) {
            let name = variant.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            table.insert(name.to_owned(), value.to_owned());
        }
    }
    assert!(table.len() > 5, "the table of src/api/error.rs is not where it was: {table:?}");
    table
}

#[test]
fn each_code_of_the_proxy_has_its_section_and_each_section_its_code() {
    let document = read("docs/FAILURE_CONTRACT.md");
    let sections = sections(part(&document, "The proxy"));
    let codes = proxy_codes();
    assert_eq!(sections.keys().collect::<Vec<_>>(), codes.keys().collect::<Vec<_>>());
    for (code, statuses) in codes {
        let answer = sections[&code].split("\n- ").next().unwrap();
        for status in statuses {
            assert!(
                answer.contains(&status.to_string()),
                "{code} is answered with {status}: {answer}"
            );
        }
    }
}

#[test]
fn each_code_of_the_api_has_its_section_and_each_section_its_code() {
    let document = read("docs/FAILURE_CONTRACT.md");
    let sections = sections(part(&document, "The state API"));
    let (codes, numbers, statuses) =
        (api_table("as_str"), api_table("number"), api_table("status"));
    let mut unused = sections.keys().cloned().collect::<BTreeSet<_>>();
    for (variant, code) in codes {
        let code = code.trim_matches('"');
        assert!(unused.remove(code), "no section {code}");
        let answer = sections[code].split("\n- ").next().unwrap();
        let name = statuses.get(&variant).and_then(|named| named.strip_prefix("StatusCode::"));
        // What is refused before it is read as JSON-RPC is known by its status.
        let expected = match (name, numbers[&variant].as_str()) {
            (Some(name), "-32600") => vec![status(name).to_string()],
            (Some(name), number) => vec![status(name).to_string(), number.to_owned()],
            (None, number) => vec![number.to_owned()],
        };
        assert!(
            expected.iter().all(|one| answer.contains(one)),
            "{code} is {expected:?}: {answer}"
        );
    }
    assert!(unused.is_empty(), "no code is {unused:?}");
}

#[test]
fn each_section_answers_the_four_questions() {
    let document = read("docs/FAILURE_CONTRACT.md");
    for title in ["The proxy", "The state API"] {
        for (code, text) in sections(part(&document, title)) {
            for question in ["What happened", "Was the tool run", "May I retry", "What to do"] {
                assert!(text.contains(&format!("\n- {question}: ")), "{code}: {question}?");
            }
        }
    }
}
