//! Which requests are guarded and which pass; what an upstream's answer says about the effect.

pub(crate) mod comparison;
pub mod decide;
pub mod decision;
pub mod glob;
mod graphql;
pub mod keyed;
mod members;
pub mod outcome;
pub mod pointers;
mod read_names;
mod reads;
mod rpc;
pub mod rule;
mod rule_settings;
pub mod rule_values;
mod sign_in;
mod signs;
mod table;
