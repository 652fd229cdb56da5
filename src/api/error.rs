//! The only table from errors to the answers of the API.

use hyper::StatusCode;
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::{Map, Value};
use store::state::Event;

/// The kind of an error answer: `data.code` on the wire (`docs/FAILURE_CONTRACT.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    ParseError,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    Internal,
    NotFound,
    Conflict,
    KeyReuse,
    Stale,
    IllegalTransition,
    StoreFull,
    StoreLost,
    Busy,
    LeaseLost,
    Limit,
    ForeignHost,
    ForeignOrigin,
    MediaType,
    Unauthorized,
    BodyStalled,
}

impl Code {
    /// Every code that a caller can get.
    pub(crate) const ALL: &'static [Self] = &[
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::Internal,
        Self::NotFound,
        Self::Conflict,
        Self::KeyReuse,
        Self::Stale,
        Self::IllegalTransition,
        Self::StoreFull,
        Self::StoreLost,
        Self::Busy,
        Self::LeaseLost,
        Self::Limit,
        Self::ForeignHost,
        Self::ForeignOrigin,
        Self::MediaType,
        Self::Unauthorized,
        Self::BodyStalled,
    ];

    /// The word in `data.code`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::MethodNotFound => "METHOD_NOT_FOUND",
            Self::InvalidParams => "INVALID_PARAMS",
            Self::Internal => "INTERNAL",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::KeyReuse => "KEY_REUSE",
            Self::Stale => "STALE",
            Self::IllegalTransition => "ILLEGAL_TRANSITION",
            Self::StoreFull => "STORE_FULL",
            Self::StoreLost => "STORE_LOST",
            Self::Busy => "BUSY",
            Self::LeaseLost => "LEASE_LOST",
            Self::Limit => "LIMIT",
            Self::ForeignHost => "FOREIGN_HOST",
            Self::ForeignOrigin => "FOREIGN_ORIGIN",
            Self::MediaType => "MEDIA_TYPE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::BodyStalled => "BODY_STALLED",
        }
    }

    /// The code of a word in `data.code`; `None` for a code of a later version.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// The number in `error.code`.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest
            | Self::ForeignHost
            | Self::ForeignOrigin
            | Self::MediaType
            | Self::Unauthorized
            | Self::BodyStalled => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::NotFound => -32002,
            Self::Conflict => -32003,
            Self::KeyReuse => -32004,
            Self::Stale => -32013,
            Self::IllegalTransition => -32014,
            Self::StoreFull => -32015,
            Self::Busy => -32016,
            Self::LeaseLost => -32017,
            Self::Limit => -32018,
            Self::StoreLost => -32019,
        }
    }

    /// The status if a request is refused before it is read as JSON-RPC; errors of methods are
    /// answered with 200.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
            Self::Limit => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// An error answer: its code, a message with the remedy, and further facts.
#[derive(Debug, Clone)]
pub(crate) struct Error {
    pub(crate) code: Code,
    pub(crate) message: String,
    facts: Vec<(&'static str, String)>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), facts: Vec::new() }
    }

    /// Params that are refused; `field` is the JSON path in them, empty for all of them.
    pub(crate) fn field(code: Code, field: &str, message: &str) -> Self {
        match field {
            "" => Self::new(code, message),
            field => Self::new(code, format!("{field}: {message}")).with("field", &field),
        }
    }

    /// A bug; the log has the details.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "internal error; the log has the details")
    }

    fn with(mut self, name: &'static str, fact: &impl ToString) -> Self {
        self.facts.push((name, fact.to_string()));
        self
    }
}

impl From<Error> for ErrorObjectOwned {
    fn from(error: Error) -> Self {
        let mut data = Map::from_iter([("code".to_owned(), Value::from(error.code.as_str()))]);
        data.extend(error.facts.into_iter().map(|(name, fact)| (name.to_owned(), fact.into())));
        Self::owned(error.code.number(), error.message, Some(data))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let message = error.to_string();
        match error {
            E::NotFound { what, id } => {
                Self::new(Code::NotFound, message).with("what", &what).with("id", &id)
            }
            E::Conflict(_) | E::Foreign(_) => Self::new(Code::Conflict, message),
            E::SessionEnded(session) => {
                Self::new(Code::Conflict, message).with("session_id", &session)
            }
            E::KeyReuse { execution } => {
                Self::new(Code::KeyReuse, message).with("execution_id", &execution)
            }
            E::Stale(_) => Self::new(Code::Stale, message),
            E::IllegalTransition(illegal) => illegal_transition(illegal),
            E::LeaseLost(_) => Self::new(Code::LeaseLost, message),
            E::Invalid { field, message } => Self::field(Code::InvalidParams, field, &message),
            E::Full | E::LogFull | E::NotYet => Self::new(Code::StoreFull, message),
            E::Lost => Self::new(Code::StoreLost, message),
            E::Busy | E::Closed => Self::new(Code::Busy, message),
            E::Locked { .. } | E::Open { .. } | E::Internal => Self::internal(),
        }
    }
}

fn illegal_transition(illegal: store::state::Illegal) -> Error {
    let from = illegal.state.status();
    match illegal.event {
        Event::Set(to) => {
            let message = format!("an execution that is {from} cannot become {to}");
            Error::new(Code::IllegalTransition, message).with("from", &from).with("to", &to)
        }
        _ => Error::new(Code::IllegalTransition, illegal.to_string()).with("from", &from),
    }
}

#[cfg(test)]
mod tests {
    use store::model::ExecutionStatus;
    use store::state::{Illegal, State};

    use super::*;

    #[test]
    fn codes_are_distinct_words() {
        let words: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn an_illegal_transition_names_both_states() {
        let error = illegal_transition(Illegal {
            state: State::Completed { attempt: 0, decided: false },
            event: Event::Set(ExecutionStatus::Pending),
        });
        assert_eq!(error.message, "an execution that is completed cannot become pending");
    }

    #[test]
    fn paths_stay_inside() {
        let open = store::Error::Open {
            path: "/home/someone/state.db".into(),
            message: "file is not a database".to_owned(),
        };
        assert!(!Error::from(open).message.contains("someone"));
    }
}
