//! The methods: decode the params, call the store, answer.

mod audit;
mod channels;
mod compare;
mod execute;
mod executions;
mod goals;
mod leases;
mod memories;
mod overview;
mod registrar;
mod sessions;
mod users;

use std::collections::HashSet;

use jsonrpsee::Methods;
use store::Store;

#[cfg(test)]
pub(super) use self::compare::{ComparedExecution, ComparedPart};
#[cfg(test)]
pub(super) use self::execute::ExecutedAnswer;
use self::registrar::{Context, Registrar};
use super::metrics::Metrics;

/// All methods, and which of them change something.
pub(crate) fn all(
    store: Store,
    actor: &'static str,
    metrics: Metrics,
) -> (Methods, HashSet<&'static str>) {
    let mut registrar = Registrar::new(Context { store, actor, metrics });
    users::register(&mut registrar);
    sessions::register(&mut registrar);
    goals::register(&mut registrar);
    executions::register(&mut registrar);
    execute::register(&mut registrar);
    leases::register(&mut registrar);
    memories::register(&mut registrar);
    channels::register(&mut registrar);
    audit::register(&mut registrar);
    overview::register(&mut registrar);
    compare::register(&mut registrar);
    registrar.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::{Map, Value, json};
    use store::Options;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::api::dispatch::Dispatcher;
    use crate::api::openrpc;

    /// The error of a call of `method` with `params`, as (code, field).
    async fn refused(
        dispatcher: &Arc<Dispatcher>,
        method: &Value,
        params: &Map<String, Value>,
    ) -> (Value, Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = dispatcher.answer(Bytes::from(body.to_string())).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        (answer["error"]["code"].clone(), answer["error"]["data"]["field"].clone())
    }

    /// A value that `schema` allows.
    fn sample(schema: &Value) -> Value {
        match schema["$ref"].as_str().unwrap().rsplit_once('/').unwrap().1 {
            "Uuid" => json!("00000000-0000-7000-8000-000000000001"),
            "Name" | "Label" | "Text" | "Evidence" => json!("text"),
            "Count" | "WaitMs" | "Any" => json!(1),
            "Outcome" | "Verdict" => json!("executed"),
            "ChannelType" => json!("chat"),
            _ => json!({"id": "00000000-0000-7000-8000-000000000001"}),
        }
    }

    #[tokio::test]
    async fn the_openrpc_document_matches_the_methods() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("state.db"))).unwrap();
        let metrics = Metrics::new(None).0;
        let (methods, writes) = all(store.clone(), "api", metrics.clone());
        let document: Value = openrpc::document().decode().unwrap();
        let described = document["methods"].as_array().unwrap();
        let names: BTreeSet<_> = described.iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert_eq!(names, methods.method_names().collect());

        let tasks = TaskTracker::new();
        let dispatcher = Arc::new(Dispatcher { methods, writes, tasks, metrics });
        for method in described {
            let name = &method["name"];
            let params = method["params"].as_array().unwrap();
            let (required, optional): (Vec<_>, Vec<_>) =
                params.iter().partition(|param| param["required"] == true);
            let text = |param: &Value| param["name"].as_str().unwrap().to_owned();
            let whole: Map<_, _> =
                required.iter().map(|param| (text(param), sample(&param["schema"]))).collect();
            let (_, field) = refused(&dispatcher, name, &whole).await;
            // The sample is not a lease that was ever given.
            assert!(field.is_null() || field == "lease", "{name}: {field} is needed too");
            for param in required {
                let mut without = whole.clone();
                without.remove(&text(param));
                let expected = (json!(-32602), param["name"].clone());
                assert_eq!(refused(&dispatcher, name, &without).await, expected, "{name}");
            }
            for param in optional {
                let any = param["schema"]["anyOf"][0]["$ref"] == "#/components/schemas/Any";
                if any {
                    continue;
                }
                let mut wrong = whole.clone();
                wrong.insert(text(param), json!({"no": "such type"}));
                let expected = (json!(-32602), param["name"].clone());
                assert_eq!(refused(&dispatcher, name, &wrong).await, expected, "{name}");
            }
        }
        store.close().await;
    }
}
