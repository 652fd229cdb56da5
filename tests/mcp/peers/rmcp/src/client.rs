//! Calls tools one after another and prints the results.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};
use tokio::process::Command;

/// Collects the progress of the running call.
#[derive(Clone, Default)]
struct Watcher {
    config: ClientConfig,
    progress: Arc<Mutex<Vec<f64>>>,
}

impl Watcher {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientHandler for Watcher {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).push(params.progress);
    }
}

pub(crate) async fn call(mode: &str, server: &[&str], calls: &[&str]) -> anyhow::Result<()> {
    let (lifecycle, config) = lifecycle(mode)?;
    let watcher = Watcher { config, ..Watcher::default() };
    let client = connect(watcher.clone(), lifecycle, server).await?;
    let peer = client.peer_info().context("no handshake")?;
    println!("{}", json!({"version": peer.protocol_version.as_str()}));
    client.list_all_tools().await?;
    for call in calls {
        let (name, arguments) = call.split_once('=').unwrap_or((call, "{}"));
        let arguments = serde_json::from_str(arguments)?;
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let result = client.call_tool(params).await?;
        let parts = result.content.iter().filter_map(|part| part.as_text());
        let text: String = parts.map(|part| part.text.as_str()).collect();
        let line: Value = json!({
            "text": text,
            "isError": result.is_error == Some(true),
            "progress": watcher.take(),
        });
        println!("{line}");
    }
    client.cancel().await?;
    Ok(())
}

/// rmcp's own HTTP client, which reads the proxy from the environment, as every reqwest does.
async fn connect(
    watcher: Watcher,
    lifecycle: ClientLifecycleMode,
    server: &[&str],
) -> anyhow::Result<RunningService<RoleClient, Watcher>> {
    let connected = if server[0].starts_with("http://") {
        let transport = StreamableHttpClientTransport::from_uri(server[0]);
        watcher.serve_with_lifecycle(transport, lifecycle).await
    } else {
        let mut command = Command::new(server[0]);
        command.args(&server[1..]);
        watcher.serve_with_lifecycle(TokioChildProcess::new(command)?, lifecycle).await
    };
    Ok(connected?)
}

fn lifecycle(mode: &str) -> anyhow::Result<(ClientLifecycleMode, ClientConfig)> {
    let config = ClientConfig::default();
    let preferred_versions = vec![ProtocolVersion::LATEST];
    Ok(match mode {
        "legacy" => (ClientLifecycleMode::Initialize, config),
        "auto" => (ClientLifecycleMode::Auto { preferred_versions, legacy_version: None }, config),
        version => {
            let version: ProtocolVersion = serde_json::from_value(json!(version))?;
            let preferred_versions = vec![version.clone()];
            if version.has_initialize() {
                (ClientLifecycleMode::Initialize, config.with_protocol_version(version))
            } else {
                (ClientLifecycleMode::Discover { preferred_versions }, config)
            }
        }
    })
}
