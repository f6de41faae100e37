//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.

pub mod catalog;
pub mod explain;
#[cfg(test)]
mod golden;
pub mod metrics;
pub mod reading;
pub mod report;
#[cfg(test)]
mod sample;
pub mod settings;
pub mod snapshot;
pub mod status;
pub mod visit;
pub mod web;
