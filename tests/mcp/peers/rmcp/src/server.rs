//! Tools whose effects are lines of a file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities,
    ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Peer {
    effects: PathBuf,
}

impl Peer {
    fn effect(&self, what: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.effects);
        let written = file.as_mut().map(|file| writeln!(file, "{what}"));
        assert!(matches!(written, Ok(Ok(()))), "{}", self.effects.display());
    }

    /// Has its effect, and answers once the file EFFECTS.go exists.
    async fn slow(&self, context: &RequestContext<RoleServer>) -> CallToolResult {
        self.effect("slow");
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, 1.0).with_total(2.0);
            let _ = context.peer.notify_progress(progress).await;
        }
        let go = format!("{}.go", self.effects.display());
        while !Path::new(&go).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        text_result("at last")
    }
}

fn text_result(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn tool(name: &'static str, properties: Value) -> Tool {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    Tool::new(name, "Has an effect", Arc::new(schema))
}

impl ServerHandler for Peer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let send = json!({"to": {"type": "string"}, "n": {"type": "integer"}});
        Ok(ListToolsResult::with_all_items(vec![
            tool("send", send),
            tool("fail", json!({})),
            tool("slow", json!({})),
            tool("look", json!({})).with_annotations(ToolAnnotations::new().read_only(true)),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let result = match &*request.name {
            "send" => {
                let (Some(to), n) = (arguments["to"].as_str(), &arguments["n"]) else {
                    return Err(ErrorData::invalid_params("no `to`", None));
                };
                self.effect(&format!("send {to} {n}"));
                text_result(&format!("sent {n} to {to}"))
            }
            "fail" => {
                self.effect("fail");
                CallToolResult::error(vec![ContentBlock::text("it failed")])
            }
            "slow" => self.slow(&context).await,
            "look" => {
                self.effect("look");
                text_result("seen")
            }
            _ => return Err(ErrorData::invalid_params("no such tool", None)),
        };
        Ok(result.into())
    }
}

pub(crate) async fn over_stdio(effects: &str) -> anyhow::Result<()> {
    let peer = Peer { effects: effects.into() };
    peer.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}

/// `json`: answers without events are JSON, and there are no sessions. Otherwise: events.
pub(crate) async fn over_http(effects: &str, json: bool) -> anyhow::Result<()> {
    let peer = Peer { effects: effects.into() };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(!json)
        .with_json_response(json);
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(peer.clone()), sessions, config);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (connection, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(connection), service);
        tokio::spawn(served);
    }
}
