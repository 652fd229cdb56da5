//! Sends the outcomes of proxied calls to the writer.

use std::sync::Arc;

use store_core::Error;
use store_core::call::{Finish, Settled};
use uuid::Uuid;

use crate::engine::job::{Lane, WriterHandle};
use crate::engine::write::Write;
use crate::sqlite::claims;

impl WriterHandle {
    /// Records the outcome of an attempt; returns when it is on disk.
    pub(crate) async fn finish(
        &self,
        id: Uuid,
        attempt: u32,
        finish: Finish,
    ) -> Result<Arc<Settled>, Error> {
        let work = move |write: &mut Write<'_>| claims::finish(&mut write.tx, id, attempt, &finish);
        self.run(Lane::Finish, work).await
    }

    /// Records the outcome of a lease that was dropped unfinished. Does not wait.
    pub(crate) fn finish_dropped(&self, id: Uuid, attempt: u32, finish: Finish) {
        let work = move |write: &mut Write<'_>| {
            claims::finish(&mut write.tx, id, attempt, &finish).map(drop)
        };
        if self.post(Lane::Finish, work).is_err() {
            tracing::error!(execution_id = %id, "cannot record an abandoned call");
        }
    }
}
