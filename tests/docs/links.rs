//! Links and references lead somewhere.

use std::fs;
use std::path::PathBuf;

use testkit::root;

use crate::files;

fn documents() -> Vec<PathBuf> {
    let own =
        ["README", "AGENTS", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY", "STYLE"];
    let own = own.iter().map(|name| root().join(format!("{name}.md")));
    own.chain(files("docs", "md")).collect()
}

#[test]
fn links_lead_somewhere() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let headings = headings(&fs::read_to_string(&target).unwrap());
                let slugs: Vec<_> = headings.iter().map(|heading| slug(heading)).collect();
                assert!(slugs.iter().any(|slug| slug == anchor), "{}: {link}", path.display());
            }
        }
    }
}

fn headings(document: &str) -> Vec<String> {
    document
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect()
}

/// As the forge makes an anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().replace(' ', "-")
}

/// Comments refer to a section as `docs/SEMANTICS.md, "States"`.
#[test]
fn sections_that_the_code_refers_to_are_there() {
    let mut seen = 0;
    for folder in ["src", "proxy/src", "proxy/core/src", "store/src", "store/core/src"] {
        for path in files(folder, "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let comments: String = source
                .lines()
                .map(|line| line.trim_start().trim_start_matches(['/', '!']).trim())
                .collect::<Vec<_>>()
                .join(" ");
            for reference in comments.split("docs/").skip(1) {
                let Some((file, rest)) = reference.split_once(".md") else { continue };
                let document = root().join("docs").join(format!("{file}.md"));
                assert!(document.exists(), "{}: docs/{file}.md", path.display());
                let Some(title) = rest.strip_prefix(", \"") else { continue };
                let title = title.split('"').next().unwrap();
                let headings = headings(&fs::read_to_string(&document).unwrap());
                let there = headings.iter().any(|heading| {
                    heading.trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c))
                        == title
                });
                assert!(there, "{}: no section {title:?} in {file}.md", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "only {seen} references were found");
}
