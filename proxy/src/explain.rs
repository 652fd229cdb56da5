//! What the proxy would do with a request, and why, without doing it: by the very steps that
//! decide.

pub(crate) mod compared;
pub(crate) mod parts;
pub(crate) mod pointers;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use proxy_core::error::Error;
use proxy_core::http::host_pattern::HostPattern;
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::identity::connection_auth::Login;
use proxy_core::identity::credentials::SessionTokens;
use proxy_core::identity::key::tool_name;
use proxy_core::identity::metadata::read_metadata;
use proxy_core::masking::shown;
use proxy_core::mcp::decide::{ToolRequest, decide};
use proxy_core::policy::decide::Policy;
use proxy_core::policy::decision::{Guarded, PassReason, PolicyDecision};
use proxy_core::policy::keyed::KeyPlace;
use proxy_core::policy::pointers::UnmatchedPointer;
use proxy_core::received::ReceivedRequest;
use proxy_core::settings::Settings;
use serde::Serialize;
use store::Reader;
use store::call::Foreseen;
use store::model::EffectClass;
use uuid::Uuid;

use self::compared::ComparedWith;
use self::parts::{Part, key_parts};
use crate::body::buffer::BufferedBody;
use crate::steps::states::{Buffered, Identified};
use crate::steps::{identify, request};

/// A request to explain.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    /// As in a request line.
    pub method: Method,
    /// `http://…` or `https://…`.
    pub url: String,
    /// As the client sends them.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What would happen to a request.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Whether it would be guarded.
    pub decision: Treatment,
    /// What decided.
    pub rule: String,
    /// What is needed for the proxy to see the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// How a guarded call is guarded.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub call: Option<ExplainedCall>,
}

/// How a request is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It is recorded, and duplicates of it are answered.
    Guarded,
    /// It only reads.
    Passed,
    /// It may act, and the engine does not look at it.
    Bypassed,
}

/// What a guarded call would get now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prospect {
    /// It would run.
    Execute,
    /// It would run, as another attempt.
    ExecuteAgain,
    /// It would wait for the running call.
    Wait,
    /// It would get the stored answer.
    Replay,
    /// It would be held back.
    InDoubt,
    /// It would be refused: its key belongs to another request.
    KeyReuse,
}

/// How a guarded call is guarded.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedCall {
    /// What repeating it would do.
    pub class: EffectClass,
    /// The name that it is recorded under.
    pub tool: String,
    /// `None`: each request is its own execution, or its session does not exist yet.
    pub key: Option<String>,
    /// The client chose the key.
    pub explicit: bool,
    /// How many seconds the key is held once the call has ended.
    pub window_s: Option<u64>,
    /// What the key is derived from, and what of the request is left out.
    pub parts: Vec<Part>,
    /// What would happen now.
    pub now: Prospect,
    /// The execution that decides that.
    pub execution_id: Option<Uuid>,
    /// The recorded call that it could be mistaken for, and is not: the holder of its key, or else
    /// the newest call of its session with this method, host and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparedWith>,
    /// Pointers of its rule that match nothing in the newest recorded calls of that rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<UnmatchedPointer>,
}

/// Explains a request to a proxy with these settings. `reader` is the store of the engine, if there
/// is one. Fails as the proxy would refuse the request.
pub async fn explain(
    settings: &Settings,
    intercept: &[HostPattern],
    reader: Option<&Reader>,
    request: ExplainRequest,
) -> Result<Explanation, String> {
    let explained = explain_request(settings, intercept, reader, request).await;
    explained.map_err(|error| shown::text(&error.to_string()).into_owned())
}

async fn explain_request(
    settings: &Settings,
    intercept: &[HostPattern],
    reader: Option<&Reader>,
    request: ExplainRequest,
) -> Result<Explanation, Error> {
    let policy = Arc::new(Policy::new(settings));
    let target = read_url(&request.url)?;
    let mut parts = Request::new(()).into_parts().0;
    parts.method = request.method;
    parts.headers = request.headers;
    let mut body = BufferedBody::of(request.body);
    let visible = target.scheme == Scheme::Http
        || intercept.iter().any(|host| host.matches(&target.authority));
    let needs = (!visible).then(|| {
        format!(
            "an entry for {} in [proxy.intercept] hosts, or a route; otherwise its tunnel passes \
             unguarded",
            target.authority.host
        )
    });
    let metadata = read_metadata(&parts.headers, None, SessionTokens::Ignored)?;
    let received = ReceivedRequest { target, parts, metadata, login: Login::default(), policy };
    let (tool, decision) = match request::mcp_message(&received, &mut body).await? {
        Some(message) => decide(&received.policy, None, received.head(), message),
        None => (None, received.policy.decide(received.head(), body.in_memory())),
    };
    let guarded = match decision {
        PolicyDecision::Guard(guarded) => guarded,
        PolicyDecision::Pass(reason) => return Ok(passed(&reason, needs)),
    };
    let rule = guarded.why.to_string();
    let call = explain_call(reader, received, body, guarded, tool).await?;
    Ok(Explanation { decision: Treatment::Guarded, rule, needs, call: Some(call) })
}

fn passed(reason: &PassReason, needs: Option<String>) -> Explanation {
    let bypassed = reason.bypass().is_some();
    let decision = if bypassed { Treatment::Bypassed } else { Treatment::Passed };
    Explanation { decision, rule: reason.to_string(), needs, call: None }
}

fn read_url(url: &str) -> Result<Target, Error> {
    let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else {
        return Err(Error::Malformed(format!("{url:?} is not an http or https URL")));
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = Authority::parse(authority.as_bytes(), Some(scheme.default_port()))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Target { scheme, authority, path_and_query: format!("{slash}{path}") })
}

async fn explain_call(
    reader: Option<&Reader>,
    request: ReceivedRequest,
    body: BufferedBody,
    guarded: Guarded,
    tool: Option<ToolRequest>,
) -> Result<ExplainedCall, Error> {
    let mut parts = key_parts(&request, &body, &guarded);
    let class = guarded.class;
    let scope = match reader {
        Some(reader) => reader.scope(&request.metadata.scope)?,
        None => None,
    };
    let session = request.metadata.scope.session.as_deref();
    let session = session.unwrap_or(store::DEFAULT_SESSION).to_owned();
    let (Some(reader), Some(scope)) = (reader, scope) else {
        let value = format!("{session} (not created yet)");
        parts.push(Part { part: "session", value, counts: true });
        let named = guarded.rule.as_ref().and_then(|rule| rule.tool.as_deref());
        let tool = tool_name(named, &request.parts.method, &request.target);
        return Ok(ExplainedCall {
            class,
            tool,
            key: None,
            explicit: false,
            window_s: None,
            parts,
            now: Prospect::Execute,
            execution_id: None,
            compared: None,
            unmatched: Vec::new(),
        });
    };
    parts.push(Part { part: "session", value: session, counts: true });
    let digest = |label: &str, bytes: &[u8]| reader.keyed_digest(label, bytes);
    let buffered = Buffered { request, body, scope, guarded, tool };
    let identified = identify::derive(&digest, buffered).await?;
    Ok(foresee(reader, identified, parts)?)
}

fn foresee(
    reader: &Reader,
    identified: Identified,
    mut parts: Vec<Part>,
) -> Result<ExplainedCall, store::Error> {
    let guarded = identified.guarded.clone();
    let unmatched = match &guarded.rule {
        Some(rule) => pointers::unmatched(reader, &identified.request.policy, Some(rule))?,
        None => Vec::new(),
    };
    let (call, outbound) = identified.prepare();
    if let (Some(place), Some(key)) = (outbound.adds_key, &call.upstream_key) {
        let place = match place {
            KeyPlace::Header(name) => format!("header {name}"),
            KeyPlace::Member(pointer) => format!("member {pointer}"),
        };
        let value =
            format!("{place}: the engine's own, known upstream for {} s", key.lifetime.as_secs());
        parts.push(Part { part: "upstream key", value, counts: false });
    }
    let (now, execution_id) = match reader.foresee(&call)? {
        Foreseen::Execute => (Prospect::Execute, None),
        Foreseen::ExecuteAgain(id) => (Prospect::ExecuteAgain, Some(id)),
        Foreseen::Wait(id) => (Prospect::Wait, Some(id)),
        Foreseen::Replay(id) => (Prospect::Replay, Some(id)),
        Foreseen::InDoubt { execution_id, .. } => (Prospect::InDoubt, Some(execution_id)),
        Foreseen::Mismatch(id) => (Prospect::KeyReuse, Some(id)),
    };
    let compared = match (now, execution_id) {
        (Prospect::KeyReuse, Some(holder)) => {
            compared::with_holder(reader, &call, holder, &guarded)?
        }
        (Prospect::Execute, _) => compared::with_like(reader, &call, &guarded)?,
        _ => None,
    };
    let key = call.key.as_ref();
    Ok(ExplainedCall {
        class: call.class,
        tool: call.tool_name,
        key: key.map(|key| shown::text(&key.text).into_owned()),
        explicit: key.is_some_and(|key| key.explicit),
        window_s: key.and_then(|key| key.window).map(|window| window.as_secs()),
        parts,
        now,
        execution_id,
        compared,
        unmatched,
    })
}
