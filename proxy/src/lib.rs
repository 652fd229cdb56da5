//! The transparent proxy: an HTTP forward proxy that makes calls durable and duplicate-free.
//!
//! It listens beside a store. A call that is sent again is answered from the store:
//!
//! ```
//! # use std::net::SocketAddr;
//! # use proxy::{Config, Proxy};
//! # use store::{Options, Store};
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # use tokio::net::{TcpListener, TcpStream};
//! # use tokio_util::sync::CancellationToken;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tool = TcpListener::bind("127.0.0.1:0").await?;
//! # let tool_address = tool.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = tool.accept().await?;
//! #     let mut request = Vec::new();
//! #     while !request.ends_with(b"book") && stream.read_buf(&mut request).await? > 0 {}
//! #     stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\nordered").await
//! # });
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(&Options::new(folder.path().join("state.db")))?;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let api = SocketAddr::from(([127, 0, 0, 1], 3030));
//! let proxy = Proxy::new(Config::new(store.clone(), address, api, folder.path().to_owned()))?;
//! let shutdown = CancellationToken::new();
//! let serving = tokio::spawn({
//!     let shutdown = shutdown.clone();
//!     async move { proxy.serve(listener, shutdown).await }
//! });
//!
//! // `tool_address` is a server that takes one order and answers 201.
//! let order = format!(
//!     "POST http://{tool_address}/orders HTTP/1.1\r\nHost: {tool_address}\r\n\
//!      Idempotency-Key: order-7\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbook"
//! );
//! for status in ["executed", "replayed"] {
//!     let mut stream = TcpStream::connect(address).await?;
//!     stream.write_all(order.as_bytes()).await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     assert!(answer.starts_with("HTTP/1.1 201") && answer.ends_with("ordered"));
//!     assert!(answer.to_lowercase().contains(&format!("idempotency-status: {status}")));
//! }
//! shutdown.cancel();
//! serving.await?;
//! # store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! One request takes six steps, one file each in `steps`: `request` (reads it), `identify` (which
//! execution it means), `claim` (whether it may run), `forward` (sends it), `record` (consumes the
//! lease with the outcome), `respond` (answers). `steps/mod.rs` calls them in that order, and
//! nothing else calls them.

#![warn(missing_docs)]

mod body;
mod config;
mod context;
mod error;
mod explain;
mod failpoint;
mod front;
mod lifecycle;
pub mod mcp;
mod proxy;
mod quick_ack;
mod steps;
mod tls;
mod upstream;

pub use proxy_core::difference::list::{Difference, Differences, DifferentPart};
pub use proxy_core::duration::Span;
pub use proxy_core::http::host_pattern::{HostName, HostPattern};
pub use proxy_core::http::route::Route;
pub use proxy_core::masking::shown;
pub use proxy_core::policy::pointers::UnmatchedPointer;
pub use proxy_core::policy::rule::Rule;
pub use proxy_core::settings::Settings;

pub use crate::config::{
    Access, Config, Limits, Observation, Observer, Outcome, OwnAddresses, SpoolConfig, Timeouts,
    TlsConfig,
};
pub use crate::error::SetupError;
pub use crate::explain::compared::{ComparedWith, compare};
pub use crate::explain::parts::Part;
pub use crate::explain::{
    ExplainRequest, ExplainedCall, Explanation, Prospect, Treatment, explain,
};
pub use crate::front::limited::{ClientTurn, ClientTurns, limit_client};
pub use crate::front::tls_intercept::ca::Ca;
pub use crate::front::tls_intercept::constraints::CaFacts;
pub use crate::proxy::Proxy;
pub use crate::upstream::egress_proxy::{EgressProxies, EgressProxy};
pub use crate::upstream::tls::UpstreamCa;
