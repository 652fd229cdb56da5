//! Which requests are guarded and which pass; what an upstream's answer says about the effect.

pub mod decide;
pub mod decision;
pub mod glob;
mod graphql;
pub mod keyed;
mod members;
pub mod outcome;
pub mod pointers;
mod reads;
pub mod rule;
mod rule_settings;
pub mod rule_values;
mod table;
