//! Pointers of rules that match nothing in what is recorded.

use proxy_core::policy::decide::Policy;
use proxy_core::policy::pointers::{RecordedCall, UnmatchedPointer};
use proxy_core::policy::rule::Rule;
use store::{Reader, RecentCall};

/// The pointers of all rules, or of one, that match nothing in the newest recorded calls.
pub(crate) fn unmatched(
    reader: &Reader,
    policy: &Policy,
    only: Option<&Rule>,
) -> Result<Vec<UnmatchedPointer>, store::Error> {
    if !policy.has_pointers() {
        return Ok(Vec::new());
    }
    let calls = reader.recent_calls()?.into_iter();
    let calls = calls.map(|RecentCall { rule, input, status, answer }| RecordedCall {
        rule,
        input,
        status,
        answer,
    });
    Ok(policy.unmatched_pointers(only, &calls.collect::<Vec<_>>()))
}
