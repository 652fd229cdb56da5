//! A rule of the configuration: which calls it matches, and how these are treated.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use store_core::call::Undelivered;

use super::glob::{NamePattern, PathPattern};
use super::keyed::KeyPlace;
use super::rpc::RpcCalls;
use super::rule_values::{Field, FieldName, MethodName, ParameterName};
use super::signs::{Members, UnknownSigns};
use crate::http::host_pattern::HostPattern;
use crate::http::target::Target;

/// One `[[rule]]`. The first rule whose conditions all hold decides. A setting that the rule leaves
/// out is as if there were no rule. docs/RULES.md describes the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(super) name: Option<String>,
    /// How the audit calls the rule: `rule NAME`, or its position in the file.
    pub(super) label: String,
    pub(super) conditions: Conditions,
    pub(super) effect: Option<Effect>,
    /// The name that the call is recorded under.
    pub tool: Option<String>,
    /// Which execution a call means.
    pub keys: KeyRules,
    /// What distinguishes two calls.
    pub input: InputRules,
    pub(super) upstream_key: UpstreamKeyRules,
    /// What an answer means, and what is kept of it.
    pub answer: AnswerRules,
    pub(super) stream_request: bool,
}

/// The calls that a rule matches. An empty list matches all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conditions {
    pub(super) host: Vec<HostPattern>,
    pub(super) path: Vec<PathPattern>,
    pub(super) method: Vec<MethodName>,
    pub(super) mcp_tool: Vec<NamePattern>,
    pub(super) rpc_method: Vec<NamePattern>,
}

/// What the body of a request says that it calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallNames<'a> {
    /// The tool of a call of MCP.
    pub(crate) tool: Option<&'a str>,
    /// The methods of JSON-RPC.
    pub(super) rpc: Option<&'a RpcCalls>,
}

impl<'a> CallNames<'a> {
    /// A tool of MCP.
    pub(crate) fn of_tool(tool: &'a str) -> Self {
        Self { tool: Some(tool), rpc: None }
    }
}

/// Which execution a call means.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRules {
    /// Where the client's own key stands.
    pub place: Option<KeyPlace>,
    /// How long a key stays held after its call ended.
    pub window: Option<Duration>,
    /// What the same call again means.
    pub repeat: Repeat,
    /// What an equal call under another key gets if the answer did not arrive.
    pub undelivered: Undelivered,
    /// Whose call it is.
    pub principal: Principal,
}

/// Which parts of a request distinguish two calls.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRules {
    /// Parts of the body that do not count.
    pub ignore: Vec<Field>,
    /// The only parts of the body that count, if there are any.
    pub select: Vec<Field>,
    /// Parameters of the query that do not count.
    pub ignore_query: Vec<ParameterName>,
    pub(super) ignore_headers: Vec<FieldName>,
    pub(super) count_headers: Vec<FieldName>,
}

/// The key that the upstream of a call of the class `keyed` gets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UpstreamKeyRules {
    pub(super) place: Option<KeyPlace>,
    pub(super) lifetime: Option<Duration>,
}

/// What an answer means, and what is kept of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRules {
    pub(super) failed_if: Members,
    pub(super) unknown_if: UnknownSigns,
    /// Who may allow another attempt of a call in doubt.
    pub on_unknown: OnUnknown,
    /// How long the tool may be silent. `None`: as long as any tool.
    pub silence: Option<Duration>,
    /// How to look up whether a call in doubt took effect.
    pub verify: Option<String>,
    /// Whether the answer is passed on as it comes. `None`: its media type decides.
    pub stream: Option<bool>,
    /// Whether bodies are kept, and not only their digests.
    pub store_body: bool,
    /// A client that leaves ends the call.
    pub propagate_cancel: bool,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// Repeating it is harmless.
    Idempotent,
    /// The upstream honours an idempotency key.
    Keyed,
    /// Repeating it would do it twice.
    Once,
}

/// What the same call again means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// The same execution.
    #[default]
    Replay,
    /// A new execution, once the earlier answer was delivered.
    Delivered,
}

/// Whose call it is, for its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// The owner of the request's credentials.
    #[default]
    Credentials,
    /// The session, whatever credentials the request carries.
    Session,
}

/// Who may allow another attempt of a call of unknown outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// The caller, with a retry token.
    #[default]
    Token,
    /// An operator only.
    Human,
}

impl Rule {
    /// `name`, if the rule has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How the audit calls the rule. Empty until a policy has numbered its rules.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether the rule matches a call. Does not allocate.
    pub(super) fn matches(&self, method: &Method, target: &Target, names: CallNames<'_>) -> bool {
        let Conditions { mcp_tool, rpc_method, .. } = &self.conditions;
        let in_list = |list: &[NamePattern], name: &str| list.iter().any(|one| one.matches(name));
        self.matches_head(method, target)
            && (mcp_tool.is_empty() || names.tool.is_some_and(|tool| in_list(mcp_tool, tool)))
            && (rpc_method.is_empty()
                || names
                    .rpc
                    .is_some_and(|calls| calls.methods().all(|method| in_list(rpc_method, method))))
    }

    /// Whether the rule matches some call with this head that is not one of MCP.
    pub(super) fn may_match(&self, method: &Method, target: &Target) -> bool {
        self.conditions.mcp_tool.is_empty() && self.matches_head(method, target)
    }

    /// Whether the rule is only for certain methods of JSON-RPC.
    pub(super) fn names_rpc_methods(&self) -> bool {
        !self.conditions.rpc_method.is_empty()
    }

    fn matches_head(&self, method: &Method, target: &Target) -> bool {
        let Conditions { host, path, method: methods, .. } = &self.conditions;
        (methods.is_empty() || self.names_method(method))
            && (host.is_empty() || host.iter().any(|host| host.matches(&target.authority)))
            && (path.is_empty() || path.iter().any(|path| path.matches(target.path())))
    }

    /// Whether the condition `method` names this method.
    pub(super) fn names_method(&self, method: &Method) -> bool {
        self.conditions.method.iter().any(|name| name.0 == *method)
    }
}

impl InputRules {
    /// Whether the rule makes a header field distinguish calls. `name` is in lower case.
    pub(super) fn makes_count(&self, name: &str) -> bool {
        self.count_headers.iter().any(|other| other.0.as_str() == name)
    }

    /// Whether the rule keeps a header field from distinguishing calls. `name` is in lower case.
    pub(super) fn ignores(&self, name: &str) -> bool {
        self.ignore_headers.iter().any(|other| other.0.as_str() == name)
    }

    /// Whether the rule keeps a query parameter from distinguishing calls. `name` is as a server
    /// reads it.
    pub(super) fn ignores_parameter(&self, name: &str) -> bool {
        self.ignore_query.iter().any(|other| other.0 == name)
    }

    /// Whether the rule changes which of two inputs count as the same.
    pub(crate) fn alters_input(&self) -> bool {
        !(self.ignore.is_empty()
            && self.select.is_empty()
            && self.ignore_query.is_empty()
            && self.ignore_headers.is_empty()
            && self.count_headers.is_empty())
    }
}
