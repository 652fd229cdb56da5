//! The entities of the state API, one file each. Field names are the wire's (`docs/API_VERSION.md`).

mod channel;
mod event;
mod execution;
mod goal;
mod json;
mod knowledge;
mod memory;
mod overview;
mod page;
mod session;
mod stats;
mod time;
mod user;
pub(crate) mod words;

pub use channel::{Channel, ChannelStatus, ChannelType, ChannelUpdate, NewChannel};
pub use event::{Actor, Event, EventKind};
pub use execution::{
    EffectClass, Execution, ExecutionFilter, ExecutionStatus, ExecutionUpdate, Origin, ToolCall,
};
pub use goal::{Goal, GoalStatus, GoalUpdate, NewGoal, Priority};
pub use json::{Json, JsonError, MAX_DEPTH};
pub use knowledge::Knowledge;
pub use memory::{Importance, Memory, MemoryType, MemoryUpdate, NewMemory};
pub use overview::{
    AnswerDetail, Excerpt, ExecutionDetail, ExecutionSummary, RequestDetail, SearchFilter,
    SessionFilter, SessionSummary,
};
pub use page::Page;
pub use session::{NewSession, Session, SessionStatus, SessionUpdate};
pub use stats::Stats;
pub use time::Timestamp;
pub use user::{NewUser, User};
