//! What people are shown of what is stored: without its secrets, by their names and by their shapes.
//! What a client of the state API stores, it gets back as it gave it; all that lists, searches and
//! explains goes through here.

use std::borrow::Cow;

use proxy::shown;
use serde_json::value::RawValue;
use store::model::{
    Event, Excerpt, Execution, ExecutionDetail, ExecutionSummary, Json, Origin, RequestDetail,
    SessionSummary,
};

/// An execution for a client of the state API: what came through the proxy is nobody's own.
pub(crate) fn for_client(execution: Execution) -> Execution {
    match execution.origin {
        Origin::Api => execution,
        Origin::Proxy => Execution {
            tool_name: text(execution.tool_name),
            rule: execution.rule.map(text),
            tool_input: json(&execution.tool_input),
            output: execution.output.as_ref().map(json),
            error: execution.error.map(text),
            idempotency_key: execution.idempotency_key.map(text),
            ..execution
        },
    }
}

/// An entity of the state API, as the command line prints it.
pub(crate) fn document(document: Box<RawValue>) -> Box<RawValue> {
    let masked = match shown::text(document.get()) {
        Cow::Borrowed(_) => return document,
        Cow::Owned(masked) => masked,
    };
    RawValue::from_string(masked).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An execution of a search.
pub(crate) fn summary(summary: ExecutionSummary) -> ExecutionSummary {
    ExecutionSummary {
        tool_name: text(summary.tool_name),
        rule: summary.rule.map(text),
        error: summary.error.map(|error| beginning(&error)),
        idempotency_key: summary.idempotency_key.map(text),
        preview: beginning(&summary.preview),
        ..summary
    }
}

/// A session of a list.
pub(crate) fn session(session: SessionSummary) -> SessionSummary {
    SessionSummary {
        username: text(session.username),
        name: session.name.map(text),
        latest_goal: session.latest_goal.map(|goal| beginning(&goal)),
        ..session
    }
}

/// An execution with its whole texts, each of which is cut at `limit` bytes once it is masked.
pub(crate) fn detail(detail: ExecutionDetail, limit: usize) -> ExecutionDetail {
    let cut = |excerpt: Excerpt| cut(excerpt, limit);
    let fields = |fields: Vec<(String, String)>| {
        let shown = |(name, value): (String, String)| {
            let value = shown::field(&name.to_ascii_lowercase(), &value);
            (name, value)
        };
        fields.into_iter().map(shown).collect()
    };
    ExecutionDetail {
        summary: summary(detail.summary),
        username: text(detail.username),
        session_name: detail.session_name.map(text),
        goal_title: text(detail.goal_title),
        request: detail.request.map(|request| RequestDetail {
            method: request.method,
            url: text(request.url),
            headers: json(&request.headers),
            body: request.body.map(cut),
        }),
        answer: detail.answer.map(|mut answer| {
            answer.headers = fields(answer.headers);
            answer.trailers = fields(answer.trailers);
            answer.body = cut(answer.body);
            answer
        }),
        input: detail.input.map(cut),
        output: detail.output.map(cut),
        events: detail.events.into_iter().map(event).collect(),
        ..detail
    }
}

/// A text of any kind.
pub(crate) fn text(whole: String) -> String {
    match shown::text(&whole) {
        Cow::Borrowed(_) => whole,
        Cow::Owned(masked) => masked,
    }
}

fn event(event: Event) -> Event {
    Event { detail: json(&event.detail), ..event }
}

fn json(whole: &Json) -> Json {
    shown::json(whole).into_owned()
}

fn beginning(part: &str) -> String {
    shown::beginning(part).into_owned()
}

fn cut(excerpt: Excerpt, limit: usize) -> Excerpt {
    let Some(whole) = excerpt.text else { return excerpt };
    let mut text = text(whole);
    let end = text.floor_char_boundary(limit);
    let is_cut = end < text.len();
    text.truncate(end);
    Excerpt { text: Some(text), cut: is_cut, ..excerpt }
}
