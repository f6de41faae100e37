//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.
//!
//! `config -> catalog -> schedule -> visit -> snapshot -> readers`: each noun is a module, ARCHITECTURE.md has the map.

pub mod address;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod compare;
pub mod daemon;
pub mod flow_budget;
pub mod logs;
pub mod monitor;
pub mod schedule;
pub mod settings;
pub mod snapshot;
pub mod visit;
