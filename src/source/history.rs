//! What a session did, in the JSON of the API, from a server or from the file.

use std::collections::HashMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Source;

/// A session with its goals and executions, as JSON texts.
pub(crate) struct History {
    pub(crate) session: Box<RawValue>,
    /// Each goal with its executions, oldest first.
    pub(crate) goals: Vec<(Box<RawValue>, Vec<Box<RawValue>>)>,
    /// No engine runs, so nothing watches a `running` execution.
    pub(crate) stopped: bool,
}

#[derive(Deserialize)]
struct ExecutionIds {
    id: Uuid,
    goal_id: Uuid,
}

#[derive(Deserialize)]
struct GoalId {
    id: Uuid,
}

impl History {
    /// Reads everything that `session` did; `id` is its id.
    pub(crate) fn read(source: &Source, session: Box<RawValue>, id: Uuid) -> anyhow::Result<Self> {
        let mut of_goal: HashMap<Uuid, Vec<Box<RawValue>>> = HashMap::new();
        let mut after = None;
        loop {
            let page = source.executions_of_session(id, after)?;
            if page.is_empty() {
                break;
            }
            for execution in page {
                let ids: ExecutionIds = facts(&execution)?;
                after = Some(ids.id);
                of_goal.entry(ids.goal_id).or_default().push(execution);
            }
        }
        let goals = source.goals(id)?.into_iter().map(|goal| {
            let id = facts::<GoalId>(&goal)?.id;
            Ok((goal, of_goal.remove(&id).unwrap_or_default()))
        });
        let goals = goals.collect::<anyhow::Result<_>>()?;
        Ok(Self { session, goals, stopped: source.is_stopped() })
    }

    /// The history as one document.
    pub(crate) fn document(&self) -> anyhow::Result<impl Serialize> {
        #[derive(Serialize)]
        struct Document<'a> {
            session: &'a RawValue,
            goals: Vec<Box<RawValue>>,
        }
        let goals = self.goals.iter().map(|(goal, executions)| with_executions(goal, executions));
        Ok(Document { session: &self.session, goals: goals.collect::<Result<_, _>>()? })
    }
}

/// Decodes the members of an entity that `T` names.
pub(crate) fn facts<'a, T: Deserialize<'a>>(text: &'a RawValue) -> anyhow::Result<T> {
    serde_json::from_str(text.get()).context("unexpected answer from the server")
}

/// The text of the goal with one more member. Spliced, because decoding would lose the stored text.
fn with_executions(
    goal: &RawValue,
    executions: &[Box<RawValue>],
) -> Result<Box<RawValue>, serde_json::Error> {
    let text = goal.get().trim_end();
    let members = text.strip_suffix('}').unwrap_or(text);
    let executions = serde_json::to_string(executions)?;
    RawValue::from_string(format!("{members},\"executions\":{executions}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_document_keeps_every_stored_byte() {
        let input = r#"{"n":123456789012345678901234567890,"f":1.00000000000000000001, "n":2}"#;
        let members = format!(
            r#""tool_name":"t","tool_input":{input},"status":"completed","output":null,"error":null,"idempotency_key":null"#
        );
        let id = "00000000-0000-0000-0000-000000000002";
        let executions = vec![raw(&format!(r#"{{"id":"{id}",{members}}}"#)); 2];
        let goal = |title: &str| {
            raw(&format!(r#"{{"id":"{id}","title":"{title}","context":{{"a":{{}}}}}}"#))
        };
        let goals = vec![(goal(r#"g}\""#), executions), (goal("h"), Vec::new())];
        let history = History { session: raw("{}"), goals, stopped: true };
        let text = serde_json::to_string(&history.document().unwrap()).unwrap();
        assert_eq!(text.matches(input).count(), 2);
        assert!(text.contains(r#""context":{"a":{}},"executions":[{"id":"#), "{text}");
        assert!(text.ends_with(r#""context":{"a":{}},"executions":[]}]}"#), "{text}");
        serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
    }
}
