//! The environment of this process, which a guarded program inherits.

use std::collections::BTreeMap;

/// The environment by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// The environment of this process, without names and values that are not text.
pub(crate) fn inherited() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The hosts of `no_proxy` and `NO_PROXY`, each once; `None` if there are none.
pub(crate) fn no_proxy(inherited: &Variables) -> Option<String> {
    let mut hosts: Vec<&str> = Vec::new();
    for name in ["no_proxy", "NO_PROXY"] {
        let listed = inherited.get(name).map(String::as_str).unwrap_or_default();
        for host in listed.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    (!hosts.is_empty()).then(|| hosts.join(","))
}

/// Warnings for the user.
pub(crate) fn notes(inherited: &Variables) -> Vec<String> {
    let around = no_proxy(inherited).map(|hosts| {
        format!("warning: calls to {hosts} bypass the engine and are not guarded (no_proxy)")
    });
    around.into_iter().collect()
}
