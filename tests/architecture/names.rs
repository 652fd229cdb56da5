//! A crate's modules as its sources declare them, and which file a path in one of them leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::Item;

use crate::paths::{self, Paths, is_for_tests};

/// From the root of the tree to its text; `None` where there is no such file.
pub(crate) type Load<'a> = &'a dyn Fn(&Path) -> Option<String>;

pub(crate) struct Crate {
    pub(crate) files: Vec<PathBuf>,
    /// The first is the root.
    pub(crate) modules: Vec<Module>,
}

pub(crate) struct Module {
    /// Where it stands, as an index of [`Crate::files`]; a module in braces is in its parent's file.
    pub(crate) file: usize,
    parent: usize,
    children: BTreeMap<String, usize>,
    declared: BTreeSet<String>,
    pub(crate) paths: Paths,
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// An item that this module declares.
    ItemOf(usize),
}

impl Crate {
    /// The crate whose root is the file `root`, without what is built for tests alone.
    pub(crate) fn read(root: &Path, load: Load<'_>) -> Self {
        let mut read = Self { files: Vec::new(), modules: Vec::new() };
        read.add_file(root, root.parent().unwrap(), 0, load);
        read
    }

    fn add_file(&mut self, path: &Path, folder: &Path, parent: usize, load: Load<'_>) -> usize {
        let text = load(path).unwrap_or_else(|| panic!("{} does not exist", path.display()));
        let syntax =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.push(path.to_owned());
        self.add_module(self.files.len() - 1, &syntax.items, folder, parent, load)
    }

    /// `folder` is where the files of its children stand.
    fn add_module(
        &mut self,
        file: usize,
        items: &[Item],
        folder: &Path,
        parent: usize,
        load: Load<'_>,
    ) -> usize {
        let index = self.modules.len();
        let paths = Paths::of(items);
        let declared = items.iter().filter_map(paths::declared_name).collect();
        let children = BTreeMap::new();
        self.modules.push(Module { file, parent, children, declared, paths });
        for item in items {
            let Item::Mod(child) = item else { continue };
            if is_for_tests(&child.attrs) {
                continue;
            }
            let name = child.ident.to_string();
            let below = folder.join(&name);
            let added = if let Some((_, items)) = &child.content {
                self.add_module(file, items, &below, index, load)
            } else {
                let beside = folder.join(format!("{name}.rs"));
                let path = if load(&beside).is_some() { beside } else { below.join("mod.rs") };
                self.add_file(&path, &below, index, load)
            };
            self.modules[index].children.insert(name, added);
        }
        index
    }

    /// The file that the thing at the end of `path` is declared in; `None` for other crates' things.
    pub(crate) fn file_of(&self, module: usize, path: &[String]) -> Option<usize> {
        let found = self.resolve(module, path, &mut Vec::new())?;
        let (Found::Module(module) | Found::ItemOf(module)) = found;
        Some(self.modules[module].file)
    }

    /// `seen` holds what is being looked up: imports may name each other.
    fn resolve(
        &self,
        module: usize,
        path: &[String],
        seen: &mut Vec<(usize, String)>,
    ) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(module),
            "super" => Found::Module(self.modules[module].parent),
            name => self.look_up(module, name, seen)?,
        };
        for name in rest {
            let Found::Module(module) = found else { break };
            found = match name.as_str() {
                "super" => Found::Module(self.modules[module].parent),
                // What a macro declares, or another crate's thing under a name of this module.
                name => self.look_up(module, name, seen).unwrap_or(Found::ItemOf(module)),
            };
        }
        Some(found)
    }

    /// What `name` is inside of `module`: behind a re-export, the thing itself.
    fn look_up(&self, module: usize, name: &str, seen: &mut Vec<(usize, String)>) -> Option<Found> {
        let here = (module, name.to_owned());
        if seen.contains(&here) {
            return None;
        }
        seen.push(here);
        let known = &self.modules[module];
        if let Some(child) = known.children.get(name) {
            return Some(Found::Module(*child));
        }
        if known.declared.contains(name) {
            return Some(Found::ItemOf(module));
        }
        if let Some(path) = known.paths.imported.get(name) {
            return self.resolve(module, path, seen);
        }
        known.paths.globs.iter().find_map(|path| match self.resolve(module, path, seen)? {
            Found::Module(from) if from != module => self.look_up(from, name, seen),
            _ => None,
        })
    }
}
