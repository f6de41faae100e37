//! Everything that listens, or asks another agent that listens.

pub mod management;
pub mod metadata;
pub mod pages;
pub mod server;
pub mod thread;
pub mod witness;
