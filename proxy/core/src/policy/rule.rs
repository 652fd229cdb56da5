//! A rule of the configuration: which calls it is about, and how they are treated.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Method;
use http::header::HeaderName;
use serde::de::{Error as _, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store_core::canonical::Pointer;

use super::glob::{NamePattern, PathPattern};
use super::keyed::KeyPlace;
use crate::duration::{Span, with_unit};
use crate::http::host_pattern::{HostPattern, parsed};
use crate::http::meaning::may_count;
use crate::http::target::Target;

/// One `[[rule]]`. The first whose conditions all hold decides; what it leaves out is as if there
/// were no rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Given")]
pub struct Rule {
    pub given: Given,
    /// How the audit calls it.
    pub label: String,
}

/// The settings as they stand in the file; each is described in docs/RULES.md.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    pub name: Option<String>,

    #[serde(deserialize_with = "one_or_many")]
    pub host: Vec<HostPattern>,
    #[serde(deserialize_with = "one_or_many")]
    pub path: Vec<PathPattern>,
    #[serde(deserialize_with = "one_or_many")]
    pub method: Vec<MethodName>,
    #[serde(deserialize_with = "one_or_many")]
    pub mcp_tool: Vec<NamePattern>,

    pub effect: Option<Effect>,
    pub tool: Option<String>,
    pub key: Option<KeyPlace>,
    #[serde(deserialize_with = "one_or_many")]
    pub ignore: Vec<Field>,
    #[serde(deserialize_with = "one_or_many")]
    pub select: Vec<Field>,
    #[serde(deserialize_with = "with_unit")]
    pub window: Option<Span>,
    pub repeat: Repeat,
    pub principal: Principal,
    pub on_unknown: OnUnknown,
    pub failed_if: BTreeMap<Field, Scalar>,
    pub stream: Option<bool>,
    pub stream_request: bool,
    #[serde(deserialize_with = "one_or_many")]
    pub ignore_headers: Vec<FieldName>,
    #[serde(deserialize_with = "one_or_many")]
    pub count_headers: Vec<FieldName>,
    pub store_body: bool,
    pub verify: Option<String>,
    pub upstream_key: Option<KeyPlace>,
    #[serde(deserialize_with = "with_unit")]
    pub upstream_key_lifetime: Option<Span>,
    pub propagate_cancel: bool,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            name: None,
            host: Vec::new(),
            path: Vec::new(),
            method: Vec::new(),
            mcp_tool: Vec::new(),
            effect: None,
            tool: None,
            key: None,
            ignore: Vec::new(),
            select: Vec::new(),
            window: None,
            repeat: Repeat::default(),
            principal: Principal::default(),
            on_unknown: OnUnknown::default(),
            failed_if: BTreeMap::new(),
            stream: None,
            stream_request: false,
            ignore_headers: Vec::new(),
            count_headers: Vec::new(),
            store_body: true,
            verify: None,
            upstream_key: None,
            upstream_key_lifetime: None,
            propagate_cancel: false,
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Read,
    Idempotent,
    Keyed,
    Once,
}

/// What the same call means once more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// The same execution.
    #[default]
    Replay,
    /// A new one, once the earlier answer was delivered.
    Delivered,
}

/// Whose call it is, as far as keys go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// Its credentials'.
    #[default]
    Credentials,
    /// The session's, whatever credentials it carries.
    Session,
}

/// Who may say that a call of unknown outcome is to be tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// The caller, by a token.
    #[default]
    Token,
    /// An operator.
    Human,
}

impl TryFrom<Given> for Rule {
    type Error = String;

    /// Refuses settings that contradict each other.
    fn try_from(given: Given) -> Result<Self, String> {
        for (what, text) in
            [("name", &given.name), ("tool", &given.tool), ("verify", &given.verify)]
        {
            let fits = |text: &String| {
                (1..=store_core::MAX_NAME).contains(&text.chars().count())
                    && !text.contains(char::is_control)
            };
            if text.as_ref().is_some_and(|text| !fits(text)) {
                return Err(format!(
                    "`{what}` is not 1 to {} readable characters",
                    store_core::MAX_NAME
                ));
            }
        }
        if given.stream_request && given.effect.is_some() {
            return Err("`stream_request` passes calls on unguarded: leave out `effect`".to_owned());
        }
        if given.stream.is_some() && !given.mcp_tool.is_empty() {
            return Err("`stream` does nothing for tool calls of MCP, whose answers end with the \
                        response: leave it out"
                .to_owned());
        }
        if !given.ignore.is_empty() && !given.select.is_empty() {
            return Err("`ignore` and `select` exclude each other: leave one out".to_owned());
        }
        let keyed = given.effect == Some(Effect::Keyed);
        if !keyed && (given.upstream_key.is_some() || given.upstream_key_lifetime.is_some()) {
            return Err("`upstream_key` needs `effect = \"keyed\"`".to_owned());
        }
        if let Some(KeyPlace::Member(pointer)) = &given.upstream_key
            && pointer.only_name().is_none()
        {
            return Err(format!("`upstream_key`: {pointer} is no member at the top"));
        }
        if let Some(name) = given.count_headers.iter().find(|name| !may_count(name.0.as_str())) {
            return Err(format!(
                "`count_headers`: {} is a credential, framing or the engine's own, and never counts",
                name.0
            ));
        }
        Ok(Self { given, label: String::new() })
    }
}

impl Rule {
    /// `name`, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.given.name.as_deref()
    }

    /// Is it about this call. `tool` is the MCP tool that it calls, where it calls one. Allocates
    /// nothing.
    pub(super) fn matches(&self, method: &Method, target: &Target, tool: Option<&str>) -> bool {
        let Given { host, path, method: methods, mcp_tool, .. } = &self.given;
        (methods.is_empty() || self.names_method(method))
            && (host.is_empty() || host.iter().any(|host| host.matches(&target.authority)))
            && (path.is_empty() || path.iter().any(|path| path.matches(target.path())))
            && (mcp_tool.is_empty()
                || tool.is_some_and(|tool| mcp_tool.iter().any(|name| name.matches(tool))))
    }

    /// Does `method` itself name this one.
    pub(super) fn names_method(&self, method: &Method) -> bool {
        self.given.method.iter().any(|name| name.0 == *method)
    }

    /// Does it make a header field tell calls apart. `name` is in lower case.
    pub fn makes_count(&self, name: &str) -> bool {
        self.given.count_headers.iter().any(|other| other.0.as_str() == name)
    }

    /// Does it keep a header field from telling calls apart. `name` is in lower case.
    pub fn ignores(&self, name: &str) -> bool {
        self.given.ignore_headers.iter().any(|other| other.0.as_str() == name)
    }

    /// Do two inputs that differ count as the same, or the other way round, because of it.
    pub fn alters_input(&self) -> bool {
        let Given { ignore, select, ignore_headers, count_headers, .. } = &self.given;
        !(ignore.is_empty()
            && select.is_empty()
            && ignore_headers.is_empty()
            && count_headers.is_empty())
    }
}

/// A method, in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodName(Method);

impl FromStr for MethodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Method::from_bytes(text.as_bytes())
            .ok()
            .filter(|_| !text.contains(|c: char| c.is_ascii_lowercase()))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no method; write it in capitals, such as POST"))
    }
}

/// The name of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName(pub HeaderName);

impl FromStr for FieldName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is no name of a header"))
    }
}

/// A JSON pointer to a part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(pub Pointer);

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl PartialOrd for Field {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Field {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_string().cmp(&other.0.to_string())
    }
}

/// A value that a body is compared with, as a canonical text spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reads;

        impl Visitor<'_> for Reads {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a whole number or a text")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Scalar, E> {
                let quoted = serde_json::to_vec(value).map_err(E::custom)?;
                let spelled = store_core::canonical::json(&quoted);
                spelled
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .map(Scalar)
                    .ok_or_else(|| E::custom("the text cannot be written as JSON"))
            }
        }

        from.deserialize_any(Reads)
    }
}

macro_rules! read_by_from_str {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parsed(from)
            }
        }
    )*};
}

read_by_from_str!(MethodName, FieldName, Field, KeyPlace);

/// One value, or a list of them that is not empty.
fn one_or_many<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Reads<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(text.into_deserializer())?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = list.next_element()? {
                values.push(value);
            }
            if values.is_empty() {
                return Err(A::Error::custom("the list is empty; leave it out"));
            }
            Ok(values)
        }
    }

    from.deserialize_any(Reads(std::marker::PhantomData))
}
