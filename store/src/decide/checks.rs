//! Checks of names and versions.

use store_core::key::{BLANK_KEY, is_blank};
use store_core::model::Timestamp;
use store_core::{Error, MAX_NAME};

/// Refuses a write that is based on an older version of the entity.
pub(crate) fn check_fresh(now: Timestamp, expected: Option<Timestamp>) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != now => Err(Error::Conflict(format!(
            "it was changed at {now}, after {expected}: read it again"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a key without a visible character, or one with more than [`MAX_NAME`] characters.
pub(crate) fn check_key(field: &'static str, key: &str) -> Result<(), Error> {
    if is_blank(key) {
        return Err(Error::Invalid { field, message: BLANK_KEY.to_owned() });
    }
    check_name(field, key)
}

/// Refuses an empty name, or one with more than [`MAX_NAME`] characters.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    if (1..=MAX_NAME).contains(&length) {
        return Ok(());
    }
    let message = format!("must have 1 to {MAX_NAME} characters, not {length}");
    Err(Error::Invalid { field, message })
}
