//! Labelled timelines, played to the agent's own detectors and to simpler ones, and scored: how late, how often for
//! nothing, how long before the horizon. Everything is simulated time; nothing is sent.

mod agent;
mod detectors;
mod outages;
mod score;
mod timeline;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use detectors::Detector;
pub use outages::RiskScore;
pub use score::Cell;
use score::Tally;
use timeline::Scenario;

/// Days that are played per scenario unless told otherwise.
const DAYS: u32 = 20;

/// Arguments of `ase-lab evaluate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only scenarios whose name holds this text
    filter: Option<String>,
    /// Simulated days per scenario, one seed each
    #[arg(long, default_value_t = DAYS)]
    days: u32,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write each scenario's first day as a labelled timeline, JSON lines
    #[arg(long, value_name = "FOLDER")]
    timelines: Option<PathBuf>,
}

/// All results.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Detector by detector, scenario by scenario.
    pub cells: Vec<Row>,
    /// How well the risk foretells.
    pub risk: Option<RiskScore>,
}

/// One detector in one scenario.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// The detector.
    pub detector: &'static str,
    /// What it scored.
    #[serde(flatten)]
    pub cell: Cell,
}

impl Report {
    /// The cell of a detector in a scenario.
    pub fn cell(&self, scenario: &str, detector: &str) -> Option<&Cell> {
        self.cells.iter().find(|row| row.scenario == scenario && row.detector == detector).map(|row| &row.cell)
    }
}

/// Plays this many days of every scenario that holds the text.
pub fn evaluate(filter: &str, days: u32) -> Report {
    let mut cells = Vec::new();
    for scenario in Scenario::ALL.iter().filter(|scenario| scenario.name().contains(filter)) {
        let mut tallies: Vec<_> = Detector::ALL.iter().map(|detector| (*detector, Tally::default())).collect();
        for seed in 0..u64::from(days) {
            let day = timeline::day(*scenario, seed);
            let alarms = agent::play(&day, seed);
            for (detector, tally) in &mut tallies {
                tally.add(&day, &alarms[detector]);
            }
        }
        let row = |(detector, tally): (Detector, Tally)| Row {
            scenario: scenario.name(),
            detector: detector.name(),
            cell: tally.cell(),
        };
        cells.extend(tallies.into_iter().map(row));
    }
    let risk = "risk".contains(filter).then(|| outages::score(days));
    Report { cells, risk }
}

/// Prints the results; writes them where it was asked to.
///
/// # Errors
/// When a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let report = evaluate(arguments.filter.as_deref().unwrap_or_default(), arguments.days);
    print!("{}", score::table(&report, arguments.days));
    if let Some(risk) = &report.risk {
        print!("{}", risk.table());
    }
    if let Some(path) = &arguments.report {
        let text = serde_json::to_string_pretty(&report).context("results are plain numbers")?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(folder) = &arguments.timelines {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for scenario in Scenario::ALL {
            let path = folder.join(format!("{}.jsonl", scenario.name().replace([' ', '/'], "-")));
            fs::write(&path, agent::labelled(&timeline::day(scenario, 0)))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
