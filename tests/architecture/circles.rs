//! Files that import each other in a circle are one file in several pieces: none of them can be read,
//! tested or moved alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::names::{Crate, Load};
use crate::{crate_roots, root};

/// Two that are one thing, and the file above them.
const MOST_FILES: usize = 3;

/// Between files, by their index: the paths that one writes to name what is in the other.
type Arrows = BTreeMap<(usize, usize), BTreeSet<String>>;

/// A crate's root that re-exports is its table of contents, and imports nothing by it.
fn arrows(read: &Crate) -> Arrows {
    let mut arrows = Arrows::new();
    for (index, module) in read.modules.iter().enumerate() {
        let reexported = module.paths.reexported.iter().filter(|_| index != 0);
        for path in module.paths.written.iter().chain(reexported) {
            if let Some(to) = read.file_of(index, path).filter(|to| *to != module.file) {
                arrows.entry((module.file, to)).or_default().insert(path.join("::"));
            }
        }
    }
    arrows
}

/// The files that each file reaches over any number of arrows.
fn reached(files: usize, arrows: &Arrows) -> Vec<BTreeSet<usize>> {
    let from = |start: usize| {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(file) = open.pop() {
            let next = arrows.keys().filter(|(from, _)| *from == file).map(|(_, to)| *to);
            open.extend(next.filter(|to| reached.insert(*to)));
        }
        reached
    };
    (0..files).map(from).collect()
}

/// Each set of files of which every one reaches every other.
fn circles(files: usize, arrows: &Arrows) -> BTreeSet<Vec<usize>> {
    let reached = reached(files, arrows);
    let circle = |file: usize| {
        let others = reached[file].iter().copied().filter(|other| reached[*other].contains(&file));
        others.collect::<Vec<_>>()
    };
    (0..files).map(circle).filter(|circle| circle.len() > 1).collect()
}

/// The circles of more than `most` files, with the arrows that tie them.
fn too_large(root: &Path, load: Load<'_>, most: usize) -> String {
    let read = Crate::read(root, load);
    let arrows = arrows(&read);
    let mut report = String::new();
    for circle in circles(read.files.len(), &arrows) {
        if circle.len() <= most {
            continue;
        }
        writeln!(report, "a circle of {} files:", circle.len()).unwrap();
        for ((from, to), paths) in &arrows {
            if circle.contains(from) && circle.contains(to) {
                let [from, to] = [from, to].map(|file| read.files[*file].display());
                let paths: Vec<_> = paths.iter().map(String::as_str).collect();
                writeln!(report, "  {from} -> {to}: {}", paths.join(", ")).unwrap();
            }
        }
    }
    report
}

#[test]
fn no_circle_of_imports_has_more_than_three_files() {
    let load = |path: &Path| fs::read_to_string(root().join(path)).ok();
    let roots = crate_roots();
    let report: String = roots.iter().map(|root| too_large(root, &load, MOST_FILES)).collect();
    assert!(report.is_empty(), "{report}");
}

/// What is said of circles of two files and more in a tree of these files.
fn report_on(files: &[(&str, &str)]) -> String {
    let load = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned())
    };
    too_large(Path::new("src/lib.rs"), &load, 1)
}

#[test]
fn a_circle_is_found_however_a_path_is_written() {
    for back in [
        "use crate::b::B;",
        "use super::b::{self, B};",
        "use crate::{b as other};",
        "use super::b::*;",
        "fn f() { crate::b::g(); }",
        "fn f() -> super::b::B { todo!() }",
        "fn f() { assert_eq!(crate::b::g(), [1]); }",
        "#[serde(with = \"crate::b::form\")] struct A;",
        "impl crate::b::T for u8 {}",
        "fn f() { use super::b; b::g() }",
        "mod inner { use super::super::b::B; }",
        // By the name that another file gives it.
        "use crate::c::B;",
        "use crate::B;",
    ] {
        let tree = [
            ("src/lib.rs", "mod a; mod b; mod c; pub use b::B;"),
            ("src/a.rs", back),
            (
                "src/b.rs",
                "use super::a; pub struct B; pub trait T {} pub fn g() {} pub mod form {}",
            ),
            ("src/c.rs", "pub(crate) use crate::b::B;"),
        ];
        let report = report_on(&tree);
        assert!(
            report.starts_with("a circle of 2 files:\n  src/a.rs -> src/b.rs: "),
            "{back}: {report:?}"
        );
        assert!(report.contains("\n  src/b.rs -> src/a.rs: super::a\n"), "{back}: {report}");
    }
}

#[test]
fn a_module_that_uses_its_children_is_in_a_circle_with_those_that_use_it() {
    let tree = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod one; mod two; pub struct A; fn f() { one::f(); two::f() }"),
        ("src/a/one.rs", "use super::A; pub fn f() {}"),
        ("src/a/two.rs", "use crate::a::A; pub fn f() {}"),
    ];
    let report = report_on(&tree);
    assert!(report.starts_with("a circle of 3 files:\n"), "{report:?}");
    assert!(report.contains("  src/a/mod.rs -> src/a/one.rs: one::f\n"), "{report}");
    assert!(report.contains("  src/a/two.rs -> src/a/mod.rs: crate::a::A\n"), "{report}");
}

#[test]
fn imports_without_a_circle_pass() {
    for (lib, a) in [
        // The root is a table of contents.
        ("pub mod a; pub mod b; pub use a::A; pub struct R;", "pub struct A(crate::R);"),
        ("mod a; mod b;", "#[cfg(test)] mod tests { use crate::b::B; }"),
        ("mod a; mod b;", "#[cfg(test)] use crate::b::B;"),
        ("mod a; mod b;", "#[test] fn f() { crate::b::g() }"),
        ("mod a; mod b;", "impl A { #[cfg(test)] fn f() { crate::b::g() } }"),
        ("mod a; mod b;", "use ::b::B; use b::C; fn f() { other::b::g(); T::b() }"),
        ("mod a; mod b;", "pub(super) struct A; // crate::b::B"),
        ("mod a; mod b;", "fn f() { println!(\"crate :: b\"); a.b() }"),
        ("mod a; mod b; mod c;", "use super::c::C;"),
    ] {
        let b = "use crate::a::A; pub struct B;";
        let c = "pub struct C;";
        assert_eq!(
            report_on(&[("src/lib.rs", lib), ("src/a.rs", a), ("src/b.rs", b), ("src/c.rs", c)]),
            "",
            "{a}"
        );
    }
}
