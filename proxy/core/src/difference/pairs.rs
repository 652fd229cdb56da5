//! Pairs of names and values: of a form, and of a query.

use std::collections::BTreeSet;

use super::list::{Differences, DifferentPart};

/// Compares pairs of names and values by name. Lists of the same pairs differ in their order.
pub(super) fn compare(
    part: DifferentPart,
    pairs: [&[(String, String)]; 2],
    shown: &dyn Fn(&str) -> String,
    found: &mut Differences,
) {
    let before = found.differs.len();
    let names: BTreeSet<_> =
        pairs.iter().flat_map(|pairs| pairs.iter().map(|(name, _)| name)).collect();
    for name in names {
        let of = |pairs: &[(String, String)]| -> Option<String> {
            let own = pairs.iter().filter(|(other, _)| other == name);
            let values: Vec<String> = own.map(|(_, value)| format!("{value}\n")).collect();
            (!values.is_empty()).then(|| values.concat())
        };
        let values = pairs.map(of);
        found.text(part, Some(&shown(name)), [values[0].as_deref(), values[1].as_deref()]);
    }
    if found.differs.len() == before && pairs[0] != pairs[1] {
        found.add(part, None);
    }
}
