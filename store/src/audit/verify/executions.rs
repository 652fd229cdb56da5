//! Compares each execution and its answer with their events.

use rusqlite::{Connection, params};
use store_core::Error;
use store_core::key::Digest;
use store_core::model::Timestamp;
use store_core::state::{Knowledge, State};

use super::record::{EventRow, LoggedAnswer, LoggedState, Record};
use super::{PAGE, Walked, keys, many};
use crate::decide::answer::Rest;
use crate::decide::event::Detail;
use crate::decide::execution::CREATED;
use crate::read::reader::Reader;
use crate::sqlite::error::Fail;
use crate::sqlite::{execution_rows, queries, rows};

struct ExecutionRow {
    state: State,
    ended_at: Option<Timestamp>,
    created: Digest,
    terms: Digest,
    output: Option<Digest>,
    error: Option<Digest>,
    answer: rusqlite::Result<Option<AnswerRow>>,
}

struct AnswerRow {
    status: u16,
    /// As its column says; the body itself may be dropped.
    digest: [u8; 32],
    body: Option<Digest>,
    rest: Digest,
    received_at: Timestamp,
}

impl Reader {
    /// Returns the number of executions.
    pub(super) fn verify_executions(&self, walked: &mut Walked<'_>) -> Result<u64, Error> {
        let (mut last, mut count) = (i64::MIN, 0);
        loop {
            // Calls keep running: a row and its events are read at the same moment.
            let seen = self.snapshot(|conn| a_page(conn, &mut last, walked))?;
            if seen == 0 {
                return Ok(count);
            }
            count += seen;
        }
    }
}

fn a_page(conn: &Connection, last: &mut i64, walked: &mut Walked<'_>) -> Result<u64, Fail> {
    let page = many(conn, queries::VERIFY_EXECUTIONS, params![*last, PAGE], |row| {
        Ok((row.get(0)?, ExecutionRow::read(row)))
    })?;
    let mut seen = 0;
    for (row, execution) in page {
        (*last, seen) = (row, seen + 1);
        let events = many(conn, queries::VERIFY_EVENTS, [row], EventRow::read)?;
        let is_whole = row >= walked.whole_from;
        let record = if is_whole { Record::whole() } else { Record::default() }.after(events);
        match execution {
            Ok(execution) => execution.compare(row, &record, walked),
            Err(error) => walked.wrong("executions", row, format!("not readable: {error}")),
        }
        for attempt in &record.possible_duplicates {
            let message = format!(
                "attempt {attempt} was reported as executed after a later one was claimed: it may have run twice",
            );
            walked.wrong("executions", row, message);
        }
        keys::verify_keys_of(conn, row, &record.keys, walked)?;
    }
    Ok(seen)
}

impl ExecutionRow {
    /// Reads a row of [`queries::VERIFY_EXECUTIONS`].
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let created = execution_rows::created(row, 17)?;
        let text = |at: usize| -> rusqlite::Result<Option<Digest>> {
            Ok(row.get_ref(at)?.as_str_or_null()?.map(|text| Digest::of(text.as_bytes())))
        };
        Ok(Self {
            state: execution_rows::state(row, 1)?,
            ended_at: rows::optional_time(row, 7)?,
            output: text(8)?,
            error: text(9)?,
            created: created.digest(),
            terms: execution_rows::terms(row, 10)?.digest(),
            answer: AnswerRow::read(row, 28),
        })
    }

    fn compare(&self, row: i64, record: &Record, walked: &mut Walked<'_>) {
        if !record.whole && record.state.is_none() {
            // All of its events are pruned.
            return;
        }
        let differs = [self.state_differs(record), self.content_differs(record)];
        for message in differs.into_iter().flatten() {
            walked.wrong("executions", row, message);
        }
        if record.knows_answer
            && let Some(message) = self.answer_differs(record.answer.as_ref(), walked.bodies_from)
        {
            walked.wrong("answers", row, message.to_owned());
        }
    }

    fn state_differs(&self, record: &Record) -> Option<String> {
        let nothing = LoggedState { status: "nothing".to_owned(), ..LoggedState::default() };
        let (is, logged) = (self.logged_state(), record.state.as_ref().unwrap_or(&nothing));
        if (&is.status, is.attempt) != (&logged.status, logged.attempt) {
            return Some(format!(
                "it is {} at attempt {}, its events say {} at attempt {}",
                is.status, is.attempt, logged.status, logged.attempt,
            ));
        }
        (record.is_complete() && is != *logged).then(|| {
            "its end, what is known about it, or whether it was decided or released differs from what was \
             recorded"
                .to_owned()
        })
    }

    fn logged_state(&self) -> LoggedState {
        let detail = Detail::default().to(self.state);
        let word = |known: Knowledge| known.as_str().to_owned();
        LoggedState {
            status: self.state.status().to_string(),
            attempt: self.state.attempt(),
            known: match self.state {
                State::Failed { known, .. } => Some(word(known)),
                _ => None,
            },
            prior: detail.prior.map(word),
            decided: detail.decided,
            released: detail.released,
            ended_at: self.ended_at,
        }
    }

    fn content_differs(&self, record: &Record) -> Option<String> {
        let differs = |logged: Option<&String>, is: &Digest| {
            logged.is_some_and(|logged| logged.len() == 2 * CREATED && *logged != is.hex(CREATED))
        };
        let whole = |digest: Option<Digest>| digest.map(|digest| digest.hex(32));
        let what = if differs(record.created.as_ref(), &self.created) {
            "its id, place, tool, input, key, principal or time"
        } else if differs(record.terms.as_ref(), &self.terms) {
            "its class, fingerprint, content, rule or upstream key"
        } else if record.output != whole(self.output) {
            "its output"
        } else if record.is_complete() && record.error != whole(self.error) {
            "its error"
        } else {
            return None;
        };
        Some(format!("{what} differs from what was recorded"))
    }

    /// Bodies that arrived before `bodies_from` may have been dropped.
    fn answer_differs(
        &self,
        logged: Option<&LoggedAnswer>,
        bodies_from: Timestamp,
    ) -> Option<&'static str> {
        match (&self.answer, logged) {
            (Err(_), _) => Some("it is not readable"),
            (Ok(None), None) => None,
            (Ok(None), Some(_)) => Some("it is missing"),
            (Ok(Some(_)), None) => Some("its events record no answer"),
            (Ok(Some(answer)), Some(logged))
                if logged.kept && answer.body.is_none() && answer.received_at >= bodies_from =>
            {
                Some("its body is missing")
            }
            (Ok(Some(answer)), Some(logged)) => {
                let same = logged.body == Digest::from_bytes(answer.digest).hex(32)
                    && logged.status.is_none_or(|status| status == answer.status)
                    && logged.rest.as_ref().is_none_or(|rest| *rest == answer.rest.hex(16))
                    && answer.body.is_none_or(|body| body.as_bytes() == &answer.digest);
                (!same).then_some("it differs from what was recorded")
            }
        }
    }
}

impl AnswerRow {
    /// Reads an answer from column `at` on.
    fn read(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<Self>> {
        let Some(status) = row.get(at)? else { return Ok(None) };
        let rest = Rest {
            status,
            headers: row.get_ref(at + 1)?.as_str()?,
            trailers: row.get_ref(at + 2)?.as_str()?,
            cookies: row.get(at + 3)?,
            size: row.get(at + 4)?,
            received_at: row.get(at + 5)?,
        };
        Ok(Some(Self {
            status,
            digest: row.get(at + 6)?,
            body: row.get_ref(at + 7)?.as_blob_or_null()?.map(Digest::of),
            rest: rest.digest(),
            received_at: Timestamp::from_micros(rest.received_at),
        }))
    }
}
