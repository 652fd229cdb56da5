//! What the proxy would do with a request, and why, without doing it: by the very steps that decide.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use proxy_core::error::Error;
use proxy_core::http::forms::kind;
use proxy_core::http::host_pattern::HostPattern;
use proxy_core::http::target::{Authority, Scheme, Target};
use proxy_core::identity::metadata;
use proxy_core::identity::principal::principal_parts;
use proxy_core::masking::url::masked_url;
use proxy_core::mcp::decide;
use proxy_core::policy::decide::Policy;
use proxy_core::policy::decision::{Decision, Guarded, Passed};
use proxy_core::policy::keyed::KeyPlace;
use proxy_core::policy::rule::Principal;
use proxy_core::received::Received;
use proxy_core::settings::Settings;
use serde::Serialize;
use store::Reader;
use store::call::Foreseen;
use uuid::Uuid;

use crate::body::buffer::Taken;
use crate::steps::identify::{self, Identified};

/// A request that is to be explained.
#[derive(Debug, Clone)]
pub struct Asked {
    /// As in a request line.
    pub method: Method,
    /// `http://…` or `https://…`.
    pub url: String,
    /// As the client sends them.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
}

/// What would become of a request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Explanation {
    /// `guarded`, `passed` or `bypassed`.
    pub decision: &'static str,
    /// What decided.
    pub rule: String,
    /// Without which it would not come to the proxy's eyes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// How a guarded call is guarded; else nothing.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub call: Option<ExplainedCall>,
}

/// How a guarded call is guarded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExplainedCall {
    /// `once`, `idempotent` or `keyed`.
    pub class: &'static str,
    /// How it is recorded.
    pub tool: String,
    /// Where there is none, each request is an execution of its own, or its session is not there yet.
    pub key: Option<String>,
    /// The client says the key.
    pub explicit: bool,
    /// For how many seconds the key is held once the call is over.
    pub window_s: Option<u64>,
    /// What the key is made of, and what of the request is left out of it.
    pub parts: Vec<Part>,
    /// What would happen now, in a word: `execute`, `execute-again`, `wait`, `replay`, `in-doubt`,
    /// `key-reuse`.
    pub now: &'static str,
    /// The execution that decides about that.
    pub execution_id: Option<Uuid>,
}

/// One thing that is, or is not, part of a key.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// `method`, `url`, `header`, `body`, …
    pub part: &'static str,
    /// Without secrets.
    pub value: String,
    /// Does it tell two calls apart.
    pub counts: bool,
}

/// Explains a request to a proxy with these settings. `reader` is the store of the engine, where
/// there is one. Fails as the proxy would refuse the request.
pub async fn explain(
    settings: &Settings,
    intercept: &[HostPattern],
    reader: Option<&Reader>,
    asked: Asked,
) -> Result<Explanation, String> {
    let told = explained(settings, intercept, reader, asked).await;
    told.map_err(|error| error.to_string())
}

async fn explained(
    settings: &Settings,
    intercept: &[HostPattern],
    reader: Option<&Reader>,
    asked: Asked,
) -> Result<Explanation, Error> {
    let policy = Arc::new(Policy::new(settings));
    let target = target(&asked.url)?;
    let mut head = Request::new(()).into_parts().0;
    head.method = asked.method;
    head.headers = asked.headers;
    let mut taken = Taken::of(asked.body);
    let needs = (target.scheme == Scheme::Https
        && !intercept.iter().any(|host| host.matches(&target.authority)))
    .then(|| {
        format!(
            "an entry for {} in [proxy.intercept] hosts, or a route: else its tunnel is carried blindly",
            target.authority.host
        )
    });
    let scope = metadata::asked(&head.headers, None, false, &|_, _| true)?;
    let decision = policy.decide(&head.method, &target, &head.headers, None);
    let received = Received { target, head, asked: scope, policy };
    let (tool, decision) = match identify::mcp_message(&received, &mut taken).await? {
        Some(message) => decide::decide(None, &received, message),
        None => (None, identify::decide(&received, &taken, decision)),
    };
    let (decision, rule, call) = match decision {
        Decision::Pass { kind: Passed::Read, rule } => ("passed", rule.into_owned(), None),
        Decision::Pass { kind: Passed::Bypassed, rule } => ("bypassed", rule.into_owned(), None),
        Decision::Guard(guarded) => {
            let rule = guarded.why.to_string();
            ("guarded", rule, Some(guard(reader, received, taken, guarded, tool).await?))
        }
        Decision::NeedsBody => return Err(Error::Internal),
    };
    Ok(Explanation { decision, rule, needs, call })
}

fn target(url: &str) -> Result<Target, Error> {
    let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else {
        return Err(Error::Malformed(format!("{url:?} is no http or https URL")));
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = Authority::parse(authority.as_bytes(), Some(scheme.default_port()))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(Target { scheme, authority, path_and_query: format!("{slash}{path}") })
}

async fn guard(
    reader: Option<&Reader>,
    received: Received,
    taken: Taken,
    guarded: Guarded,
    tool: Option<decide::Asked>,
) -> Result<ExplainedCall, Error> {
    let mut parts = parts(&received, &taken, &guarded);
    let mut told =
        ExplainedCall { class: guarded.class.as_str(), now: "execute", ..Default::default() };
    let scope = match reader {
        Some(reader) => reader.scope(&received.asked.scope)?,
        None => None,
    };
    let session =
        received.asked.scope.session.as_deref().unwrap_or(store::DEFAULT_SESSION).to_owned();
    let (Some(reader), Some(scope)) = (reader, scope) else {
        parts.push(Part {
            part: "session",
            value: format!("{session} (not made yet)"),
            counts: true,
        });
        let named = guarded.rule.as_ref().and_then(|rule| rule.given.tool.as_deref());
        told.tool =
            proxy_core::identity::key::tool_name(named, &received.head.method, &received.target);
        return Ok(ExplainedCall { parts, ..told });
    };
    parts.push(Part { part: "session", value: session, counts: true });
    let digest = |label: &str, bytes: &[u8]| reader.keyed_digest(label, bytes);
    let identified = identify::identify(&digest, received, taken, scope, guarded, tool).await?;
    Ok(foreseen(reader, identified, ExplainedCall { parts, ..told })?)
}

fn foreseen(
    reader: &Reader,
    identified: Identified,
    told: ExplainedCall,
) -> Result<ExplainedCall, store::Error> {
    let (call, prepared) = identified.prepare();
    let mut parts = told.parts;
    if let (Some(place), Some(key)) = (prepared.adds_key, &call.upstream_key) {
        let place = match place {
            KeyPlace::Header(name) => format!("header {name}"),
            KeyPlace::Member(pointer) => format!("member {pointer}"),
        };
        let value =
            format!("{place}: the engine's own, known upstream for {} s", key.lifetime.as_secs());
        parts.push(Part { part: "upstream key", value, counts: false });
    }
    let (now, execution_id) = match reader.foresee(&call)? {
        Foreseen::Execute => ("execute", None),
        Foreseen::ExecuteAgain(id) => ("execute-again", Some(id)),
        Foreseen::Wait(id) => ("wait", Some(id)),
        Foreseen::Replay(id) => ("replay", Some(id)),
        Foreseen::InDoubt { execution_id, .. } => ("in-doubt", Some(execution_id)),
        Foreseen::Mismatch(id) => ("key-reuse", Some(id)),
    };
    let key = call.key.as_ref();
    Ok(ExplainedCall {
        class: call.class.as_str(),
        tool: call.tool_name,
        key: key.map(|key| key.text.clone()),
        explicit: key.is_some_and(|key| key.explicit),
        window_s: key.and_then(|key| key.window).map(|window| window.as_secs()),
        parts,
        now,
        execution_id,
    })
}

/// What is, and what is not, part of a key.
fn parts(received: &Received, taken: &Taken, guarded: &Guarded) -> Vec<Part> {
    let Received { target, head, asked, .. } = received;
    let part = |part, value: String, counts| Part { part, value, counts };
    let mut parts =
        vec![part("method", head.method.to_string(), true), part("url", masked_url(target), true)];
    let mut names: Vec<&str> = head.headers.keys().map(hyper::header::HeaderName::as_str).collect();
    names.sort_unstable();
    for name in names {
        parts.push(part("header", name.to_owned(), guarded.counts(name)));
    }
    let form = kind::described(&head.headers, taken.in_memory().unwrap_or_default());
    parts.push(part("body", form.to_owned(), true));
    if let Some(rule) = &guarded.rule {
        for field in &rule.given.ignore {
            parts.push(part("field", field.0.to_string(), false));
        }
        for field in &rule.given.select {
            parts.push(part("field", format!("{} (and no other)", field.0), true));
        }
    }
    for place in guarded.key_places() {
        parts.push(part("key place", place.to_string(), false));
    }
    if asked.repeat.is_some() {
        parts.push(part("Agent-Repeat", "its value".to_owned(), true));
    }
    let by_session =
        guarded.rule.as_ref().is_some_and(|rule| rule.given.principal == Principal::Session);
    let credentials: Vec<String> =
        principal_parts(&head.headers, target.query()).into_iter().map(|(name, _)| name).collect();
    let value = match (by_session, credentials.is_empty()) {
        (true, _) => "the session (its rule)".to_owned(),
        (false, true) => "no credentials".to_owned(),
        (false, false) => credentials.join(", "),
    };
    parts.push(part("principal", value, !by_session));
    parts
}
