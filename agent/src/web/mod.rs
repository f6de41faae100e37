//! Everything that listens, or asks another agent that listens.

pub mod live;
pub mod management;
pub mod pages;
pub mod server;
mod site;
pub mod thread;
pub mod witness;
