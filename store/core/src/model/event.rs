use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;

/// Declares words of the log. A word that this version does not know is kept as it is.
macro_rules! log_words {
    ($(#[$doc:meta])* $name:ident else $other:ident { $($(#[$vdoc:meta])* $variant:ident $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// Any other word.
            $other(Box<str>),
        }

        impl $name {
            /// Every word that this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the log and on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::$other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::$other(other.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

log_words! {
    /// What an event records (docs/TRANSACTIONS.md says when each kind is written).
    EventKind else Other {
        /// An attempt was granted.
        Claimed "claimed",
        /// An execution was recorded without a lease.
        Created "created",
        /// An execution without a lease was changed.
        Updated "updated",
        /// The holder reported the outcome in time.
        Finished "finished",
        /// The holder reported the outcome after its lease was lost.
        FinishedLate "finished-late",
        /// The holder reported the outcome after a person had decided otherwise.
        VerdictOverturned "verdict-overturned",
        /// An older attempt was reported to have run: two attempts may have.
        PossibleDuplicate "possible-duplicate",
        /// A finished attempt was reported with another outcome.
        Contradiction "contradiction",
        /// Nobody will report the outcome.
        Lost "lost",
        /// The holder of a lost lease extended it.
        Revived "revived",
        /// A retry token was redeemed.
        Released "released",
        /// A call that may have run was repeated under a rule that does not allow it.
        Doubted "doubted",
        /// A person decided the outcome.
        Verdict "verdict",
        /// Duplicates of an execution were stopped.
        Duplicates "duplicates",
        /// An answer was delivered completely.
        Delivered "delivered",
        /// An answer did not arrive, or the client left before there was one.
        Undelivered "undelivered",
        /// The key of a retry names the execution from now on.
        Named "named",
        /// The engine started.
        Boot "boot",
        /// The wall clock jumped forward.
        ClockJump "clock-jump",
        /// Old events were dropped.
        Pruned "pruned",
        /// Old bodies of answers were dropped.
        BodiesDropped "bodies-dropped",
        /// A minute's count of requests that passed without a record.
        Minute "minute",
        /// A user was created.
        UserCreated "user-created",
        /// A session was created.
        SessionCreated "session-created",
        /// A session was changed.
        SessionUpdated "session-updated",
        /// A goal was created.
        GoalCreated "goal-created",
        /// A goal was changed.
        GoalUpdated "goal-updated",
        /// A memory was created.
        MemoryCreated "memory-created",
        /// A memory was changed.
        MemoryUpdated "memory-updated",
        /// A channel was created.
        ChannelCreated "channel-created",
        /// A channel was changed.
        ChannelUpdated "channel-updated",
    }
}

log_words! {
    /// Who caused an event.
    Actor else Person {
        /// A caller of the API.
        Api "api",
        /// The proxy, for a call that went through it.
        Proxy "proxy",
        /// The engine itself.
        Engine "engine",
        /// A client of the proxy, by a retry token.
        Client "client",
        /// The holder of the API token, or a user of the machine.
        Operator "operator",
    }
}

/// One row of the append-only log: who changed what, when, under which rule and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Event {
    /// Its number; without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// `claimed`, `finished`, `verdict`, `boot`, … (docs/TRANSACTIONS.md lists them).
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub kind: EventKind,
    /// The execution that it is about.
    pub execution_id: Option<Uuid>,
    /// The session that it is about, or the execution's.
    pub session_id: Option<Uuid>,
    /// The attempt that it is about.
    pub attempt: Option<u32>,
    /// Who did it: `proxy`, `api`, `engine`, `operator`.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub actor: Actor,
    /// Details; digests stand for bodies.
    pub detail: Json,
    /// SHA-256 over this row and the hash before it, in hex.
    pub hash: String,
    /// The hash of the row before it, in hex; `None` where there is none, or it was pruned.
    pub previous: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_it_was_stored() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from(kind.as_str()), *kind);
        }
        for word in ["of-a-newer-version", ""] {
            assert_eq!(EventKind::from(word), EventKind::Other(word.into()));
            assert_eq!(EventKind::from(word).as_str(), word);
        }
        for actor in Actor::ALL {
            assert_eq!(Actor::from(actor.as_str()), *actor);
        }
        assert_eq!(serde_json::to_string(&Actor::from("Ada")).unwrap(), "\"Ada\"");
    }
}
