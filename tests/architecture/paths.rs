//! The paths that a module writes down: in its imports, in its code, in its macros and attributes.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

#[derive(Default)]
pub(crate) struct Paths {
    /// All of two segments and more, and those of imports; without those of other modules in braces.
    pub(crate) written: BTreeSet<Vec<String>>,
    /// Those of `pub use`.
    pub(crate) reexported: BTreeSet<Vec<String>>,
    /// What a name stands for that an import brought.
    pub(crate) imported: BTreeMap<String, Vec<String>>,
    /// What `use PATH::*` takes all names from.
    pub(crate) globs: Vec<Vec<String>>,
}

/// `#[test]`, `#[cfg(test)]` and `#[cfg(all(test, …))]`.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string());
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && condition.is_ok_and(|it| it == "test" || it.starts_with("all (test"))
    })
}

pub(crate) fn declared_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

impl Paths {
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut paths = Self::default();
        for item in items {
            paths.visit_item(item);
        }
        paths
    }

    fn add(&mut self, path: &syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if path.leading_colon.is_none() && names.len() > 1 {
            self.written.insert(names);
        }
    }

    fn import(&mut self, before: &[String], tree: &UseTree, public: bool) {
        let (name, original) = match tree {
            UseTree::Path(path) => {
                let path_to = [before, &[path.ident.to_string()]].concat();
                return self.import(&path_to, &path.tree, public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(before, tree, public));
            }
            UseTree::Glob(_) => {
                self.globs.push(before.to_vec());
                self.import_path(before.to_vec(), public);
                return;
            }
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(rename) => (rename.rename.to_string(), rename.ident.to_string()),
        };
        let (name, path) = match original.as_str() {
            "self" if name == "self" => (before.last().unwrap().clone(), before.to_vec()),
            "self" => (name, before.to_vec()),
            _ => (name, [before, &[original]].concat()),
        };
        self.import_path(path.clone(), public);
        self.imported.insert(name, path);
    }

    fn import_path(&mut self, path: Vec<String>, public: bool) {
        let paths = if public { &mut self.reexported } else { &mut self.written };
        paths.insert(path);
    }

    /// Names with `::` between, anywhere in tokens that are not parsed; in quotes too, where
    /// these are an attribute's.
    fn scan(&mut self, tokens: TokenStream, quoted: bool) {
        let mut names: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !names.is_empty() => {
                    colons += 1;
                }
                TokenTree::Ident(name) if colons == 2 => {
                    names.push(name.to_string());
                    colons = 0;
                }
                other => {
                    self.end_of_path(&mut names);
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => names.push(name.to_string()),
                        TokenTree::Group(group) => self.scan(group.stream(), quoted),
                        TokenTree::Literal(literal) if quoted => {
                            let text = literal.to_string();
                            if let Ok(path) = syn::parse_str(text.trim_matches('"')) {
                                self.add(&path);
                            }
                        }
                        TokenTree::Literal(_) | TokenTree::Punct(_) => {}
                    }
                }
            }
        }
        self.end_of_path(&mut names);
    }

    fn end_of_path(&mut self, names: &mut Vec<String>) {
        let names = std::mem::take(names);
        if names.len() > 1 {
            self.written.insert(names);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    /// A module in its own file.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&[], &item.tree, matches!(item.vis, Visibility::Public(_)));
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.add(&call.path);
        self.scan(call.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Ok(list) = attribute.meta.require_list() {
            self.scan(list.tokens.clone(), true);
        }
    }
}
