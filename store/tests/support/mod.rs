//! A store in its own folder, and calls to make on it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use store::call::{
    Answer, AnswerBody, Call, CallDigests, CallKey, Claim, Finish, Scope, ScopeRequest, Settled,
    Undelivered, UpstreamKey,
};
use store::key::{Digest, HolderKey};
use store::model::{EffectClass, Json, NewGoal, NewSession, NewUser, Timestamp, ToolCall};
use store::state::Knowledge;
use store::{Lease, Options, Store};

/// A store, its folder, and the options to open it again.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("engine.db"));
        options.reserve_bytes = 64 * 1024;
        change(&mut options);
        Self { store: Store::open(&options).unwrap(), options, dir }
    }

    /// Stops the store and opens it again.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        let Self { store, options, dir } = self;
        drop(store);
        Self { store: Store::open(&options).unwrap(), options, dir }
    }

    /// An API call, with its own session and goal.
    pub(crate) async fn tool_call(&self, user: &str, tool: &str, input: &str) -> ToolCall {
        let new = NewUser { username: user.to_owned(), display_name: None, email: None };
        let user_id = match self.store.create_user(new).await {
            Ok(user) => user.id,
            Err(_) => self.store.reader().user_by_name(user).unwrap().id,
        };
        let session = NewSession { user_id, channel_id: None, name: None };
        let session_id = self.store.create_session(session).await.unwrap().id;
        let goal = NewGoal { user_id, session_id, title: "goal".to_owned(), description: None };
        let goal_id = self.store.create_goal(goal).await.unwrap().id;
        ToolCall {
            user_id,
            session_id,
            goal_id,
            tool_name: tool.to_owned(),
            tool_input: Json::parse(input).unwrap(),
        }
    }

    pub(crate) async fn scope(&self) -> Scope {
        self.store.scope(&ScopeRequest::default()).await.unwrap()
    }

    /// A proxied call under an explicit key.
    pub(crate) async fn call(&self, key: &str, input: &str) -> Call {
        call(self.scope().await, key, input)
    }

    pub(crate) async fn claim(&self, call: Call) -> Claim {
        self.store.claim(call).await.unwrap()
    }

    pub(crate) async fn execute(&self, call: Call) -> Lease {
        match self.claim(call).await {
            Claim::Execute(lease) => lease,
            other => panic!("not granted: {other:?}"),
        }
    }

    pub(crate) async fn finish(&self, lease: Lease, outcome: Knowledge) -> std::sync::Arc<Settled> {
        self.store.finish(lease, finish(outcome)).await.unwrap()
    }
}

pub(crate) fn call(scope: Scope, key: &str, input: &str) -> Call {
    Call {
        key: Some(CallKey {
            holder: HolderKey::new(scope.user_id, b"test", key),
            text: key.to_owned(),
            explicit: true,
            window: Some(Duration::from_secs(30 * 86_400)),
        }),
        scope,
        tool_name: "POST tool.test".to_owned(),
        input: Json::parse(r#"{"method":"POST"}"#).unwrap(),
        class: EffectClass::Once,
        digests: CallDigests {
            fingerprint: Digest::of(input.as_bytes()),
            legacy: Digest::of(input.as_bytes()),
            content: Digest::of(format!("content {input}").as_bytes()),
            ruled: Digest::of(format!("content {input}").as_bytes()),
            literal: Digest::of(format!("content {input}").as_bytes()),
            requests: [Digest::of(format!("request {input}").as_bytes()); 3],
            principal: Digest::of(b"nobody"),
            repeat: None,
        },
        run: None,
        upstream_key: None,
        retry_token: None,
        undelivered: Undelivered::Replay,
        rule: "default".to_owned(),
    }
}

pub(crate) fn upstream_key(source: &str, hours: u64) -> UpstreamKey {
    UpstreamKey { source: source.to_owned(), lifetime: Duration::from_secs(hours * 3_600) }
}

pub(crate) fn finish(outcome: Knowledge) -> Finish {
    Finish {
        outcome,
        tool_error: false,
        answer: (outcome == Knowledge::Executed).then(|| answer("done")),
        error: None,
        problem: None,
        sent_at: None,
        first_byte_at: None,
        last_event: outcome.as_str().to_owned(),
    }
}

pub(crate) fn answer(body: &str) -> Answer {
    Answer {
        status: 201,
        headers: vec![
            ("Content-Type".to_owned(), "text/plain".into()),
            ("X-Bytes".to_owned(), bytes::Bytes::from_static(b"\xe9\xff")),
        ],
        omitted_cookies: false,
        body: AnswerBody::Kept(bytes::Bytes::copy_from_slice(body.as_bytes())),
        trailers: Vec::new(),
        // Too new for retention to drop.
        received_at: Timestamp::from_micros(4_102_444_800_000_000),
    }
}
