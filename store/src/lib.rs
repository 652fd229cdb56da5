//! The durable store of openclaw-state-engine: one SQLite database, owned by one process.
//!
//! A caller claims a call before it runs it, and finishes it afterwards. The same call claimed again is answered
//! from the store:
//!
//! ```
//! # use std::time::Duration;
//! # use store::call::{Answer, AnswerBody, Call, CallDigests, CallKey, Claim, Finish, ScopeRequest, Undelivered};
//! # use store::key::{Digest, HolderKey};
//! # use store::model::{EffectClass, Json, Timestamp};
//! # use store::state::Knowledge;
//! # use store::{Options, Store};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(&Options::new(folder.path().join("state.db")))?;
//! let scope = store.scope(&ScopeRequest::default()).await?;
//! # let content = Digest::of(b"{}");
//! # let call = Call {
//! #     key: Some(CallKey {
//! #         holder: HolderKey::new(scope.user_id, b"docs", "order-7"),
//! #         text: "order-7".to_owned(),
//! #         explicit: true,
//! #         window: None,
//! #     }),
//! #     scope,
//! #     tool_name: "POST shop.test".to_owned(),
//! #     input: Json::parse("{}")?,
//! #     class: EffectClass::Once,
//! #     digests: CallDigests {
//! #         fingerprint: content,
//! #         legacy: content,
//! #         content,
//! #         ruled: content,
//! #         literal: content,
//! #         requests: [content; 3],
//! #         principal: content,
//! #         repeat: None,
//! #     },
//! #     run: None,
//! #     upstream_key: None,
//! #     retry_token: None,
//! #     undelivered: Undelivered::Replay,
//! #     rule: "default".to_owned(),
//! # };
//! # let finish = Finish {
//! #     outcome: Knowledge::Executed,
//! #     tool_error: false,
//! #     answer: Some(Answer {
//! #         status: 201,
//! #         headers: Vec::new(),
//! #         omitted_cookies: false,
//! #         body: AnswerBody::Kept("ordered".into()),
//! #         trailers: Vec::new(),
//! #         received_at: Timestamp::from_micros(0),
//! #     }),
//! #     error: None,
//! #     problem: None,
//! #     sent_at: None,
//! #     first_byte_at: None,
//! #     last_event: "answered 201".to_owned(),
//! # };
//!
//! // `call` is a POST with the key "order-7". The claim is on disk before the call may run.
//! let Claim::Execute(lease) = store.claim(call.clone()).await? else { panic!("a new call runs") };
//! // … the call is sent, and answered with 201 …
//! store.finish(lease, finish).await?;
//!
//! let Claim::Replay(outcome) = store.claim(call).await? else { panic!("it took effect before") };
//! assert_eq!(outcome.answer.as_ref().unwrap().status, 201);
//! # store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Store`] writes. One thread owns the only write connection and decides all claims. All jobs that arrive
//!   during a commit are one transaction and one fsync, then all are answered. When a method returns `Ok`, its
//!   change is on disk and survives a power cut.
//! - [`Reader`] reads, on its own connections.
//! - [`state::next`] defines the transitions, [`key`] and [`canonical`] define which calls are the same.
//!
//! The store does not know HTTP.

#![warn(missing_docs)]

mod audit;
pub mod call;
mod clock;
mod decide;
mod engine;
mod files;
mod lease;
mod mutex;
mod options;
mod read;
mod sqlite;
mod store;
mod token;

pub use audit::report::{Finding, Report};
pub use clock::{Clock, SystemClock};
pub use engine::status::Histogram;
pub use files::file_system::unsafe_file_system;
pub use files::{private, real as real_path};
pub use lease::{LateReport, Lease};
pub use options::Options;
pub use read::like::{ComparedCall, LikeCall, RecentCall};
pub use read::reader::Reader;
pub use read::stats::Health;
pub use store::Store;
pub use store::repeats::{Delivery, Repeat};
pub use store_core::{
    DEFAULT_SESSION, DEFAULT_USER, Error, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, LockHolder,
    MAX_HELD_BODY, MAX_KEPT_BODY, MAX_NAME, PROXY_GOAL, canonical, decision, key, model, state,
};
