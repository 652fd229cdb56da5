//! MCP tool calls over HTTPS: in an intercepted tunnel, and through a route.

use std::fs;

use serde_json::{Value, json};
use testkit::{Client, Ending, Engine, Request, Response, TestCa, Trusting, Upstream, engine};

/// An MCP server behind TLS, and an engine that intercepts its host and has a route to it.
struct Bed {
    engine: Engine,
    server: Upstream,
    authority: String,
}

impl Bed {
    fn new() -> Self {
        let server = Upstream::start(|request, exchange| {
            let call: Value = serde_json::from_slice(&request.body).unwrap();
            let result = json!({"jsonrpc": "2.0", "id": call["id"],
                              "result": {"content": [{"type": "text", "text": "sent"}]}});
            let fields = [("Content-Type", "application/json")];
            exchange.answer(200, &fields, result.to_string().as_bytes());
        });
        let ca = TestCa::new();
        let secured = ca.sign(&["localhost"]).before(server.addr, Ending::Clean);
        let authority = format!("localhost:{}", secured.port());
        let builder =
            engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file());
        let file = builder.home().join("engine.toml");
        let route = format!("[[route]]\nname = \"mail\"\nto = \"https://{authority}\"\n");
        fs::write(&file, route).unwrap();
        Self { engine: builder.arg("--config").arg(file).start(), server, authority }
    }

    fn in_the_tunnel(&self, id: &Value) -> Response {
        let client = Trusting::new(&self.engine.ca_pem(), &["http/1.1"]);
        let (mut tunnel, _) =
            client.tunnel(self.engine.proxy, &self.authority, "localhost", "").unwrap();
        tunnel.ask(&call(id, &format!("https://{}", self.authority)))
    }

    fn by_route(&self, id: &Value) -> Response {
        let mut client = Client::connect(self.engine.proxy).unwrap();
        let base = format!("http://{}/to/mail", self.engine.proxy);
        client.write(call(id, &base).to_origin()).unwrap();
        client.answer("POST").unwrap()
    }
}

fn call(id: &Value, base: &str) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                      "params": {"name": "send", "arguments": {"to": "ada"}}});
    Request::post_json(&format!("{base}/mcp"), body.to_string())
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25")
        .header("Mcp-Session-Id", &format!("session-of-{id}").replace('"', ""))
}

#[test]
fn the_same_call_on_any_path_has_one_effect_and_its_own_id() {
    let bed = Bed::new();
    bed.in_the_tunnel(&json!(1)).assert_is(200, "executed");
    for (id, answer) in
        [(json!("two"), bed.in_the_tunnel(&json!("two"))), (json!(3), bed.by_route(&json!(3)))]
    {
        answer.assert_is(200, "replayed");
        let response = answer.json();
        assert_eq!(
            (&response["id"], &response["result"]["content"][0]["text"]),
            (&id, &json!("sent"))
        );
    }
    assert_eq!(bed.server.hits(), 1);
    let recorded = bed.engine.proxied();
    assert_eq!(
        (recorded.len(), &recorded[0]["tool_name"]),
        (1, &json!("tools/call send localhost"))
    );
    let kept = recorded[0].to_string();
    assert!(!kept.contains("session-of"), "{kept}");
}
