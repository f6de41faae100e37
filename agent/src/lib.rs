//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.

pub mod catalog;
pub mod flow_budget;
pub mod schedule;
pub mod settings;
pub mod snapshot;
pub mod visit;
