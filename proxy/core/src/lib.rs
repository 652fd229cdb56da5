//! What the proxy decides about a request, from its head and body: pure, without I/O.
//!
//! The policy says whether a request passes or is guarded. A guarded one gets a key, and two
//! requests with the same key are the same call:
//!
//! ```
//! use http::header::CONTENT_TYPE;
//! use http::{HeaderMap, HeaderValue, Method};
//! use proxy_core::http::head::RequestHead;
//! use proxy_core::http::target::{Authority, Scheme, Target};
//! use proxy_core::identity::body_digests::BodyDigests;
//! use proxy_core::identity::connection_auth::Login;
//! use proxy_core::identity::key::{KeyInput, derive, tool_name};
//! use proxy_core::identity::metadata::read_metadata;
//! use proxy_core::policy::decide::Policy;
//! use proxy_core::policy::decision::PolicyDecision;
//! # use proxy_core::identity::credentials::SessionTokens;
//! # use proxy_core::settings::Settings;
//! # use store_core::call::Scope;
//! # use store_core::key::{Digest, Encoder};
//! # use store_core::model::Timestamp;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scope = Scope {
//! #     user_id: uuid::Uuid::nil(),
//! #     session_id: uuid::Uuid::nil(),
//! #     goal_id: uuid::Uuid::nil(),
//! #     session_created: Timestamp::from_micros(0),
//! #     named: true,
//! #     user: 1,
//! #     session: 1,
//! #     goal: 1,
//! # };
//! # let keyed_digest =
//! #     |label: &str, bytes: &[u8]| Ok(Encoder::new("example").field(label).field(bytes).finish());
//!
//! let policy = Policy::new(&Settings::default());
//! let target = Target {
//!     scheme: Scheme::Https,
//!     authority: Authority::new("api.shop.example", 443),
//!     path_and_query: "/orders".to_owned(),
//! };
//! let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
//! let head = |method| RequestHead { method, target: &target, headers: &json };
//!
//! // A GET changes nothing, so it passes.
//! let read = policy.decide(head(&Method::GET), Some(b""));
//! assert!(matches!(read, PolicyDecision::Pass(_)));
//!
//! // A POST is guarded. Its key does not depend on how the JSON is written.
//! let key = |body: &[u8]| -> Result<_, Box<dyn std::error::Error>> {
//!     let PolicyDecision::Guard(guarded) = policy.decide(head(&Method::POST), Some(body)) else {
//!         panic!("a POST may change something");
//!     };
//!     let mut reader = std::io::Cursor::new(body);
//!     let identity = derive(&KeyInput {
//!         owner: (&scope).into(),
//!         head: head(&Method::POST),
//!         metadata: &read_metadata(&json, None, SessionTokens::Ignored)?,
//!         login: &Login::default(),
//!         body: BodyDigests::read(&json, &mut reader, Digest::of(body), &guarded)?,
//!         trailers: &HeaderMap::new(),
//!         guarded: &guarded,
//!         tool: &tool_name(None, &Method::POST, &target),
//!         keyed_digest: &keyed_digest,
//!     })?;
//!     Ok(identity.key.ok_or("a POST has a key")?.text)
//! };
//! let first = key(br#"{"item": "book", "count": 1}"#)?;
//! assert_eq!(first, key(br#"{"count":1,"item":"book"}"#)?);
//! assert_ne!(first, key(br#"{"item": "book", "count": 2}"#)?);
//! # Ok(())
//! # }
//! ```
//!
//! The crate `proxy` reads requests from sockets, asks this crate, and does what it decides.

#![warn(missing_docs)]

pub mod difference;
pub mod duration;
pub mod error;
pub mod http;
pub mod identity;
pub mod masking;
pub mod mcp;
pub mod policy;
pub mod received;
pub mod settings;
mod words;
