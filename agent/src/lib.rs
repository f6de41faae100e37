//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.

pub mod catalog;
pub mod settings;
pub mod snapshot;
pub mod visit;
