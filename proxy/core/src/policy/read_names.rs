//! Operations that only read, by the words of their names.

use crate::words::words;

/// What the names of reading operations begin with.
const READS: &[&str] = &[
    "get", "list", "is", "has", "search", "find", "describe", "count", "estimate", "simulate",
    "trace", "decode", "lookup", "show", "query", "scan", "receive", "pull", "peek",
];
/// What the names of reading operations have behind one of these.
const BEFORE_READS: &[&str] = &["batch", "run", "multi"];

/// No operation with one of these words in its name counts as a read, whatever else is in it.
const WRITES: &[&str] = &[
    "new",
    "create",
    "send",
    "submit",
    "set",
    "add",
    "remove",
    "delete",
    "update",
    "put",
    "post",
    "push",
    "pay",
    "transfer",
    "sign",
    "unlock",
    "lock",
    "import",
    "mint",
    "burn",
    "start",
    "stop",
    "and",
    "or",
    "next",
    "pop",
    "take",
    "claim",
    "ack",
    "reset",
    "clear",
    "save",
    "write",
    "execute",
    "exec",
    "rotate",
    "generate",
    "modify",
    "replace",
    "insert",
    "upsert",
    "assign",
    "reserve",
    "allocate",
    "acquire",
    "buy",
    "subscribe",
    "unsubscribe",
    "register",
    "apply",
    "increment",
    "mark",
    "approve",
    "invite",
    "change",
];

/// Namespaces of JSON-RPC whose methods act with a wallet or on the node.
const ACTING_SPACES: &[&str] = &["wallet", "personal", "admin", "miner", "engine", "clique"];
/// Namespaces of JSON-RPC in which only a verb acts (Ethereum's JSON-RPC API and its clients).
const READING_SPACES: &[&str] = &["net", "web3", "txpool", "trace"];
/// What the methods of the namespace `eth` end with that have no verb: `eth_blockNumber`.
const ETH_NOUNS: &[&str] = &[
    "number", "id", "price", "accounts", "history", "syncing", "gas", "fee", "version", "hashrate",
    "mining", "coinbase",
];

/// Whether an operation of an API only reads, by its name without a namespace.
pub(super) fn operation_reads(name: &str) -> bool {
    let words = words(name);
    let mut words = words.iter().map(String::as_str);
    let acts = words.clone().any(|word| WRITES.contains(&word));
    let first = words.next().unwrap_or_default();
    let reads = READS.contains(&first)
        || BEFORE_READS.contains(&first) && words.any(|word| READS.contains(&word));
    reads && !acts
}

/// Whether a method of JSON-RPC only reads. `params`: as written.
pub(super) fn method_reads(method: &str, params: &str) -> bool {
    let (space, name) = split(method);
    let space = space.to_ascii_lowercase();
    if ACTING_SPACES.contains(&space.as_str()) {
        return false;
    }
    let words = words(name);
    let acts = words.iter().any(|word| WRITES.contains(&word.as_str()));
    let last = words.last().map_or("", String::as_str);
    let by_noun =
        READING_SPACES.contains(&space.as_str()) || space == "eth" && ETH_NOUNS.contains(&last);
    // A call of a contract without a transaction. Elsewhere a call may be one by telephone.
    let by_call = name == "call" && !space.is_empty() && params.contains("\"0x");
    operation_reads(name) || run_together(&words) || !acts && (by_noun || by_call)
}

/// The namespace of a method, and its name there: `eth_getLogs`, `user.get`.
fn split(method: &str) -> (&str, &str) {
    if let Some(split) = method.rsplit_once(['.', '/', ':']) {
        return split;
    }
    match method.split_once('_') {
        Some((space, name)) if !READS.contains(&space.to_ascii_lowercase().as_str()) => {
            (space, name)
        }
        _ => ("", method),
    }
}

/// Whether a name in one word, as Bitcoin Core has them, is that of a read: `getblockcount`, but
/// not `getnewaddress`.
fn run_together(words: &[String]) -> bool {
    let [name] = words else { return false };
    let rest =
        ["get", "list", "decode", "estimate"].iter().find_map(|verb| name.strip_prefix(verb));
    rest.is_some_and(|rest| {
        let acts = ["new", "change", "work", "aux"].iter().any(|word| rest.contains(word));
        // `getaccountaddress` creates one; `listen` lists nothing.
        let creates = rest.ends_with("address") && !rest.contains("by");
        rest.len() > 3 && !acts && !creates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_known_by_their_words() {
        for (method, params) in [
            ("eth_getTransactionReceipt", "[]"),
            ("eth_getFilterChanges", "[]"),
            ("eth_blockNumber", "[]"),
            ("eth_chainId", "[]"),
            ("eth_estimateGas", "[]"),
            ("eth_maxPriorityFeePerGas", "[]"),
            ("eth_call", r#"[{"to":"0x01","data":"0x"},"latest"]"#),
            ("starknet_call", r#"[{"contract_address":"0x01"}]"#),
            ("net_version", "[]"),
            ("web3_clientVersion", "[]"),
            ("debug_traceTransaction", "[]"),
            ("getBalance", "[]"),
            ("getSignatureStatuses", "[]"),
            ("isBlockhashValid", "[]"),
            ("simulateTransaction", "[]"),
            ("getblockcount", "[]"),
            ("getrawtransaction", "[]"),
            ("listunspent", "[]"),
            ("user.get", "{}"),
            ("get_user", "{}"),
            ("core.tasks/list", "{}"),
        ] {
            assert!(method_reads(method, params), "{method}");
        }
    }

    #[test]
    fn what_may_write_is_guarded() {
        for (method, params) in [
            ("eth_sendRawTransaction", r#"["0x01"]"#),
            ("eth_sendTransaction", "[]"),
            ("eth_sign", "[]"),
            ("eth_newFilter", "[]"),
            ("eth_submitWork", "[]"),
            ("sendTransaction", "[]"),
            ("requestAirdrop", "[]"),
            ("wallet_getPermissions", "[]"),
            ("wallet_switchEthereumChain", "[]"),
            ("personal_listAccounts", "[]"),
            ("admin_addPeer", "[]"),
            ("debug_setHead", "[]"),
            ("getnewaddress", "[]"),
            ("getrawchangeaddress", "[]"),
            ("getaccountaddress", "[]"),
            ("sendtoaddress", "[]"),
            ("get_or_create_user", "{}"),
            ("getAndIncrement", "{}"),
            ("user.create", "{}"),
            ("phone_call", r#"{"to":"+4930"}"#),
            ("call", r#"["0x01"]"#),
            ("listen", "[]"),
            ("transfer", "[]"),
            ("", "[]"),
        ] {
            assert!(!method_reads(method, params), "{method}");
        }
    }

    #[test]
    fn operations_of_clouds() {
        for name in
            ["ReceiveMessage", "GetItem", "BatchGetItem", "Scan", "ListQueues", "runQuery", "pull"]
        {
            assert!(operation_reads(name), "{name}");
        }
        for name in [
            "SendMessage",
            "PutItem",
            "BatchWriteItem",
            "DeleteMessage",
            "RunInstances",
            "listen",
            "Publish",
        ] {
            assert!(!operation_reads(name), "{name}");
        }
    }
}
