//! Calls, their outcomes and answers, as plain data.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::key::{self, Digest, HolderKey};
use crate::model::{EffectClass, Execution, Json, Timestamp};
use crate::state::Knowledge;

/// The user, session and goal that a proxied call belongs to. Returned by `Store::scope`.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The user.
    pub user_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// `Agent-Goal`, or the session's own goal "HTTP tool calls".
    pub goal_id: Uuid,
    /// When the session was created: the date in derived keys.
    pub session_created: Timestamp,
    /// The session is not `default`.
    pub named: bool,
    /// The user's row number.
    pub user: i64,
    /// The session's row number.
    pub session: i64,
    /// The goal's row number.
    pub goal: i64,
}

/// The user, session and goal that a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ScopeRequest {
    /// A user's id or name. `None`: the session's user, or `local`.
    pub user: Option<String>,
    /// A session's id or name. `None`: `default`.
    pub session: Option<String>,
    /// A goal of that session.
    pub goal: Option<Uuid>,
}

/// A proxied call, to be claimed.
#[derive(Debug, Clone)]
pub struct Call {
    /// The user, session and goal.
    pub scope: Scope,
    /// Identifies the execution. `None`: always a new one (class `idempotent` without an explicit key).
    pub key: Option<CallKey>,
    /// The rule's name for it, or `METHOD host`.
    pub tool_name: String,
    /// The request as it is stored, secrets masked: `{method, url, headers, body}`.
    pub input: Json,
    /// The effect of repeating it.
    pub class: EffectClass,
    /// Digests by which it is compared with other calls.
    pub digests: CallDigests,
    /// The run of the agent (`Agent-Run`), if given. For the audit.
    pub run: Option<String>,
    /// Only for the class `keyed`: the key by which the upstream recognizes a repeat.
    pub upstream_key: Option<UpstreamKey>,
    /// `Idempotency-Retry-Token`, if given. A spent or foreign one is ignored.
    pub retry_token: Option<String>,
    /// What it gets if an equal call took effect and the answer did not arrive.
    pub undelivered: Undelivered,
    /// The rule that applied. For the audit.
    pub rule: String,
}

impl CallDigests {
    /// `content`, `ruled` and `literal` as they would be in another session of the user.
    pub fn contents_in(&self, user: Uuid, session: Uuid) -> [Digest; 3] {
        self.requests.map(|request| key::in_session(user, session, &request))
    }

    /// Whether a stored fingerprint is that of the same input.
    pub fn is_fingerprint(&self, stored: [u8; 16]) -> bool {
        stored == self.fingerprint.short() || stored == self.legacy.short()
    }
}

/// The digests of a [`Call`].
#[derive(Debug, Clone, Copy)]
pub struct CallDigests {
    /// Equal if two calls under one key have the same input.
    pub fingerprint: Digest,
    /// `fingerprint` as version 0.2.0 derived it, for the calls that its database holds.
    pub legacy: Digest,
    /// Equal if two calls of a session have the same effect, whatever their keys and the rules. For the
    /// doubt guard.
    pub content: Digest,
    /// `content` under the rule of now: without what the rule ignores.
    pub ruled: Digest,
    /// `content` with the keys that a rule or a table places, since these may come and go.
    pub literal: Digest,
    /// What `content`, `ruled` and `literal` are made of, whatever the session.
    pub requests: [Digest; 3],
    /// Of its credentials.
    pub principal: Digest,
    /// Of `Agent-Repeat`, if given.
    pub repeat: Option<Digest>,
}

/// What a call gets if an equal one of its session took effect, under another key, and its answer did not
/// arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Undelivered {
    /// The answer: the call is a retry.
    #[default]
    Replay,
    /// Nothing until a person or the caller decides: it is held as in doubt.
    Hold,
    /// It runs: the client does not wait for answers.
    Run,
}

/// The idempotency key that the upstream of a [`Call`] receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamKey {
    /// Who chose it, and where in the request it is. Equal if two calls of one execution carry the same key
    /// in the same place.
    pub source: String,
    /// How long the upstream remembers it after the first send.
    pub lifetime: Duration,
}

/// The key of a [`Call`].
#[derive(Debug, Clone)]
pub struct CallKey {
    /// Its entry in the index of holders.
    pub holder: HolderKey,
    /// As people see it: the client's own, or `auto:…`.
    pub text: String,
    /// Sent by the client, not derived from content.
    pub explicit: bool,
    /// How long it is held after its execution became terminal. `None`: forever.
    pub window: Option<Duration>,
}

/// What a claim would return now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreseen {
    /// It would run, as a new execution.
    Execute,
    /// It would run, as another attempt of this execution.
    ExecuteAgain(Uuid),
    /// It would wait for this running execution.
    Wait(Uuid),
    /// It would get the stored answer of this execution.
    Replay(Uuid),
    /// It would be held back.
    InDoubt {
        /// The execution that may have taken effect.
        execution_id: Uuid,
        /// Found by its content, under another key.
        same_content: bool,
    },
    /// It would be refused: its key belongs to this execution, with a different input.
    Mismatch(Uuid),
}

/// The outcome of a call, for its duplicates.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The execution.
    pub execution_id: Uuid,
    /// The attempt that ended.
    pub attempt: u32,
    /// What is known.
    pub outcome: Knowledge,
    /// The tool's answer, if it arrived complete.
    pub answer: Option<Arc<Answer>>,
    /// What went wrong, if none arrived.
    pub error: Option<String>,
    /// The proxy's own problem response to the first caller, if no answer arrived.
    pub problem: Option<Problem>,
    /// For the caller, if the outcome is unknown.
    pub doubt: Option<Doubt>,
}

/// A problem as the first caller got it where no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which problem.
    pub kind: ProblemKind,
    /// What happened.
    pub detail: String,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The upstream could not be reached, or broke off.
    Failed(Sent),
    /// The upstream did not answer in time.
    TimedOut(Sent),
    /// The host turned out to be one that nobody may reach. Nothing was sent.
    Refused,
}

/// Whether bytes of a request left for the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Provably none: the call did not run.
    Never,
    /// At least one may have: the call may have run.
    Maybe,
}

impl Sent {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Maybe => "maybe",
        }
    }
}

/// A call that may have taken effect.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// The execution.
    pub execution_id: Uuid,
    /// The attempt that is in doubt.
    pub attempt: u32,
    /// When it was sent; when it was claimed, if that is unknown.
    pub sent_at: Timestamp,
    /// The last step that was seen.
    pub last_event: String,
    /// Found by its content, under another key: nothing stored of it may be shown.
    pub same_content: bool,
    /// Allows one more attempt within 15 minutes. Only for the same principal.
    pub retry_token: Option<String>,
}

/// The outcome of a claimed call.
#[derive(Debug, Clone)]
pub struct Finish {
    /// What is known.
    pub outcome: Knowledge,
    /// The tool ran and returned an error (MCP `isError`).
    pub tool_error: bool,
    /// The answer, even if it leaves the call in doubt.
    pub answer: Option<Answer>,
    /// What went wrong, in words for people.
    pub error: Option<String>,
    /// The problem response to the first caller, if no answer arrived.
    pub problem: Option<Problem>,
    /// When its first byte was written upstream.
    pub sent_at: Option<Timestamp>,
    /// When the head of the answer arrived.
    pub first_byte_at: Option<Timestamp>,
    /// The last step that was seen.
    pub last_event: String,
}

/// An upstream's response as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// In wire order, without hop-by-hop fields and `Set-Cookie`. `:reason` is the reason phrase, if it is
    /// not the default of the status.
    pub headers: Vec<(String, Bytes)>,
    /// It had `Set-Cookie`, which is not stored.
    pub omitted_cookies: bool,
    /// With its content coding.
    pub body: AnswerBody,
    /// Trailer fields.
    pub trailers: Vec<(String, Bytes)>,
    /// When its head arrived.
    pub received_at: Timestamp,
}

/// A body, or the digest of one that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerBody {
    /// The whole body.
    Kept(Bytes),
    /// The whole body is in the store, and too large to be in memory for as long as a client takes it.
    /// `Reader::answer_body` reads it.
    Stored(StoredBody),
    /// Not stored: over the size limit, by rule, or dropped by retention.
    Dropped {
        /// SHA-256 of the whole body.
        sha256: [u8; 32],
        /// Its length in bytes.
        size: u64,
    },
}

/// A body over [`MAX_HELD_BODY`](crate::MAX_HELD_BODY) in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredBody {
    /// The execution's row number.
    pub row: i64,
    /// SHA-256 of the whole body.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
}

/// The options of `execute_tool_idempotent`.
#[derive(Debug, Clone, Default)]
pub struct ExecuteOptions {
    /// 1 to 255 characters. `None`: derived from content.
    pub idempotency_key: Option<String>,
    /// Requests a lease of this length, 1 s to 1 h.
    pub lease: Option<Duration>,
    /// The same across a caller's retries, so that the holder gets its lease again.
    pub claim_id: Option<String>,
    /// How long to wait for the result if another caller runs it.
    pub wait: Duration,
    /// Refuses a different input under the same key, instead of reporting it.
    pub refuse_mismatch: bool,
}

/// The key of an API call.
#[derive(Debug, Clone)]
pub struct ToolCallKey {
    /// Its entry in the index of holders.
    pub holder: HolderKey,
    /// As people see it: the client's own, or derived.
    pub text: String,
    /// Equal if two calls under one key have the same input.
    pub fingerprint: Digest,
}

/// The result of `execute_tool_idempotent`.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The execution that holds the key.
    pub execution: Execution,
    /// It existed before this call.
    pub duplicate: bool,
    /// The key was used with a different input.
    pub input_mismatch: bool,
    /// Who may run it. Only if a lease was requested.
    pub claim: Option<ApiClaim>,
    /// How long the lease of the caller that runs it lasts, unless that caller extends it.
    pub lease_left: Option<Duration>,
}

/// Who may run an execution for which a lease was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiClaim {
    /// The caller, and nobody else.
    Execute {
        /// The token for `finish_tool_execution` and `extend_lease`.
        lease: String,
    },
    /// Nobody: it has ended, and the execution has its outcome.
    Replay,
    /// Another caller runs it.
    Busy {
        /// Under a lease. Otherwise it is pending or running in the sense of v0.1.
        leased: bool,
    },
    /// Nobody until it is settled.
    InDoubt,
}

/// The outcome that the holder of an API lease reports.
#[derive(Debug, Clone)]
pub struct ApiFinish {
    /// The token of the lease.
    pub lease: String,
    /// The outcome.
    pub outcome: Knowledge,
    /// The result.
    pub output: Option<Json>,
    /// The error of the tool, or why it did not run.
    pub error: Option<String>,
}

/// A person's or a program's decision about an execution in doubt.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The execution.
    pub id: Uuid,
    /// The attempt that was examined.
    pub attempt: u32,
    /// Whether it ran.
    pub executed: bool,
    /// The result, if it ran and is known.
    pub output: Option<Json>,
    /// The reason, for the audit: 1 to 4,096 characters.
    pub evidence: String,
    /// Who decided, from the authentication.
    pub actor: String,
}
