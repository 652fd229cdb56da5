//! What trusted servers say of their tools: `readOnlyHint` and `idempotentHint` of `tools/list`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::stdio::stdio_name;
use crate::http::target::Target;

/// How many servers are remembered, and how many tools of each.
const MAX_SERVERS: usize = 256;
const MAX_TOOLS: usize = 2_048;

/// What a server says of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It changes nothing.
    ReadOnly,
    /// The same call twice has the effect of one.
    Idempotent,
}

/// Remembers what trusted servers have said, in bounded memory. Other servers are ignored.
#[derive(Debug)]
pub struct Hints {
    trusted: Vec<String>,
    known: Mutex<HashMap<String, HashMap<String, Hint>>>,
}

#[derive(Deserialize)]
struct ListResponse<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolList<'a> {
    #[serde(borrow)]
    tools: Vec<ListedTool<'a>>,
}

#[derive(Deserialize)]
struct ListedTool<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Annotations {
    read_only_hint: Option<bool>,
    idempotent_hint: Option<bool>,
}

impl Hints {
    /// `trusted`: `HOST`, `HOST:PORT`, the URL of a server (without query), or the name of a server
    /// on stdio.
    pub fn new(trusted: &[String]) -> Self {
        Self { trusted: trusted.to_vec(), known: Mutex::default() }
    }

    /// Whether the server is trusted.
    pub fn trusts(&self, target: &Target) -> bool {
        let host = &target.authority.host;
        self.trusted.iter().any(|trusted| {
            if trusted.contains("://") {
                return *trusted == server(target);
            }
            trusted.eq_ignore_ascii_case(host)
                || trusted.eq_ignore_ascii_case(&target.authority.to_string())
                || stdio_name(host).is_some_and(|name| trusted.eq_ignore_ascii_case(name))
        })
    }

    /// Reads the response to a `tools/list` of a trusted server.
    pub fn learn(&self, target: &Target, message: &[u8]) {
        let Some(tools) = tools(message) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let server = server(target);
        if known.len() >= MAX_SERVERS && !known.contains_key(&server) {
            known.clear();
        }
        let server = known.entry(server).or_default();
        for (name, hint) in tools {
            match hint {
                Some(hint) if server.len() < MAX_TOOLS => {
                    server.insert(name, hint);
                }
                _ => {
                    server.remove(&name);
                }
            }
        }
    }

    /// What a trusted server says of a tool.
    pub fn of(&self, target: &Target, tool: &str) -> Option<Hint> {
        if self.trusted.is_empty() || !self.trusts(target) {
            return None;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&server(target))?.get(tool).copied()
    }
}

/// A server's URL without its query.
fn server(target: &Target) -> String {
    format!("{}://{}{}", target.scheme.as_str(), target.host(), target.path())
}

fn tools(message: &[u8]) -> Option<Vec<(String, Option<Hint>)>> {
    let response: ListResponse<'_> = serde_json::from_slice(message).ok()?;
    let list: ToolList<'_> = serde_json::from_str(response.result?.get()).ok()?;
    let hint = |annotations: &RawValue| {
        let hints: Annotations = serde_json::from_str(annotations.get()).ok()?;
        match (hints.read_only_hint, hints.idempotent_hint) {
            (Some(true), _) => Some(Hint::ReadOnly),
            (_, Some(true)) => Some(Hint::Idempotent),
            _ => None,
        }
    };
    let read = |tool: ListedTool<'_>| (tool.name.into_owned(), tool.annotations.and_then(hint));
    Some(list.tools.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::target::{Authority, Scheme};

    fn target(host: &str) -> Target {
        let authority = Authority::new(host, 80);
        Target { scheme: Scheme::Http, authority, path_and_query: "/mcp?x=1".to_owned() }
    }

    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
        {"name":"look","annotations":{"readOnlyHint":true,"idempotentHint":false}},
        {"name":"set","annotations":{"idempotentHint":true}},
        {"name":"send","annotations":{"readOnlyHint":false}},
        {"name":"odd","annotations":{"readOnlyHint":"yes"}},
        {"name":"none"}]}}"#;

    #[test]
    fn hints_of_trusted_servers_are_believed() {
        for trusted in ["a.example", "A.EXAMPLE:80", "http://a.example/mcp"] {
            let hints = Hints::new(&[trusted.to_owned()]);
            let server = target("a.example");
            assert!(hints.trusts(&server), "{trusted}");
            assert_eq!(hints.of(&server, "look"), None);
            hints.learn(&server, LIST.as_bytes());
            assert_eq!(hints.of(&server, "look"), Some(Hint::ReadOnly));
            assert_eq!(hints.of(&server, "set"), Some(Hint::Idempotent));
            for tool in ["send", "odd", "none", "other"] {
                assert_eq!(hints.of(&server, tool), None, "{tool}");
            }
            hints.learn(&server, br#"{"result":{"tools":[{"name":"look"}]}}"#);
            assert_eq!(hints.of(&server, "look"), None, "the server takes it back");
        }
    }

    #[test]
    fn others_are_not() {
        let hints = Hints::new(&["a.example".to_owned()]);
        let other = target("b.example");
        assert!(!hints.trusts(&other));
        hints.learn(&other, LIST.as_bytes());
        assert_eq!(hints.of(&other, "look"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let hints = Hints::new(&["a.example".to_owned()]);
        for n in 0..MAX_SERVERS * 2 {
            let path_and_query = format!("/{n}");
            hints.learn(&Target { path_and_query, ..target("a.example") }, LIST.as_bytes());
        }
        assert!(hints.known.lock().unwrap().len() <= MAX_SERVERS);
    }
}
