//! Everything that listens, or asks another agent that listens.

pub mod accepting;
mod coding;
pub mod connection;
pub mod crowd;
mod details;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod live;
pub mod management;
pub mod metadata;
mod page_routes;
pub mod pages;
mod permission;
mod refusals;
pub mod sealed;
pub mod server;
pub mod thread;
mod told;
pub mod witness;
