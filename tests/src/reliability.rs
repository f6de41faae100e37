//! `ase-lab faults`: hostile peers, hostile clients and faults of the machine in one table, each with what must become of it
//! as data.

mod bytes;
mod cgroup;
mod chain;
mod clients;
mod daemon;
mod damage;
mod expected;
mod machine;
mod outcome;
mod peer;
mod row;
mod soak;
mod surroundings;
mod table;
mod visits;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use ase_probes::clock;
use clap::Args;

use self::{
    clients::Client,
    machine::MachineRow,
    row::{Named, Row},
    table::Table,
};

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
    /// Let a daemon run for so many minutes among healthy and hostile endpoints and clients instead, and print the slopes of
    /// its memory, descriptors and threads
    #[arg(long, value_name = "MINUTES")]
    soak: Option<f64>,
    /// With --soak: 1 000 endpoints and 500 hostile clients, in a memory cgroup of 128 MiB (needs root)
    #[arg(long, requires = "soak")]
    cgroup: bool,
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
    let folder = arguments.data.clone().unwrap_or_else(folder);
    let filter = arguments.filter.as_deref();
    let peers: Vec<Row> = chosen(&folder, filter)?;
    if let Some(minutes) = arguments.soak {
        let lasting = Duration::from_secs_f64(minutes.clamp(0.1, 600.0) * 60.0);
        let (endpoints, clients) = if arguments.cgroup { (1000, 500) } else { (200, 50) };
        return soak::run(soak::Plan { lasting, endpoints, clients, in_cgroup: arguments.cgroup }, &peers);
    }
    let clients: Vec<Client> = chosen(&folder.join("clients"), filter)?;
    let machine: Vec<MachineRow> = chosen(&folder.join("machine"), filter)?;
    ensure!(!(peers.is_empty() && clients.is_empty() && machine.is_empty()), "no row is called so");
    let start = clock::now();
    let (mut outcomes, panics) = visits::play(peers)?;
    let (clients, machine) = thread::scope(|scope| {
        let clients = scope.spawn(|| clients::play(clients));
        let machine = machine::play(machine);
        (clients.join(), machine)
    });
    outcomes.extend(clients.map_err(|_| anyhow!("a client's own play panicked"))??);
    outcomes.extend(machine?);
    let table = Table { outcomes, panics, took: start.elapsed() };
    println!("{}", table.render(arguments.rows));
    if let Some(file) = &arguments.report {
        let text = serde_json::to_string_pretty(&table.report())? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::from(u8::from(!table.holds())))
}

/// The rows of a folder whose kind is the word, or whose name holds it.
fn chosen<T: Named>(folder: &Path, filter: Option<&str>) -> Result<Vec<T>> {
    let is_chosen = |row: &T| {
        let called = row.called();
        let (kind, name) = called.split_once(": ").unwrap_or_default();
        filter.is_none_or(|filter| kind == filter || name.contains(filter))
    };
    Ok(row::read::<T>(folder)?.into_iter().filter(is_chosen).collect())
}
