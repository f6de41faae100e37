//! Pure renderings of what is known: the snapshot in, text out.

mod advice;
pub mod allowlist;
pub mod baseline;
pub mod doctor;
pub mod explain;
pub mod exports;
mod headline;
pub mod history;
pub mod json;
pub mod knock;
pub mod links;
pub mod metrics;
pub mod nameresolver;
pub mod notes;
pub mod page;
mod paper;
pub mod portal;
pub mod preflight;
pub mod probe;
pub mod profile;
pub mod report;
pub mod resolver_health;
pub mod summary;
pub mod tcpping;
pub mod ticket;
pub mod trace;
pub mod warnings;
pub mod witness;

/// The agent's version, part of every document.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
