//! Each execution and its answer, against the last word of their events.

use rusqlite::params;
use serde::Deserialize;

use super::PAGE;
use crate::Error;
use crate::key::Digest;
use crate::model::ExecutionStatus;
use crate::sqlite::made::Made;
use crate::sqlite::reader::Reader;
use crate::sqlite::{queries, rows};
use crate::verify::Finding;

struct ExecutionRow {
    row: i64,
    status: ExecutionStatus,
    attempt: u32,
    made: Digest,
    /// What a log tells that an earlier version wrote.
    input: Digest,
    output: Option<Digest>,
    answer: Option<AnswerRow>,
}

struct AnswerRow {
    status: u16,
    /// As its column says; the body itself may be gone.
    digest: [u8; 32],
    body: Option<Digest>,
}

/// What an event tells of an execution.
#[derive(Deserialize)]
struct Told {
    status: Option<String>,
    made: Option<String>,
    /// Of the input alone: what earlier versions wrote.
    input: Option<String>,
    output: Option<String>,
    body: Option<String>,
    answer_status: Option<u16>,
}

type EventRow = (String, Option<u32>, String);

impl Reader {
    /// How many there are. Of those before row `whole_from` the first events may be pruned.
    pub(super) fn verify_executions(
        &self,
        whole_from: i64,
        findings: &mut Vec<Finding>,
    ) -> Result<u64, Error> {
        let (mut last, mut count) = (i64::MIN, 0);
        loop {
            let page = self.many(queries::VERIFY_EXECUTIONS, params![last, PAGE], execution_row)?;
            let Some(end) = page.last() else { return Ok(count) };
            last = end.row;
            for execution in page {
                count += 1;
                let events: Vec<EventRow> =
                    self.many(queries::VERIFY_EVENTS, [execution.row], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })?;
                let record = Record::of(&events, execution.row >= whole_from);
                execution.compare(&record, findings);
                for (_, attempt, _) in events.iter().filter(|e| e.0 == "possible-duplicate") {
                    let message = format!(
                        "attempt {} was told to have executed after a later one was claimed: it may have run twice",
                        attempt.unwrap_or(0)
                    );
                    findings.push(Finding { table: "executions", row: execution.row, message });
                }
            }
        }
    }
}

fn execution_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ExecutionRow> {
    let made = Made::read(row, 7)?;
    let output: Option<String> = row.get(3)?;
    let digest: Option<[u8; 32]> = row.get(5)?;
    let answer = match digest {
        None => None,
        Some(digest) => Some(AnswerRow {
            status: row.get(4)?,
            digest,
            body: row.get_ref(6)?.as_blob_or_null()?.map(Digest::of),
        }),
    };
    Ok(ExecutionRow {
        row: row.get(0)?,
        status: rows::word(row, 1, ExecutionStatus::from_number)?,
        attempt: row.get(2)?,
        made: made.digest(),
        input: Digest::of(made.input.as_bytes()),
        output: output.map(|text| Digest::of(text.as_bytes())),
        answer,
    })
}

/// The last word of an execution's events.
#[derive(Default)]
struct Record {
    status: Option<String>,
    attempt: u32,
    made: Option<String>,
    input: Option<String>,
    output: Option<String>,
    /// The digest and status of the answer.
    answer: Option<(String, Option<u16>)>,
    /// Whether there is an answer can be told from the events that are left.
    tells_answer: bool,
    whole: bool,
}

impl Record {
    fn of(events: &[EventRow], whole: bool) -> Self {
        let mut record = Self { whole, tells_answer: whole, ..Self::default() };
        for (kind, attempt, detail) in events {
            let Ok(told) = serde_json::from_str::<Told>(detail) else { continue };
            if told.status.is_some() {
                record.status = told.status;
                record.output = told.output;
                record.attempt = attempt.unwrap_or(0);
                if kind == "claimed" {
                    record.answer = None;
                    record.tells_answer = true;
                }
            }
            record.made = told.made.or(record.made);
            record.input = told.input.or(record.input);
            if let Some(body) = told.body {
                record.answer = Some((body, told.answer_status));
                record.tells_answer = true;
            }
        }
        record
    }
}

impl ExecutionRow {
    fn compare(&self, record: &Record, findings: &mut Vec<Finding>) {
        if !record.whole && record.status.is_none() {
            // All of its events are pruned.
            return;
        }
        let mut wrong = |table, message: String| {
            findings.push(Finding { table, row: self.row, message });
        };
        if record.status.as_deref() != Some(self.status.as_str()) || record.attempt != self.attempt
        {
            let message = format!(
                "it is {} at attempt {}, its events say {} at attempt {}",
                self.status,
                self.attempt,
                record.status.as_deref().unwrap_or("nothing"),
                record.attempt,
            );
            wrong("executions", message);
        }
        let differs = |told: &Option<String>, is: &Digest| {
            told.as_ref().is_some_and(|told| *told != is.hex(32))
        };
        if differs(&record.made, &self.made) || differs(&record.input, &self.input) {
            let message =
                "its id, place, tool, input, key or time is not the one that was recorded";
            wrong("executions", message.to_owned());
        }
        if record.output != self.output.map(|digest| digest.hex(32)) {
            wrong("executions", "its output is not the one that was recorded".to_owned());
        }
        if record.tells_answer
            && let Some(message) = self.answer_differs(record)
        {
            wrong("answers", message.to_owned());
        }
    }

    fn answer_differs(&self, record: &Record) -> Option<&'static str> {
        match (&self.answer, &record.answer) {
            (None, None) => None,
            (None, Some(_)) => Some("it is missing"),
            (Some(_), None) => Some("its events know of no answer"),
            (Some(answer), Some((digest, status))) => {
                let same = *digest == Digest::from_bytes(answer.digest).hex(32)
                    && status.is_none_or(|status| status == answer.status)
                    && answer.body.is_none_or(|body| body.as_bytes() == &answer.digest);
                (!same).then_some("it is not the one that was recorded")
            }
        }
    }
}
