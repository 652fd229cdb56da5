//! A file is short enough to be read in one sitting.

use std::path::Path;

use crate::sources;

const MOST_LINES: usize = 400;
const MEDIAN_LINES: usize = 160;

/// Tables: one entry after the other, of which a reader looks up one.
const TABLES: &[&str] = &["store/src/sqlite/queries.rs"];

/// The folders with Rust files.
const FOLDERS: &[&str] = &["proxy", "src", "store", "tests", "xtask"];

#[test]
fn files_are_short() {
    let mut sizes: Vec<_> = FOLDERS
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|(path, text)| (text.lines().count(), path))
        .collect();
    sizes.sort();
    let is_table = |path: &Path| TABLES.iter().any(|table| Path::new(table) == path);
    let long: Vec<_> =
        sizes.iter().filter(|(lines, path)| *lines > MOST_LINES && !is_table(path)).collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:#?}");
    let (median, _) = sizes[sizes.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median of {} files is {median} lines", sizes.len());
    for table in TABLES {
        let there =
            sizes.iter().any(|(lines, path)| *lines > MOST_LINES && Path::new(table) == path);
        assert!(there, "{table} is not over {MOST_LINES} lines: take it off the list");
    }
}
