//! One file for each subcommand: arguments in, exit code out.

pub mod check;
pub mod cli;
pub mod daemon;
pub mod logs;
pub mod name_rounds;
