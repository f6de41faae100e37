//! Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.
//!
//! `config -> catalog -> schedule -> visit -> snapshot -> readers`: each noun is a module, ARCHITECTURE.md has the map.

pub mod address;
pub mod archive;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod compare;
pub mod comparing;
pub mod comparisons;
pub mod config;
pub mod daemon;
pub mod dhcp_lease;
pub mod diagnosing;
pub mod diagnosis;
pub mod dns_survey;
pub mod duration;
pub mod early;
pub mod explain;
pub mod flow_budget;
pub mod follow_up;
#[cfg(test)]
mod golden;
pub mod held_flows;
pub mod history;
pub mod host;
pub mod hysteresis;
#[cfg(test)]
mod invariants_tests;
pub mod keeping;
pub mod known;
pub mod logs;
pub mod metrics;
pub mod monitor;
pub mod name_rounds;
pub mod nameresolver;
pub mod policy;
pub mod profile;
pub mod quorum;
pub mod reading;
pub mod report;
pub mod resolver_health;
pub mod resolver_load;
pub mod resolver_trial;
pub mod resolver_watch;
pub mod risk;
pub mod risk_clock;
#[cfg(test)]
mod sample;
pub mod schedule;
pub mod settings;
pub mod snapshot;
pub mod status;
pub mod store;
pub mod visit;
pub mod web;
pub mod worker_dns;
