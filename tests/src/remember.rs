//! Writes to a store as fast as it commits, until killed, and prints each number once it is on the disk: whoever kills it
//! can check that nothing printed is lost.

use std::{io::Write as _, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use ase_agent::{
    model::catalog::EndpointId,
    risk::{
        estimate::{ClockTime, Level, RiskMemory},
        hysteresis::{Hysteresis, Standing},
        steps::ClockMemory,
    },
    store::{
        Store,
        rows::{IncidentRow, OutcomeRow, StateRow},
    },
};
use ase_probes::{class::Class, clock};

/// What the outage clock grows by in one step, in seconds.
pub const STEP: u64 = 30;

/// Begins where the store stands and goes on for ever.
///
/// # Errors
/// When the store cannot be used, or stops taking what it is given.
pub fn run(folder: &Path) -> Result<ExitCode> {
    let mut store = Store::open(folder, clock::wall()).context("the store opens")?;
    let recalled = store.recalled().map_or(0, |state| state.memory.risk.sequence);
    let mut output = std::io::stdout().lock();
    writeln!(output, "recalled {recalled} resets {}", store.view().resets)?;
    for step in recalled + 1.. {
        for number in 0..20 {
            store.add(outcome(step, number));
        }
        store.report(incident(step));
        store.save(state(step));
        ensure!(store.flush(), "the store takes nothing");
        writeln!(output, "{step}")?;
        output.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fills an empty store with what the first `steps` steps leave in it, but for outcomes.
///
/// # Errors
/// When the store cannot be used, or does not take it.
pub fn fill(folder: &Path, steps: u64) -> Result<()> {
    let mut store = Store::open(folder, clock::wall()).context("the store opens")?;
    for step in 1..=steps {
        store.report(incident(step));
        // The queue to the writer is bounded; what does not fit would be dropped.
        ensure!(step % 500 != 0 || store.flush(), "the store takes nothing");
    }
    store.save(state(steps));
    ensure!(store.flush(), "the store takes nothing");
    Ok(())
}

fn incident(step: u64) -> IncidentRow {
    IncidentRow { id: step.to_string(), cause: "dropped".to_owned(), since: at(step), ..IncidentRow::default() }
}

fn at(step: u64) -> Duration {
    Duration::from_secs(1_800_000_000 + STEP * step)
}

/// The clocks after this many steps of a whole outage.
pub fn state(step: u64) -> StateRow {
    let clock = ClockTime { outage: (STEP * step) as f64, loss: 1.0, healthy: 0 };
    let since_change = Duration::from_secs(STEP);
    let risk = RiskMemory { clocks: [(Class::Sql, clock)].into(), level: Level::Info, since_change, sequence: step };
    let standing = Hysteresis { standing: Standing::Down, bad: 3, good: 0, tested: false };
    let standings = [(EndpointId("db:1433".into()), standing)].into();
    StateRow { saved: at(step), memory: ClockMemory { risk, standings } }
}

fn outcome(step: u64, number: u64) -> OutcomeRow {
    OutcomeRow {
        endpoint: format!("db-{number}:1433").into(),
        class: "sql".into(),
        result: "failed".into(),
        cause: Some("dropped".into()),
        phase: Some("connect".into()),
        began: at(step),
        ended: at(step) + Duration::from_secs(7),
        count: 1,
        took: Duration::from_secs(7),
    }
}
