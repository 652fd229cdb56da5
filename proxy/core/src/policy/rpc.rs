//! The methods that a JSON-RPC request calls (JSON-RPC 2.0, 4 and 6; Bitcoin Core's 1.0).

use std::collections::BTreeMap;

use http::header::HeaderMap;
use memchr::memmem;
use serde_json::value::RawValue;

use super::members::members;
use super::read_names::method_reads;
use crate::http::forms::kind::{BodyKind, body_kind};

/// The calls of a request, or of each request of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RpcCalls(Vec<RpcCall>);

#[derive(Debug, PartialEq, Eq)]
struct RpcCall {
    method: String,
    /// As written.
    params: String,
}

/// Whether the body may be of JSON-RPC.
pub(super) fn may_be_rpc(headers: &HeaderMap) -> bool {
    matches!(body_kind(headers), BodyKind::Json)
}

impl RpcCalls {
    /// The calls in a body without coding. `None`: it is not JSON-RPC, or readers may read it
    /// differently.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        memmem::find(body, b"\"method\"")?;
        let calls = if body.trim_ascii_start().starts_with(b"[") {
            store_core::canonical::json(body)?;
            let batch: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
            batch.iter().map(|one| call(one.get().as_bytes())).collect::<Option<Vec<_>>>()?
        } else {
            vec![call(body)?]
        };
        (!calls.is_empty()).then_some(Self(calls))
    }

    /// The methods in order.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|call| call.method.as_str())
    }

    /// Whether all of it only reads.
    pub(super) fn only_read(&self) -> bool {
        self.0.iter().all(|call| method_reads(&call.method, &call.params))
    }
}

fn call(text: &[u8]) -> Option<RpcCall> {
    let members = members(text)?;
    // Some servers do not distinguish the case of names.
    let like_method = |name: &&String| name.eq_ignore_ascii_case("method");
    if members.keys().filter(like_method).count() != 1 {
        return None;
    }
    let has = |name: &str| members.contains_key(name);
    if !(has("jsonrpc") || has("id") && has("params")) {
        return None;
    }
    let method = text_of(&members, "method")?;
    let params = members.get("params").map_or("", |params| params.get()).to_owned();
    Some(RpcCall { method, params })
}

fn text_of(members: &BTreeMap<String, &RawValue>, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(body: &str) -> Option<Vec<String>> {
        RpcCalls::read(body.as_bytes()).map(|calls| calls.methods().map(str::to_owned).collect())
    }

    #[test]
    fn the_methods_of_requests_and_batches() {
        let get = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[]}"#;
        let send = r#"{"id":1,"method":"sendTransaction","params":[]}"#;
        assert_eq!(methods(get), Some(vec!["eth_getLogs".to_owned()]));
        let batch = format!(" [{get},{send}]");
        assert_eq!(methods(&batch).unwrap(), ["eth_getLogs", "sendTransaction"]);
        assert!(!RpcCalls::read(batch.as_bytes()).unwrap().only_read());
        assert!(RpcCalls::read(format!("[{get},{get}]").as_bytes()).unwrap().only_read());
        for none in [
            r#"{"method":"getBalance"}"#,
            r#"{"jsonrpc":"2.0","method":"getBalance","Method":"sendTransaction"}"#,
            r#"{"jsonrpc":"2.0","method":"getBalance","method":"sendTransaction"}"#,
            r#"{"jsonrpc":"2.0","method":7}"#,
            r#"[{"jsonrpc":"2.0","method":"getBalance"},7]"#,
            "[]",
            r#"{"a":"method"}"#,
        ] {
            assert_eq!(methods(none), None, "{none}");
        }
    }
}
