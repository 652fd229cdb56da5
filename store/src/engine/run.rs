//! The writer's thread: gathers jobs, commits them, and does housekeeping in between.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::engine::checkpoint;
use crate::engine::housekeeping::{self, Housekeeping};
use crate::engine::job::{Job, Lane, Message};
use crate::engine::writer::Writer;

/// The maximum number of jobs in a transaction: limits what a crash can lose, and how long the first job
/// waits.
const MAX_GROUP: usize = 1_024;

/// How often parked outcomes are retried before the writer stops.
const LAST_TRIES: usize = 3;

/// How long an idle writer sleeps at most: housekeeping runs at least this often.
const IDLE: Duration = Duration::from_secs(1);

/// Runs until a stop message arrives; all jobs before that are written.
pub(crate) fn run(mut writer: Writer, messages: &Receiver<Message>) {
    let mut housekeeping = Housekeeping::default();
    let stopped = loop {
        let (group, stop) = gather(messages, writer.memory.live.next_due());
        if !group.is_empty() {
            writer.commit_group(group);
        }
        writer.checkpoints.between_groups(&writer.conn);
        if let Some(stop) = stop {
            break stop;
        }
        housekeeping.run(&mut writer);
    };
    for _ in 0..LAST_TRIES {
        writer.finish_parked();
    }
    if !writer.parked.is_empty() {
        tracing::error!(
            outcomes = writer.parked.len(),
            "no disk space: these calls will be in doubt at the next start"
        );
    }
    housekeeping::flush(&mut writer);
    checkpoint::at_stop(&writer.conn);
    let _ = stopped.send(());
}

/// Waits for a job that cannot wait, at most until something is due, then takes all that are queued.
fn gather(
    messages: &Receiver<Message>,
    due: Option<Instant>,
) -> (Vec<Box<dyn Job>>, Option<oneshot::Sender<()>>) {
    let mut group = Vec::new();
    let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()).min(IDLE));
    let until = Instant::now() + wait;
    let mut is_urgent = false;
    while group.len() < MAX_GROUP {
        let left = if is_urgent {
            Duration::ZERO
        } else {
            until.saturating_duration_since(Instant::now())
        };
        match messages.recv_timeout(left) {
            Ok(Message::Job(job, _permit)) => {
                is_urgent |= job.lane() != Lane::Deferred;
                group.push(job);
            }
            Ok(Message::Stop(reply)) => return (group, Some(reply)),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return (group, Some(oneshot::channel().0)),
        }
    }
    (group, None)
}
