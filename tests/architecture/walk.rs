//! "A call, hop by hop" in ARCHITECTURE.md: each hop is a file and what it declares.
//!
//! The section has one part (`### …`) a walk. A hop is a numbered line such as
//! ``3. `store/src/call.rs` `Claim::granted`: what the function does``; text between the lines is free.

use std::collections::BTreeSet;
use std::fs;

use syn::{ImplItem, Item, TraitItem, Type};

use crate::paths::declared_name;
use crate::root;

const SECTION: &str = "A call, hop by hop";
/// A guarded POST, and `execute_tool_idempotent`.
const WALKS: usize = 2;
const FEWEST_HOPS: usize = 8;

/// The file and the name of each numbered line; the line itself if it is not a hop.
fn hops(walk: &str) -> Result<Vec<(&str, &str)>, &str> {
    let numbered = |line: &&str| {
        line.split_once(". ").is_some_and(|(number, _)| number.parse::<usize>().is_ok())
    };
    walk.lines().filter(numbered).map(|line| hop(line).ok_or(line)).collect()
}

fn hop(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(". `")?;
    let (file, rest) = rest.split_once("` `")?;
    let (name, _) = rest.split_once("`: ")?;
    Some((file, name))
}

/// What a file declares: `name`, and `Type::name` of the items in an `impl` or a trait.
fn declared(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    add_declared(&syn::parse_file(source).unwrap().items, &mut names);
    names
}

fn add_declared(items: &[Item], names: &mut BTreeSet<String>) {
    for item in items {
        names.extend(declared_name(item));
        match item {
            Item::Mod(module) => {
                add_declared(module.content.as_ref().map_or(&[], |(_, items)| items), names);
            }
            Item::Impl(block) => {
                let Type::Path(of) = &*block.self_ty else { continue };
                let of = &of.path.segments.last().unwrap().ident;
                for item in &block.items {
                    if let ImplItem::Fn(function) = item {
                        names.insert(function.sig.ident.to_string());
                        names.insert(format!("{of}::{}", function.sig.ident));
                    }
                }
            }
            Item::Trait(of) => {
                for item in &of.items {
                    if let TraitItem::Fn(function) = item {
                        names.insert(format!("{}::{}", of.ident, function.sig.ident));
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn each_hop_of_a_newcomers_walk_is_there() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let heading = format!("\n## {SECTION}\n");
    let (_, section) = document.split_once(&heading).unwrap_or_else(|| panic!("no {SECTION:?}"));
    let section = section.split("\n## ").next().unwrap();
    let walks: Vec<_> = section.split("\n### ").skip(1).collect();
    assert_eq!(walks.len(), WALKS);
    for walk in walks {
        let hops = hops(walk).unwrap_or_else(|line| panic!("no hop: {line}"));
        assert!(hops.len() >= FEWEST_HOPS, "{} hops of {FEWEST_HOPS}: {walk}", hops.len());
        for (file, name) in hops {
            let source = fs::read_to_string(root().join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(declared(&source).contains(name), "{file} declares no {name}");
        }
    }
}

#[test]
fn a_hop_is_a_file_and_a_name() {
    let walk = "A POST\n\nFirst:\n\n1. `a/b.rs` `Store::claim`: it claims\n   in one commit\n10. `c.rs` `f`: it ends\n";
    assert_eq!(hops(walk), Ok(vec![("a/b.rs", "Store::claim"), ("c.rs", "f")]));
    for line in ["1. a/b.rs `f`: it", "1. `a/b.rs` f: it", "1. `a/b.rs` `f`", "1. `a/b.rs`: it"] {
        assert_eq!(hops(line), Err(line));
    }
}

#[test]
fn a_name_is_declared_by_its_own_file_alone() {
    let names = declared(
        "use x::Other; pub fn f() { other() } struct S; enum E { V } mod m { fn inner() {} }
         impl S { async fn go(&self) {} } impl From<S> for E { fn from(s: S) -> E {} } trait T { fn t(); }",
    );
    let expected = ["E", "E::from", "S", "S::go", "T", "T::t", "f", "from", "go", "inner"];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
