//! `ase-lab faults`: hostile peers in one table, each with the verdict that it must get as data.

mod bytes;
mod chain;
mod expected;
mod outcome;
mod peer;
mod row;
mod table;
mod visits;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use ase_probes::clock;
use clap::Args;

use self::{row::Row, table::Table};

/// Arguments of `faults`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only rows whose kind is this word or whose name holds it
    filter: Option<String>,
    /// Print every row, not only those that are not as expected
    #[arg(long)]
    rows: bool,
    /// Write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Take the rows from the files of this folder instead of those of the bench
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// The folder of the bench's own rows.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reliability")
}

/// Plays the rows and prints the table.
///
/// # Errors
/// When the rows cannot be read or played, or none is chosen.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rows = row::read(arguments.data.as_deref().unwrap_or(&folder()))?;
    let chosen: Vec<Row> = rows.into_iter().filter(|row| is_chosen(row, arguments.filter.as_deref())).collect();
    ensure!(!chosen.is_empty(), "no row is called so");
    let start = clock::now();
    let (outcomes, panics) = visits::play(chosen)?;
    let table = Table { outcomes, panics, took: start.elapsed() };
    println!("{}", table.render(arguments.rows));
    if let Some(file) = &arguments.report {
        let text = serde_json::to_string_pretty(&table.report())? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::from(u8::from(!table.holds())))
}

fn is_chosen(row: &Row, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| row.kind.label() == filter || row.name.contains(filter))
}
