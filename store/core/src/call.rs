//! What a claimer asks for and gets, as plain data.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::key::{Digest, HolderKey};
use crate::model::{EffectClass, Execution, Json, Timestamp};
use crate::state::Knowledge;

/// A proxied call's place: whose, in which session, for which goal. Made by `Store::scope`.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The user.
    pub user_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// `Agent-Goal`, or the session's own goal "HTTP tool calls".
    pub goal_id: Uuid,
    /// The date in derived keys.
    pub session_created: Timestamp,
    /// False for the session `default` of the user `local` or of any other user.
    pub named: bool,
    /// The user's row.
    pub user: i64,
    /// The session's row.
    pub session: i64,
    /// The goal's row.
    pub goal: i64,
}

/// Whose call it is, as the request says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ScopeRequest {
    /// A user's id or name; `None`: the session's user, else `local`.
    pub user: Option<String>,
    /// A session's id or name; `None`: `default`.
    pub session: Option<String>,
    /// A goal of that session.
    pub goal: Option<Uuid>,
}

/// A proxied call that asks to run.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose it is.
    pub scope: Scope,
    /// Which execution it means. `None`: one of its own (class `idempotent` without an explicit key).
    pub key: Option<CallKey>,
    /// The rule's name for it, or `METHOD host`.
    pub tool_name: String,
    /// What is kept of the request: `{method, url, headers, body}`, already masked.
    pub input: Json,
    /// What repeating it would do.
    pub class: EffectClass,
    /// Equal where two calls under one key have the same input.
    pub fingerprint: Digest,
    /// Equal where two calls of a session would do the same, whatever their keys (the doubt guard).
    pub content: Digest,
    /// The same with the keys in it, wherever rules say that one stands: such a rule may come and go.
    pub literal: Digest,
    /// Whose credentials it carries.
    pub principal: Digest,
    /// Which run of the agent asks (`Agent-Run`), where it says so; for the audit.
    pub run: Option<String>,
    /// A digest of `Agent-Repeat`, where the request has one.
    pub repeat: Option<Digest>,
    /// For the class `keyed` alone: how the upstream tells a repeat from a new call.
    pub upstream_key: Option<UpstreamKey>,
    /// `Idempotency-Retry-Token`, where the request has one; a spent or foreign one is ignored.
    pub retry_token: Option<String>,
    /// Which rule decided, for the audit.
    pub rule: String,
}

/// The key that the upstream of a [`Call`] gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamKey {
    /// Whose it is and where it stands. Equal where two calls that mean the same execution carry the same
    /// key in the same place.
    pub told: String,
    /// For how long after the first send the upstream knows it.
    pub lifetime: Duration,
}

/// The key of a [`Call`].
#[derive(Debug, Clone)]
pub struct CallKey {
    /// Its place in the index of holders.
    pub holder: HolderKey,
    /// As shown to people: the client's own, or `auto:…`.
    pub text: String,
    /// The client said it; not derived from content.
    pub explicit: bool,
    /// How long it stays held after the holder became terminal; `None`: for ever.
    pub window: Option<Duration>,
}

/// What a claim would answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreseen {
    /// It would be carried out, as a new execution.
    Execute,
    /// It would be carried out, as one more attempt of this execution.
    ExecuteAgain(Uuid),
    /// It would wait for this execution, which runs.
    Wait(Uuid),
    /// It would be answered from this execution.
    Replay(Uuid),
    /// It would be held.
    InDoubt {
        /// The execution that may have taken effect.
        execution_id: Uuid,
        /// Found by its content, under another key.
        same_content: bool,
    },
    /// It would be refused: its key belongs to this execution, with another input.
    Mismatch(Uuid),
}

/// How a call ended, for its duplicates.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The execution.
    pub execution_id: Uuid,
    /// The attempt that ended so.
    pub attempt: u32,
    /// What is known.
    pub outcome: Knowledge,
    /// The tool's answer, where a whole one came.
    pub answer: Option<Arc<Answer>>,
    /// What went wrong, where none came.
    pub error: Option<String>,
    /// A problem body of the proxy's own that the first caller got, where no answer came.
    pub problem: Option<Problem>,
    /// What is to be told where the outcome is unknown.
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
    /// When it was sent, or claimed where that is not known.
    pub sent_at: Timestamp,
    /// What was seen last.
    pub last_event: String,
    /// Found by its content, under another key: nothing stored may be told.
    pub same_content: bool,
    /// For the same principal: allows one more attempt within 15 minutes.
    pub retry_token: Option<String>,
}

/// What became of a claimed call.
#[derive(Debug, Clone)]
pub struct Finish {
    /// What is known.
    pub outcome: Knowledge,
    /// The tool ran and called it an error (MCP `isError`).
    pub tool_error: bool,
    /// What came back, also where it leaves the call in doubt.
    pub answer: Option<Answer>,
    /// What went wrong, in words for people.
    pub error: Option<String>,
    /// What the first caller was told, where no answer came.
    pub problem: Option<Problem>,
    /// When its first byte was written upstream.
    pub sent_at: Option<Timestamp>,
    /// When the head of the answer came.
    pub first_byte_at: Option<Timestamp>,
    /// What was seen last.
    pub last_event: String,
}

/// An upstream's answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// In wire order; without hop-by-hop fields and Set-Cookie. `:reason` is the reason phrase, where
    /// it is not the status's own.
    pub headers: Vec<(String, Bytes)>,
    /// Set-Cookie was there and is not kept.
    pub omitted_cookies: bool,
    /// Still encoded as it came.
    pub body: AnswerBody,
    /// Trailer fields.
    pub trailers: Vec<(String, Bytes)>,
    /// When its head came.
    pub received_at: Timestamp,
}

/// A body, or what is left of one that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerBody {
    /// The whole body.
    Kept(Bytes),
    /// Over the store's limit, by rule or by retention.
    Dropped {
        /// SHA-256 of the whole body.
        sha256: [u8; 32],
        /// Its length in bytes.
        size: u64,
    },
}

/// What `execute_tool_idempotent` asks beyond the call itself.
#[derive(Debug, Clone, Default)]
pub struct ExecuteOptions {
    /// 1 to 255 characters; `None`: derived from content.
    pub idempotency_key: Option<String>,
    /// Ask for a lease of this long (1 s to 1 h).
    pub lease: Option<Duration>,
    /// The same over a caller's retries: the holder gets its lease again.
    pub claim_id: Option<String>,
    /// How long a busy caller waits for the result.
    pub wait: Duration,
    /// Refuse another input under the same key, instead of telling it.
    pub refuse_mismatch: bool,
}

/// The key of a call that comes by the API.
#[derive(Debug, Clone)]
pub struct ToolCallKey {
    /// Its place in the index of holders.
    pub holder: HolderKey,
    /// As shown to people: the client's own, or derived.
    pub text: String,
    /// Equal where two calls under one key have the same input.
    pub fingerprint: Digest,
}

/// The answer to `execute_tool_idempotent`.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The one that holds the key, new or old.
    pub execution: Execution,
    /// It existed before this call.
    pub duplicate: bool,
    /// The key was used with another input.
    pub input_mismatch: bool,
    /// Who may run it; only where a lease was asked for.
    pub claim: Option<ApiClaim>,
}

/// Who may run an execution that was asked for under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiClaim {
    /// The caller, and nobody else.
    Execute {
        /// To be shown to `finish_tool_execution` and `extend_lease`.
        lease: String,
    },
    /// Nobody: it is over, and the execution tells how.
    Replay,
    /// Somebody else runs it.
    Busy {
        /// Under a lease; else it is v0.1's pending or running.
        leased: bool,
    },
    /// Nobody until it is settled.
    InDoubt,
}

/// What the holder of an API lease tells.
#[derive(Debug, Clone)]
pub struct ApiFinish {
    /// The token of the lease.
    pub lease: String,
    /// What became of it.
    pub outcome: Knowledge,
    /// The result.
    pub output: Option<Json>,
    /// The tool ran and failed so, or why it did not run.
    pub error: Option<String>,
}

/// A person's or a program's decision about an execution in doubt.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The execution.
    pub id: Uuid,
    /// The attempt that was looked at.
    pub attempt: u32,
    /// It ran, or it did not.
    pub executed: bool,
    /// The result, where it ran and is known.
    pub output: Option<Json>,
    /// Why: 1 to 4,096 characters, for the audit.
    pub evidence: String,
    /// Who, from the authentication.
    pub actor: String,
}
