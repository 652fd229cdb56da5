//! The engine's own key upstream: which attempt began to use it, as its column stores that.
//!
//! An upstream that refused a call may answer with that refusal whenever it gets the key again. So
//! an attempt after a settled *not executed* begins to use another key, and one after an unknown
//! outcome repeats the key of the attempt before.

use std::borrow::Cow;

use store_core::state::{Knowledge, State};

use crate::decide::brief::Brief;

/// What sources of the engine's own keys begin with.
const ENGINE: &str = "engine ";

/// The attempt whose key the next attempt of an execution sends.
pub(super) fn next(execution: &Brief) -> u32 {
    match execution.state {
        // An attempt of which nothing was sent has used no key.
        State::Failed { attempt, known: Knowledge::NotExecuted, decided }
            if decided || execution.sent_at.is_some() =>
        {
            attempt + 1
        }
        _ => execution.upstream_key.as_deref().map_or(1, |stored| numbered(stored).0),
    }
}

/// The text that is stored of a call's source: `engine PLACE`, or `engine 2 PLACE` if attempt 2
/// began to use the key. A place has no number and a space in front.
pub(super) fn stored(source: &str, attempt: u32) -> Cow<'_, str> {
    match source.strip_prefix(ENGINE) {
        Some(place) if attempt > 1 => Cow::Owned(format!("{ENGINE}{attempt} {place}")),
        _ => Cow::Borrowed(source),
    }
}

/// Whether a stored text is of this source.
pub(super) fn is_of(stored: &str, source: &str) -> bool {
    numbered(stored).1 == source
}

/// The attempt that began to use a key, and the key's source.
fn numbered(stored: &str) -> (u32, Cow<'_, str>) {
    let split = stored.strip_prefix(ENGINE).and_then(|rest| rest.split_once(' '));
    match split.and_then(|(number, place)| Some((number.parse().ok()?, place))) {
        Some((attempt, place)) => (attempt, Cow::Owned(format!("{ENGINE}{place}"))),
        None => (1, Cow::Borrowed(stored)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        for source in ["engine idempotency-key", "engine /2 a", "engine /a b", "client x-key 01ab"]
        {
            for attempt in [1, 2, 13] {
                let text = stored(source, attempt);
                let kept = if source.starts_with(ENGINE) { attempt } else { 1 };
                assert_eq!(numbered(&text), (kept, source.into()), "{text}");
                assert!(is_of(&text, source) && !is_of(&text, "engine x"), "{text}");
            }
        }
    }
}
