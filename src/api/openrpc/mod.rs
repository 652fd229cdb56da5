//! The `OpenRPC` document that `rpc.discover` answers: the table of methods, over `schemas.json`.

mod methods;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use store::model::Json;

use self::methods::{METHODS, MethodRow};

/// The document, as its text.
pub(crate) fn document() -> Json {
    static DOCUMENT: LazyLock<Json> = LazyLock::new(|| Json::of(&build()));
    DOCUMENT.clone()
}

fn build() -> Value {
    let schemas: Value = serde_json::from_str(include_str!("../schemas.json"))
        .expect("schemas.json is checked by a test");
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "openclaw-state-engine",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT" },
        },
        "methods": METHODS.iter().map(describe).collect::<Vec<_>>(),
        "components": { "schemas": schemas },
    })
}

fn describe(method: &MethodRow) -> Value {
    let required = method
        .required
        .iter()
        .map(|(name, kind)| json!({ "name": name, "required": true, "schema": schema(kind) }));
    let optional = method.optional.iter().map(
        |(name, kind)| json!({ "name": name, "required": false, "schema": or_null(&schema(kind)) }),
    );
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": required.chain(optional).collect::<Vec<_>>(),
        "result": { "name": "result", "schema": schema(method.result) },
    })
}

fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        or_null(&schema(kind))
    } else if let Some(kind) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        json!({ "type": "array", "items": schema(kind) })
    } else {
        Map::from_iter([("$ref".to_owned(), format!("#/components/schemas/{kind}").into())]).into()
    }
}

fn or_null(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target.strip_prefix("#/components/schemas/").unwrap());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let document = build();
        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let defined: BTreeSet<_> =
            document["components"]["schemas"].as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(used, defined);
    }

    #[test]
    fn words_are_those_of_the_model() {
        use store::model as m;
        let schemas = &build()["components"]["schemas"];
        let words = |name: &str| {
            let words = schemas[name]["enum"].as_array().unwrap();
            words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        macro_rules! same {
            ($($kind:ty => $name:literal),+ $(,)?) => {$(
                let model: BTreeSet<_> =
                    <$kind>::ALL.iter().map(|word| word.as_str().to_owned()).collect();
                assert_eq!(words($name), model, $name);
            )+};
        }
        same! {
            m::SessionStatus => "SessionStatus",
            m::GoalStatus => "GoalStatus",
            m::Priority => "Priority",
            m::ExecutionStatus => "ExecutionStatus",
            m::Origin => "Origin",
            m::EffectClass => "EffectClass",
            m::MemoryType => "MemoryType",
            m::Importance => "Importance",
            m::ChannelType => "ChannelType",
            m::ChannelStatus => "ChannelStatus",
            store::state::Knowledge => "Outcome",
        }
    }
}
