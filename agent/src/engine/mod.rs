//! The only owner of what changes in time: who is due, what is under way, what is known, and the snapshot of it.

pub mod monitor;
pub mod publishing;
pub mod schedule;
pub mod snapshot;
pub mod state;
