//! Everything that listens, or asks another agent that listens.

pub mod server;
pub mod witness;
