use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use store::model::{ExecutionStatus, GoalStatus, Json, Origin, Priority, SessionStatus, Timestamp};
use uuid::Uuid;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::printer::{Printer, Tone, title, visible};
use crate::source::history::{History, facts};
use crate::source::named::{self, Lookup};
use crate::source::{RUNNING_UNWATCHED, Source, Word};

/// The longest output that is shown as text, in characters.
const OUTPUT_SHOWN: usize = 2_000;

/// Show what a session did: its goals, and the tool executions of each
///
/// Asks the running server, else reads the file. With --json it prints one document, {"session":
/// {…}, "goals": [{…, "executions": […]}]}, with every text as stored, except for secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine replay --session nightly
  openclaw-state-engine replay --session 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b \\
    --database agent.db --json")]
pub(super) struct Args {
    /// Session: its name (the newest of that name), its id, or the beginning of its id
    #[arg(long, value_name = "SESSION")]
    session: String,

    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct SessionFacts {
    id: Uuid,
    user_id: Uuid,
    status: Word<SessionStatus>,
    metadata: Json,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct GoalFacts {
    title: String,
    status: Word<GoalStatus>,
    priority: Word<Priority>,
}

#[derive(Deserialize)]
struct ExecutionFacts {
    id: Uuid,
    tool_name: String,
    tool_input: Json,
    status: Word<ExecutionStatus>,
    output: Option<Json>,
    error: Option<String>,
    idempotency_key: Option<String>,
    created_at: Timestamp,
    #[serde(default)]
    attempt: u32,
    #[serde(default)]
    origin: Option<Word<Origin>>,
}

/// The request in the input of a proxied execution.
#[derive(Deserialize)]
struct RequestFacts {
    method: String,
    url: String,
}

/// Prints the session; 1 if it does not exist.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let source = Source::find(&args.target)?;
    let id = match named::session(&args.session, &args.target)? {
        Lookup::One(id) => id,
        Lookup::No(why) => {
            printer.note(why);
            return Ok(ExitStatus::No);
        }
    };
    let Some(session) = source.session(id)? else {
        printer.note(format_args!("No session has the id {id}."));
        return Ok(ExitStatus::No);
    };
    let history = History::read(&source, session, id)?;
    if printer.json() {
        printer.document(&history.document()?)?;
    } else {
        HistoryText(&history).show(printer)?;
    }
    Ok(ExitStatus::Done)
}

/// A history as text for people.
struct HistoryText<'a>(&'a History);

impl HistoryText<'_> {
    fn show(&self, printer: &mut Printer) -> anyhow::Result<()> {
        let session: SessionFacts = facts(&self.0.session)?;
        printer.line("╔═══════════════════════════════════════╗")?;
        printer.line("║            SESSION REPLAY             ║")?;
        printer.line("╚═══════════════════════════════════════╝")?;
        printer.line(format_args!("Session ID: {}", session.id))?;
        printer.line(format_args!("User ID: {}", session.user_id))?;
        if let Ok(Named { name: Some(name) }) = session.metadata.decode() {
            printer.line(format_args!("Name: {}", visible(&name)))?;
        }
        printer.line(format_args!("Status: {}", title(&session.status, Tone::Plain)))?;
        let created = session.created_at.as_datetime().format("%Y-%m-%d %H:%M:%S");
        printer.line(format_args!("Created: {created} UTC"))?;
        let heading = format!("GOALS ({})", self.0.goals.len());
        printer.line("┌───────────────────────────────────────┐")?;
        printer.line(format_args!("│ {heading:<37} │"))?;
        printer.line("└───────────────────────────────────────┘")?;
        for (number, (goal, executions)) in (1..).zip(&self.0.goals) {
            self.show_goal(number, &facts(goal)?, executions, printer)?;
        }
        let executions: usize = self.0.goals.iter().map(|(_, executions)| executions.len()).sum();
        printer.line("═════════════════════════════════════════")?;
        printer.line(format_args!(
            "Replay complete. {} goal(s), {executions} execution(s) total.",
            self.0.goals.len()
        ))?;
        Ok(())
    }

    fn show_goal(
        &self,
        number: usize,
        goal: &GoalFacts,
        executions: &[Box<RawValue>],
        printer: &mut Printer,
    ) -> anyhow::Result<()> {
        printer.line(format_args!("Goal #{number}: {}", visible(&goal.title)))?;
        let tone = if goal.status.is(&GoalStatus::Failed) { Tone::Bad } else { Tone::Plain };
        printer.line(format_args!("  Status: {}", title(&goal.status, tone)))?;
        printer.line(format_args!("  Priority: {}", title(&goal.priority, Tone::Plain)))?;
        printer.line(format_args!("  ┌── TOOL EXECUTIONS ({}) ──", executions.len()))?;
        for execution in executions {
            printer.line("  │")?;
            for line in self.execution_lines(&facts(execution)?) {
                printer.line(format_args!("  │ {line}"))?;
            }
        }
        printer.line("  └───────────────────────────")?;
        Ok(())
    }

    fn execution_lines(&self, execution: &ExecutionFacts) -> Vec<String> {
        let mut lines = vec![format!("Tool: {}", visible(&execution.tool_name))];
        let proxied = execution.origin.as_ref().is_some_and(|origin| origin.is(&Origin::Proxy));
        let request = execution.tool_input.decode::<RequestFacts>().ok().filter(|_| proxied);
        if let Some(request) = &request {
            lines.push(format!("Request: {}", visible(&request.line())));
        }
        lines.push(format!("Status: {}", self.status(&execution.status)));
        let input = execution.tool_input.as_str();
        let input = match request {
            // Its body is shown as it was sent.
            Some(_) => Cow::Borrowed(input),
            None => store::canonical::display(input),
        };
        lines.push(format!("Input: {}", visible(&input)));
        if let Some(output) = &execution.output {
            lines.push(format!("Output: {}", shortened(output.as_str())));
        }
        if let Some(error) = &execution.error {
            lines.push(format!("Error: {}", visible(error)));
        }
        if let Some(key) = &execution.idempotency_key {
            lines.push(format!("Idempotency Key: {}", visible(key)));
        }
        lines.push(format!("Time: {}", execution.created_at.as_datetime().format("%H:%M:%S")));
        if execution.attempt > 1 {
            lines.push(format!("Attempt: {}", execution.attempt));
        }
        if execution.status.is(&ExecutionStatus::InDoubt) {
            lines.push(format!(
                "Settle: openclaw-state-engine resolve {} --attempt {} (--ran | --did-not-run) --evidence TEXT",
                execution.id, execution.attempt
            ));
        }
        lines
    }

    fn status(&self, status: &Word<ExecutionStatus>) -> String {
        let tone = match status {
            Word::Known(ExecutionStatus::Running) if self.0.stopped => {
                return RUNNING_UNWATCHED.to_owned();
            }
            Word::Known(ExecutionStatus::InDoubt) => Tone::Warning,
            Word::Known(ExecutionStatus::Failed) => Tone::Bad,
            _ => Tone::Plain,
        };
        title(status, tone)
    }
}

impl RequestFacts {
    /// Method and path; the name of the tool has the host.
    fn line(&self) -> String {
        let path = self.url.parse::<hyper::Uri>().ok().map_or_else(
            || self.url.clone(),
            |uri| uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        );
        format!("{} {path}", self.method)
    }
}

/// The text as it was sent, and how long it was.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(OUTPUT_SHOWN) {
        None => visible(text).into_owned(),
        Some((end, _)) => {
            format!("{}… ({} bytes; --json shows all)", visible(&text[..end]), text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::{CapturedOutput, Format};

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn session() -> Box<RawValue> {
        raw(
            r#"{"id":"eedf0c5c-83bb-4674-940d-25918c64fb93","user_id":"adac540e-1edb-4b23-9a7a-a525394c69c5","channel_id":null,"status":"active","metadata":{},"context":{},"last_activity_at":"2026-02-23T12:48:34.000001Z","created_at":"2026-02-23T12:48:34.000001Z","updated_at":"2026-02-23T12:48:34.000001Z"}"#,
        )
    }

    fn goal(title: &str) -> Box<RawValue> {
        raw(&format!(
            r#"{{"id":"00000000-0000-0000-0000-000000000001","title":{title},"status":"pending","priority":"medium","context":{{"a":{{}}}}}}"#
        ))
    }

    /// An execution with these members besides those that all have.
    fn execution(members: &str) -> Box<RawValue> {
        raw(&format!(
            r#"{{"id":"00000000-0000-0000-0000-000000000002","goal_id":"00000000-0000-0000-0000-000000000001","created_at":"2026-02-23T12:48:34.999999Z",{members}}}"#
        ))
    }

    fn history(goals: Vec<(Box<RawValue>, Vec<Box<RawValue>>)>, stopped: bool) -> History {
        History { session: session(), goals, stopped }
    }

    fn shown(history: &History) -> String {
        let out = CapturedOutput::default();
        let mut printer = Printer::to(Format::Text, out.clone(), CapturedOutput::default());
        HistoryText(history).show(&mut printer).unwrap();
        out.text()
    }

    fn lines(members: &str, stopped: bool) -> String {
        let text = execution(members);
        let history = history(Vec::new(), stopped);
        HistoryText(&history).execution_lines(&facts(&text).unwrap()).join("\n")
    }

    #[test]
    fn the_look_of_the_frozen_example() {
        let execution = execution(
            r#""tool_name":"send_email","tool_input":{"to":"user@example.com", "subject":"Welcome!"},"status":"pending","output":null,"error":null,"idempotency_key":"welcome-email-001","attempt":0,"origin":"api""#,
        );
        let history = history(vec![(goal(r#""Send welcome email""#), vec![execution])], true);
        insta::assert_snapshot!(shown(&history), @r#"
        ╔═══════════════════════════════════════╗
        ║            SESSION REPLAY             ║
        ╚═══════════════════════════════════════╝
        Session ID: eedf0c5c-83bb-4674-940d-25918c64fb93
        User ID: adac540e-1edb-4b23-9a7a-a525394c69c5
        Status: Active
        Created: 2026-02-23 12:48:34 UTC
        ┌───────────────────────────────────────┐
        │ GOALS (1)                             │
        └───────────────────────────────────────┘
        Goal #1: Send welcome email
          Status: Pending
          Priority: Medium
          ┌── TOOL EXECUTIONS (1) ──
          │
          │ Tool: send_email
          │ Status: Pending
          │ Input: {"subject":"Welcome!","to":"user@example.com"}
          │ Idempotency Key: welcome-email-001
          │ Time: 12:48:34
          └───────────────────────────
        ═════════════════════════════════════════
        Replay complete. 1 goal(s), 1 execution(s) total.
        "#);
    }

    #[test]
    fn a_proxied_call_shows_method_and_path_and_how_to_settle_it() {
        let members = r#""tool_name":"POST api.example.com","tool_input":{"method":"POST","url":"http://api.example.com/v1/charges?x=1","headers":[],"body":{"amount":1.00}},"status":"in_doubt","output":null,"error":"reset","idempotency_key":null,"attempt":2,"origin":"proxy""#;
        insta::assert_snapshot!(anstream::adapter::strip_str(&lines(members, false)), @r#"
        Tool: POST api.example.com
        Request: POST /v1/charges?x=1
        Status: In Doubt
        Input: {"method":"POST","url":"http://api.example.com/v1/charges?x=1","headers":[],"body":{"amount":1.00}}
        Error: reset
        Time: 12:48:34
        Attempt: 2
        Settle: openclaw-state-engine resolve 00000000-0000-0000-0000-000000000002 --attempt 2 (--ran | --did-not-run) --evidence TEXT
        "#);
    }

    #[test]
    fn an_output_is_shown_and_counted_as_it_was_sent() {
        let with = |output: &str| {
            let rest = r#""tool_name":"t","tool_input":{"b":1, "a":2},"status":"completed","error":null,"idempotency_key":null"#;
            lines(&format!(r#"{rest},"output":{output}"#), false)
        };
        let shown = with(r#"{"z": 1.0,  "a": [ 1e2 ]}"#);
        assert!(shown.contains(r#"Output: {"z": 1.0,  "a": [ 1e2 ]}"#), "{shown}");
        let long = format!(r#"{{ "z": "{}" }}"#, "x".repeat(3_000));
        let shown = with(&long);
        let counted = format!("… ({} bytes; --json shows all)", long.len());
        assert!(shown.contains(r#"Output: { "z": "xx"#) && shown.contains(&counted), "{shown}");
    }

    #[test]
    fn running_means_unknown_without_an_engine() {
        let members = r#""tool_name":"t","tool_input":1,"status":"running","output":null,"error":null,"idempotency_key":null"#;
        assert!(
            lines(members, true).contains("Status: running (engine stopped: outcome unknown)\n")
        );
        assert!(lines(members, false).contains("Status: Running\n"));
    }

    #[test]
    fn nothing_stored_reaches_the_terminal_raw() {
        let evil = r#""\u001b[2J\nStatus: Completed\u202e""#;
        let members = format!(
            r#""tool_name":{evil},"tool_input":[{evil},"{c1}"],"status":"failed","output":{evil},"error":{evil},"idempotency_key":{evil}"#,
            c1 = '\u{9b}'
        );
        let history = history(vec![(goal(evil), vec![execution(&members)])], false);
        let shown = anstream::adapter::strip_str(&shown(&history)).to_string();
        let bad = |c: &char| *c != '\n' && (c.is_control() || *c == '\u{202e}');
        assert_eq!(shown.chars().find(bad), None, "{shown}");
        assert!(!shown.lines().any(|line| line.starts_with("Status: Completed")), "{shown}");
    }
}
