//! The row of a new execution: the columns that never change, and the terms of its first attempt.

use std::borrow::Cow;

use store_core::call::{Call, CallKey};
use store_core::key::{Digest, Encoder, HolderKey};
use store_core::model::{EffectClass, Origin, Timestamp};
use store_core::state::State;
use uuid::Uuid;

use crate::decide::plan::micros;
use crate::decide::upstream_key;

/// How many bytes of [`Created::digest`] are logged. Earlier versions logged 32 bytes of another digest.
pub(crate) const CREATED: usize = 16;

/// A row to be inserted.
#[derive(Debug)]
pub(crate) struct NewExecution<'a> {
    pub(crate) created: Created<'a>,
    pub(crate) state: State,
    /// In milliseconds; only for API leases.
    pub(crate) lease_ms: Option<i64>,
    pub(crate) claim_id: Option<[u8; 16]>,
    pub(crate) terms: Terms<'a>,
}

/// The columns that are never updated. Row numbers are those of the database.
#[derive(Debug)]
pub(crate) struct Created<'a> {
    pub(crate) id: Uuid,
    pub(crate) user: i64,
    pub(crate) session: i64,
    pub(crate) goal: i64,
    pub(crate) origin: Origin,
    pub(crate) tool: &'a str,
    pub(crate) input: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) principal: Option<[u8; 16]>,
    pub(crate) repeat: Option<[u8; 16]>,
    pub(crate) at: Timestamp,
}

/// The terms of an attempt; the next attempt may have other terms.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) class: EffectClass,
    pub(crate) fingerprint: Option<[u8; 16]>,
    pub(crate) content: Option<[u8; 16]>,
    /// Only if it differs from the content.
    pub(crate) literal: Option<[u8; 16]>,
    pub(crate) rule: Option<&'a str>,
    /// The source of the key, as [`super::upstream_key`] stores it.
    pub(crate) upstream_key: Option<Cow<'a, str>>,
    /// Only if it differs from the content.
    pub(crate) ruled: Option<[u8; 16]>,
}

/// A key, and how long it is held after its execution became terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRow<'a> {
    pub(crate) holder: &'a HolderKey,
    /// In microseconds. `None`: forever.
    pub(crate) window: Option<i64>,
    /// The fingerprint of its calls, if the key is a further name of its execution.
    pub(crate) named_for: Option<[u8; 16]>,
}

impl<'a> KeyRow<'a> {
    /// The key of a call whose execution it names first, or that runs again.
    pub(super) fn first(key: &'a CallKey) -> Self {
        Self { holder: &key.holder, window: key.window.map(micros), named_for: None }
    }
}

impl<'a> Terms<'a> {
    /// The terms of a proxied call. `key_attempt`: the attempt whose upstream key it sends.
    pub(super) fn of(call: &'a Call, key_attempt: u32) -> Self {
        let content = call.digests.content.short();
        let other = |digest: &Digest| Some(digest.short()).filter(|digest| *digest != content);
        Self {
            class: call.class,
            fingerprint: Some(call.digests.fingerprint.short()),
            content: Some(content),
            literal: other(&call.digests.literal),
            rule: Some(&call.rule),
            upstream_key: call
                .upstream_key
                .as_ref()
                .map(|key| upstream_key::stored(&key.source, key_attempt)),
            ruled: other(&call.digests.ruled),
        }
    }

    /// The terms of a call by the API, whose content is not compared.
    pub(super) const fn of_api(class: EffectClass, fingerprint: Option<[u8; 16]>) -> Self {
        Self {
            class,
            fingerprint,
            content: None,
            literal: None,
            rule: None,
            upstream_key: None,
            ruled: None,
        }
    }

    /// A digest over all fields.
    pub(crate) fn digest(&self) -> Digest {
        let fields = Encoder::new("asked/v1")
            .field(self.class.number().to_be_bytes())
            .optional(self.fingerprint)
            .optional(self.content)
            .optional(self.literal)
            .optional(self.rule)
            .optional(self.upstream_key.as_deref());
        // Left out where it says nothing, so that the digests of earlier versions stay the same.
        match self.ruled {
            Some(ruled) => fields.field(ruled).finish(),
            None => fields.finish(),
        }
    }
}

impl Created<'_> {
    /// A digest over all fields.
    pub(crate) fn digest(&self) -> Digest {
        [self.user, self.session, self.goal, self.origin.number()]
            .iter()
            .fold(Encoder::new("made/v2").field(self.id), |encoder, number| {
                encoder.field(number.to_be_bytes())
            })
            .field(self.tool)
            .field(self.input)
            .optional(self.key)
            .optional(self.principal)
            .optional(self.repeat)
            .field(self.at.as_micros().to_be_bytes())
            .finish()
    }
}
