//! Rules with `repeat = "delivered"` (docs/SEMANTICS.md, "Which execution a request means"): which of
//! several identical calls a request means.

use rusqlite::{OptionalExtension, params};
use store_core::Error;
use store_core::key::{Encoder, HolderKey};
use store_core::state::State;

use crate::decide::claim;
use crate::decide::event::{Change, NewEvent};
use crate::engine::job::Lane;
use crate::engine::write::Write;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::sqlite::transaction::Transaction;
use crate::store::Store;

/// Who asks for which of identical calls.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The place of the first call's key.
    pub first: HolderKey,
    /// The run of the agent; all that name none are one.
    pub run: Option<String>,
}

/// An answer on its way to the run that asked.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Who asked.
    pub repeat: Repeat,
    /// What [`Store::ordinal`] told.
    pub ordinal: u32,
    /// The place of that call's key.
    pub holder: HolderKey,
}

impl Repeat {
    fn run_digest(&self) -> [u8; 16] {
        Encoder::new("repeat-run/v1").optional(self.run.as_ref()).finish().short()
    }
}

impl Store {
    /// Which of the identical calls a request means, from 1: the one that its run asked for last,
    /// until the answer to that was delivered; then the next one. A run that has not asked before
    /// begins with the first, and makes new ones once it has passed those that were there.
    ///
    /// The answer is on disk; a crash between this and the claim leaves a number that nobody holds,
    /// which the same request gets again.
    pub async fn ordinal(&self, repeat: &Repeat) -> Result<u32, Error> {
        let (key, run) = (repeat.first, repeat.run_digest());
        self.write(move |tx| ordinal(tx, &key, &run)).await
    }

    /// The answer was delivered whole: the last byte was written, and the client then went on with
    /// the connection, or closed it. Nobody waits for this; where it is lost, or the call is not
    /// known to have run, the next identical call is a retry.
    pub fn delivered(&self, delivery: Delivery) {
        let work = move |write: &mut Write<'_>| delivered(&mut write.tx, &delivery);
        if let Err(error) = self.0.writer.post(Lane::Ordinary, work) {
            tracing::debug!(%error, "a delivery was not recorded");
        }
    }
}

fn ordinal(tx: &mut Transaction<'_>, key: &HolderKey, run: &[u8; 16]) -> Result<u32, Fail> {
    let (key, conn) = (key.as_bytes(), tx.conn);
    let last: u32 =
        conn.prepare_cached(queries::REPEATS_LAST)?.query_row([key], |row| row.get(0))?;
    let mine = conn
        .prepare_cached(queries::REPEAT)?
        .query_row(params![key, run], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let (known, ordinal) = match mine {
        Some((_, ordinal, false)) => return Ok(ordinal),
        Some((known, ordinal, true)) if ordinal < known => (known, ordinal + 1),
        Some((known, _, true)) => (known, last + 1),
        // What was called before the rule, or before it knew runs, is the first.
        None => (last, 1),
    };
    conn.prepare_cached(queries::REPEAT_PUT)?.execute(params![key, run, known, ordinal])?;
    Ok(ordinal)
}

fn delivered(tx: &mut Transaction<'_>, delivery: &Delivery) -> Result<(), Fail> {
    let Delivery { repeat, ordinal, holder } = delivery;
    let Some(execution) = claim::holder(tx.conn, holder.as_bytes())? else { return Ok(()) };
    let State::Completed { .. } = execution.state else { return Ok(()) };
    let changed = tx.conn.prepare_cached(queries::REPEAT_DELIVERED)?.execute(params![
        repeat.first.as_bytes(),
        repeat.run_digest(),
        ordinal
    ])?;
    if changed > 0 {
        let change = Change { run: repeat.run.as_deref(), ..Change::default() };
        let attempt = execution.state.attempt();
        tx.event(NewEvent::execution("delivered", execution.id, attempt, "proxy", &change));
    }
    Ok(())
}
