//! What went over the socket, as a golden file in `tests/api/golden`. Every answer is also checked against
//! the engine's own `OpenRPC` document.

use std::fmt::Write as _;

use serde_json::Value;
use testkit::{Builder, Engine};

use crate::schema::Document;

pub(crate) struct Transcript {
    pub(crate) engine: Engine,
    document: Document,
    text: String,
    /// What changes from run to run, and what replaces it.
    names: Vec<(String, String)>,
}

impl Transcript {
    pub(crate) fn new(builder: &Builder) -> Self {
        let engine = builder.clone().arg("--no-proxy").start();
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"rpc.discover"}"#;
        let document = Document::new(&engine.try_rpc_text(body).unwrap().json()["result"]);
        Self { engine, document, text: String::new(), names: Vec::new() }
    }

    /// Shows `value` (an id, a lease) as `<name>` from here on.
    pub(crate) fn name(&mut self, value: &Value, name: &str) -> String {
        let value = value.as_str().unwrap_or_else(|| panic!("{name} is not a string: {value}"));
        self.names.push((value.to_owned(), format!("<{name}>")));
        value.to_owned()
    }

    /// Calls a method with exactly these params, and returns the result.
    #[track_caller]
    pub(crate) fn good(&mut self, what: &str, method: &str, params: &str) -> Value {
        let answer = self.call(what, method, params);
        assert!(answer["error"].is_null(), "{what}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method with exactly these params. The answer must be an error with this number.
    #[track_caller]
    pub(crate) fn bad(&mut self, what: &str, code: i64, method: &str, params: &str) -> Value {
        let answer = self.call(what, method, params);
        assert_eq!(answer["error"]["code"], code, "{what}: {answer}");
        assert!(answer["error"]["data"]["code"].is_string(), "{what}: {answer}");
        answer["error"].clone()
    }

    #[track_caller]
    fn call(&mut self, what: &str, method: &str, params: &str) -> Value {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let answer = self.raw(what, &body);
        if let Some(result) = answer.get("result") {
            self.document.check(method, result);
        }
        answer
    }

    /// Sends exactly this body.
    #[track_caller]
    pub(crate) fn raw(&mut self, what: &str, body: &str) -> Value {
        let answer = self.engine.try_rpc_text(body).unwrap();
        let text = answer.text();
        let body = if body.len() > 2_000 { "(long)" } else { body };
        let status = answer.status;
        writeln!(self.text, "# {what}\n--> {body}\n<-- {status} {text}\n").unwrap();
        assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
        answer.json()
    }

    /// Compares the transcript with the golden file.
    pub(crate) fn golden(self, file: &str) {
        let mut text = self.text;
        for (value, name) in &self.names {
            text = text.replace(value, name);
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("golden");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "<time>");
        settings.add_filter(r"auto:(\w+):\d{8}:[0-9a-f]{32}", "auto:$1:<date>:<hash>");
        settings.add_filter(r"0[1-9a-f][0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f-]{21}", "<uuid>");
        settings.add_filter(r"\b[0-9a-f]{32,64}\b", "<hash>");
        settings.add_filter(r#""lease_left_ms":\d+"#, "\"lease_left_ms\":<time>");
        settings.add_filter(r#""(database|wal)_bytes":\d+"#, "\"${1}_bytes\":<size>");
        settings.bind(|| insta::assert_snapshot!(file, text));
    }
}
