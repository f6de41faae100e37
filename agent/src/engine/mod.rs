//! The only owner of what changes in time: who is due, what is under way, what is known, and the snapshot of it.

pub mod courtesy;
pub mod lateness;
pub mod look;
pub mod machine;
pub mod monitor;
pub mod plan;
pub mod publishing;
pub mod pulse;
pub mod room;
pub mod schedule;
pub mod snapshot;
pub mod state;
