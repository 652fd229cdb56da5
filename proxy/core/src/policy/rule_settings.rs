//! One `[[rule]]` of the configuration file, and what it refuses.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::glob::{NamePattern, PathPattern};
use super::keyed::KeyPlace;
use super::rule::{
    AnswerRules, Conditions, Effect, InputRules, KeyRules, OnUnknown, Principal, Repeat, Rule,
    UpstreamKeyRules,
};
use super::rule_values::{Field, FieldName, MethodName, ParameterName, one_or_many};
use super::signs::{Members, UnknownSigns};
use crate::duration::{Span, with_unit};
use crate::http::host_pattern::HostPattern;
use crate::http::meaning::may_count;

/// [`store_core::call::Undelivered`], as the file writes it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Undelivered {
    #[default]
    Replay,
    Hold,
    Run,
}

impl From<Undelivered> for store_core::call::Undelivered {
    fn from(written: Undelivered) -> Self {
        match written {
            Undelivered::Replay => Self::Replay,
            Undelivered::Hold => Self::Hold,
            Undelivered::Run => Self::Run,
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RuleSettings::deserialize(from)?.try_into().map_err(D::Error::custom)
    }
}

/// The settings as the file writes them. docs/RULES.md describes each.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleSettings {
    name: Option<String>,

    #[serde(deserialize_with = "one_or_many")]
    host: Vec<HostPattern>,
    #[serde(deserialize_with = "one_or_many")]
    path: Vec<PathPattern>,
    #[serde(deserialize_with = "one_or_many")]
    method: Vec<MethodName>,
    #[serde(deserialize_with = "one_or_many")]
    mcp_tool: Vec<NamePattern>,
    #[serde(deserialize_with = "one_or_many")]
    rpc_method: Vec<NamePattern>,

    effect: Option<Effect>,
    tool: Option<String>,
    key: Option<KeyPlace>,
    #[serde(deserialize_with = "one_or_many")]
    ignore: Vec<Field>,
    #[serde(deserialize_with = "one_or_many")]
    select: Vec<Field>,
    #[serde(deserialize_with = "one_or_many")]
    ignore_query: Vec<ParameterName>,
    #[serde(deserialize_with = "with_unit")]
    window: Option<Span>,
    repeat: Repeat,
    undelivered: Undelivered,
    principal: Principal,
    on_unknown: OnUnknown,
    failed_if: Members,
    unknown_if: UnknownSigns,
    stream: Option<bool>,
    stream_request: bool,
    #[serde(deserialize_with = "one_or_many")]
    ignore_headers: Vec<FieldName>,
    #[serde(deserialize_with = "one_or_many")]
    count_headers: Vec<FieldName>,
    /// On unless the rule switches it off.
    store_body: Option<bool>,
    verify: Option<String>,
    #[serde(deserialize_with = "with_unit")]
    silence: Option<Span>,
    upstream_key: Option<KeyPlace>,
    #[serde(deserialize_with = "with_unit")]
    upstream_key_lifetime: Option<Span>,
    propagate_cancel: bool,
}

impl RuleSettings {
    /// Refuses texts that are too long, and settings that contradict each other.
    fn check(&self) -> Result<(), String> {
        for (what, text) in [("name", &self.name), ("tool", &self.tool), ("verify", &self.verify)] {
            let fits = |text: &String| {
                (1..=store_core::MAX_NAME).contains(&text.chars().count())
                    && !text.contains(char::is_control)
            };
            if text.as_ref().is_some_and(|text| !fits(text)) {
                return Err(format!(
                    "`{what}` must be 1 to {} printable characters",
                    store_core::MAX_NAME
                ));
            }
        }
        if self.stream_request && self.effect.is_some() {
            return Err("`stream_request` passes calls unguarded: remove `effect`".to_owned());
        }
        if self.stream.is_some() && !self.mcp_tool.is_empty() {
            return Err("`stream` has no effect on MCP tool calls, whose answers end with the \
                        response: remove it"
                .to_owned());
        }
        if !self.rpc_method.is_empty() && !self.mcp_tool.is_empty() {
            return Err(
                "`rpc_method` and `mcp_tool` exclude each other: a call of MCP is known by \
                        its tool"
                    .to_owned(),
            );
        }
        if !self.ignore.is_empty() && !self.select.is_empty() {
            return Err("`ignore` and `select` exclude each other: remove one".to_owned());
        }
        let keyed = self.effect == Some(Effect::Keyed);
        if !keyed && (self.upstream_key.is_some() || self.upstream_key_lifetime.is_some()) {
            return Err("`upstream_key` needs `effect = \"keyed\"`".to_owned());
        }
        if let Some(KeyPlace::Member(pointer)) = &self.upstream_key
            && pointer.only_name().is_none()
        {
            return Err(format!("`upstream_key`: {pointer} must be a top-level member"));
        }
        if let Some(name) = self.count_headers.iter().find(|name| !may_count(name.0.as_str())) {
            return Err(format!(
                "`count_headers`: {} is a credential, a proof, framing or the engine's own, and never counts",
                name.0
            ));
        }
        Ok(())
    }
}

impl TryFrom<RuleSettings> for Rule {
    type Error = String;

    fn try_from(settings: RuleSettings) -> Result<Self, String> {
        settings.check()?;
        Ok(Self {
            name: settings.name,
            label: String::new(),
            conditions: Conditions {
                host: settings.host,
                path: settings.path,
                method: settings.method,
                mcp_tool: settings.mcp_tool,
                rpc_method: settings.rpc_method,
            },
            effect: settings.effect,
            tool: settings.tool,
            keys: KeyRules {
                place: settings.key,
                window: settings.window.map(|span| span.0),
                repeat: settings.repeat,
                undelivered: settings.undelivered.into(),
                principal: settings.principal,
            },
            input: InputRules {
                ignore: settings.ignore,
                select: settings.select,
                ignore_query: settings.ignore_query,
                ignore_headers: settings.ignore_headers,
                count_headers: settings.count_headers,
            },
            upstream_key: UpstreamKeyRules {
                place: settings.upstream_key,
                lifetime: settings.upstream_key_lifetime.map(|span| span.0),
            },
            answer: AnswerRules {
                failed_if: settings.failed_if,
                unknown_if: settings.unknown_if,
                on_unknown: settings.on_unknown,
                verify: settings.verify,
                silence: settings.silence.map(|span| span.0),
                stream: settings.stream,
                store_body: settings.store_body.unwrap_or(true),
                propagate_cancel: settings.propagate_cancel,
            },
            stream_request: settings.stream_request,
        })
    }
}
