//! `ase-agent completions` and `ase-agent man`: what shells and `man` read, made from the one definition of the command line.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::commands::{failure::Failure, stdout};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManPages {
    /// Write a page for each command into this folder, instead of the first page to standard output
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Prints the completions of this command line for a shell.
///
/// # Errors
/// What the system says of standard output.
pub fn complete(arguments: &Completions, mut command: Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "ase-agent", &mut script);
    stdout::print(&String::from_utf8(script).map_err(Failure::other)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the page of the program, or writes those of all its commands.
///
/// # Errors
/// A folder that cannot be written.
pub fn man(arguments: &ManPages, mut command: Command) -> Result<ExitCode, Failure> {
    // Only a whole tree knows the full names of its commands.
    command.build();
    let Some(folder) = &arguments.folder else {
        stdout::print(&page(&command).map_err(Failure::other)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    write_pages(&command, folder).map_err(|error| Failure::Other(format!("{}: {error}", folder.display())))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `ase-agent.1`, `ase-agent-check.1` and so on.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{}.1", name_of(command))), page(command)?)?;
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    commands.into_iter().try_for_each(|command| write_pages(command, folder))
}

/// The name of a command with those above it.
fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn page(command: &Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::commands::cli::Cli;

    #[test]
    fn each_command_has_a_page_with_its_exit_codes_and_examples() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = ManPages { folder: Some(folder.path().join("man1")) };
        man(&arguments, Cli::command()).expect("the folder is writable");
        let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).expect("a page");
        assert!(page("ase-agent.1").contains("ase\\-agent\\-check(1)"), "{}", page("ase-agent.1"));
        for name in ["ase-agent.1", "ase-agent-check.1", "ase-agent-config-check.1", "ase-agent-lint-explain.1"] {
            let page = page(name);
            assert!(page.starts_with(".ie"), "{name}: {page}");
            assert!(page.contains("Exit codes:") && page.contains("Example"), "{name}: {page}");
        }
    }
}
