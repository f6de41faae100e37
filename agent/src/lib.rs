//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.
//!
//! The folders are rooms, listed from the top floor down: a room imports only from rooms below it. ARCHITECTURE.md has the
//! map.

pub mod commands;
pub mod web;

pub mod readers;

pub mod engine;

pub mod diagnosis;
pub mod store;

pub mod early;
pub mod risk;

pub mod resolvers;
pub mod witness;

pub mod visit;

pub mod exports;

pub mod config;

pub mod imports;

pub mod lint;

pub mod model;

pub mod net;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod invariants_tests;
#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
#[cfg(test)]
mod sample;
