//! The only owner of what changes in time: who is due, what is under way, what is known, and the snapshot of it.
//! [`state`] decides and is told the time; [`monitor`] is the loop around it.

pub mod announce;
pub mod courtesy;
pub mod endpoints;
pub mod environment;
pub mod events;
pub mod histogram;
pub mod judging;
pub mod lateness;
pub mod look;
pub mod machine;
pub mod monitor;
pub mod outlook;
pub mod plan;
pub mod publishing;
pub mod pulse;
pub mod room;
pub mod schedule;
pub mod snapshot;
pub mod state;
pub mod sums;
pub mod surroundings;
