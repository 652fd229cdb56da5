//! A call beside a recorded one that it could be mistaken for, and is not.

use proxy_core::difference::between;
use proxy_core::difference::list::{Differences, DifferentPart};
use proxy_core::policy::decision::Guarded;
use serde::Serialize;
use store::call::Call;
use store::{ComparedCall, LikeCall, Reader};
use uuid::Uuid;

/// A recorded call, and where it differs from another one.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedWith {
    /// Its execution.
    pub execution_id: Uuid,
    /// Where they differ.
    #[serde(flatten)]
    pub differences: Differences,
}

/// The call beside the holder of its key.
pub(super) fn with_holder(
    reader: &Reader,
    call: &Call,
    execution_id: Uuid,
    guarded: &Guarded,
) -> Result<Option<ComparedWith>, store::Error> {
    let stored = reader.stored_input(execution_id)?;
    Ok(stored.map(|stored| {
        let fields = |name: &str| guarded.counts_under_key(name);
        let differences = between(&stored, &call.input, Some(guarded), &fields);
        ComparedWith { execution_id, differences }
    }))
}

/// The call beside the newest like it.
pub(super) fn with_like(
    reader: &Reader,
    call: &Call,
    guarded: &Guarded,
) -> Result<Option<ComparedWith>, store::Error> {
    let explicit = call.key.as_ref().is_some_and(|key| key.explicit);
    let fields = |name: &str| {
        if explicit { guarded.counts_under_key(name) } else { guarded.counts(name) }
    };
    let key = call.key.as_ref().map(|key| key.text.as_str());
    let like = reader.newest_like(call)?;
    Ok(like.map(|like| {
        let differences = between(&like.input, &call.input, Some(guarded), &fields);
        ComparedWith::with_like(&like, key, differences)
    }))
}

/// A recorded execution beside the newest like it that was recorded before. `None`: there is none,
/// or it is not a call through the proxy.
pub fn compare(reader: &Reader, execution_id: Uuid) -> Result<Option<ComparedWith>, store::Error> {
    let compared = reader.compared(execution_id)?;
    Ok(compared.map(|ComparedCall { input, key, like }| {
        let differences = between(&like.input, &input, None, &|_| true);
        ComparedWith::with_like(&like, key.as_deref(), differences)
    }))
}

impl ComparedWith {
    /// `differences` are those of the two requests, to which this adds those of their identities.
    fn with_like(like: &LikeCall, key: Option<&str>, mut differences: Differences) -> Self {
        // Derived keys differ where the contents do.
        let explicit = |key: Option<&str>| key.is_some_and(|key| !key.starts_with("auto:"));
        let keys = [like.key.as_deref(), key];
        if keys.into_iter().any(explicit) && keys[0] != keys[1] {
            differences.add(DifferentPart::Key, None);
        }
        if !like.same_principal {
            differences.add(DifferentPart::Credentials, None);
        }
        if !like.same_repeat {
            differences.add(DifferentPart::Repeat, None);
        }
        Self { execution_id: like.execution_id, differences }
    }
}
