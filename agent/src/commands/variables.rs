//! Environment variables of the command line: one that is set and empty counts as unset, as a unit or a compose file
//! leaves it.

use clap::{Arg, Command};

/// The command line without the variables that are empty now.
pub fn without_empty(command: Command) -> Command {
    command.mut_args(unset_if_empty).mut_subcommands(without_empty)
}

fn unset_if_empty(argument: Arg) -> Arg {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    if argument.get_env().is_some_and(is_empty) { argument.env(None) } else { argument }
}
