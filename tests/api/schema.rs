//! Checks answers against the engine's own `OpenRPC` document, with the part of JSON Schema that it uses.

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) struct Document {
    results: BTreeMap<String, Value>,
    schemas: Value,
}

impl Document {
    pub(crate) fn new(document: &Value) -> Self {
        let methods = document["methods"].as_array().unwrap_or_else(|| panic!("{document}"));
        let results = methods
            .iter()
            .map(|method| {
                let name = method["name"].as_str().unwrap().to_owned();
                (name, method["result"]["schema"].clone())
            })
            .collect();
        Self { results, schemas: document["components"]["schemas"].clone() }
    }

    /// Fails unless the document allows `result` as the result of `method`.
    #[track_caller]
    pub(crate) fn check(&self, method: &str, result: &Value) {
        let schema = &self.results[method];
        if let Err(message) = self.conforms(schema, result, "result") {
            panic!("{method}: {message}: {result}");
        }
    }

    fn conforms(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            return self.conforms(&self.schemas[name], value, at);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let fits = any.iter().any(|schema| self.conforms(schema, value, at).is_ok());
            return fits.then_some(()).ok_or_else(|| format!("{at} fits none of {schema}"));
        }
        let right = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("null") => value.is_null(),
            None => true,
            Some(other) => return Err(format!("the document names the type {other}")),
        };
        let word = schema["enum"].as_array().is_none_or(|words| words.contains(value));
        if !right || !word {
            return Err(format!("{at} is not {schema}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.conforms(&schema["items"], item, &format!("{at}[]"))?;
        }
        self.members(schema, value, at)
    }

    fn members(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                return Err(format!("{at} has no {name}"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let known = &schema["properties"][name];
            match (known.is_null(), &schema["additionalProperties"]) {
                (false, _) => self.conforms(known, member, &at)?,
                (true, Value::Null) if schema["properties"].is_null() => {}
                (true, Value::Null) => return Err(format!("{at} is not described")),
                (true, others) => self.conforms(others, member, &at)?,
            }
        }
        Ok(())
    }
}
