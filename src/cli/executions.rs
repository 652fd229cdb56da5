use serde::Deserialize;
use store::model::{ExecutionFilter, ExecutionStatus, Origin, Timestamp};
use uuid::Uuid;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::source::named::{self, Lookup};
use crate::source::{RUNNING_UNWATCHED, Source, Word};

/// The longest tool name or key that a table shows in full, in characters.
const CELL: usize = 60;

/// List executions, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine executions
  openclaw-state-engine executions --session nightly --status in_doubt
  openclaw-state-engine executions --origin proxy --limit 500 --json
  openclaw-state-engine executions --after 2026-02-23T00:00:00Z")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// Only with this status: pending, running, completed, failed, cancelled, `in_doubt`
    #[arg(long, value_parser = str::parse::<ExecutionStatus>)]
    status: Option<ExecutionStatus>,

    /// Only of this session: its name (the newest of that name), its id, or the beginning of its id
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,

    /// Only of this goal
    #[arg(long, value_name = "ID")]
    goal: Option<Uuid>,

    /// Only of this user
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,

    /// Only of this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,

    /// Only through this listener: api, proxy
    #[arg(long, value_parser = str::parse::<Origin>)]
    origin: Option<Origin>,

    /// Only created at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,

    /// Only created before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,

    /// Number of executions to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Deserialize)]
struct ExecutionRow {
    id: Uuid,
    status: Word<ExecutionStatus>,
    #[serde(default)]
    attempt: u32,
    tool_name: String,
    idempotency_key: Option<String>,
    created_at: Timestamp,
}

/// Lists page by page; an empty list is a valid answer (0). 1 if the session does not exist.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let source = Source::find(&args.target)?;
    let session_id = match &args.session {
        None => None,
        Some(text) => match named::session(text, &args.target)? {
            Lookup::One(id) => Some(id),
            Lookup::No(why) => {
                printer.note(why);
                return Ok(ExitStatus::No);
            }
        },
    };
    let filter = ExecutionFilter {
        user_id: args.user,
        session_id,
        goal_id: args.goal,
        status: args.status,
        tool_name: args.tool.clone(),
        origin: args.origin,
        after: args.after,
        before: args.before,
    };
    let (mut rows, mut shown, mut more, mut cursor) = (Vec::new(), 0, false, None);
    while !more {
        // Read one more than is shown, to know whether there are more.
        let wanted = (args.limit - shown).saturating_add(1);
        let page = source.executions(&filter, wanted, cursor.as_deref())?;
        for execution in page.items {
            if shown == args.limit {
                more = true;
                break;
            }
            shown += 1;
            if printer.json() {
                printer.json_line(&execution)?;
            } else {
                rows.push(cells(serde_json::from_str(execution.get())?, source.is_stopped()));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if !rows.is_empty() {
        printer.table(&["ID", "STATUS", "ATTEMPT", "CREATED", "TOOL", "KEY"], rows)?;
    }
    if more {
        printer
            .note(format_args!("There are more than {}: raise --limit to see them.", args.limit));
    }
    Ok(ExitStatus::Done)
}

fn cells(row: ExecutionRow, stopped: bool) -> Vec<String> {
    let status = match row.status {
        Word::Known(ExecutionStatus::Running) if stopped => RUNNING_UNWATCHED.to_owned(),
        status => status.to_string(),
    };
    vec![
        row.id.to_string(),
        status,
        row.attempt.to_string(),
        row.created_at.as_datetime().format("%Y-%m-%d %H:%M:%S").to_string(),
        cut(row.tool_name),
        row.idempotency_key.map(cut).unwrap_or_default(),
    ]
}

fn cut(text: String) -> String {
    match text.char_indices().nth(CELL) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
