//! One file for each subcommand: arguments in, exit code out.

pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod explain;
pub mod failure;
pub mod history;
pub mod import;
pub mod lint;
mod log_filter;
pub mod logs;
pub mod name_rounds;
pub mod nameresolver;
pub mod nslookup;
pub mod pages;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod reloads;
pub mod run;
mod seen;
pub mod service_manager;
pub mod stdout;
pub mod tcpping;
mod terminal;
pub mod trace;
pub mod variables;
