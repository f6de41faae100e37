//! Scores of a detector: how late it sees what is true, what it misses, and how often it alarms for nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Report,
    detectors::Detector,
    timeline::{Day, Span},
};

/// An alarm that begins this long after the end of an episode still belongs to it, in seconds.
const AFTERGLOW: f64 = 600.0;

/// What a detector did over all days of a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    days: u32,
    delays: Vec<f64>,
    missed: u32,
    false_alarms: u32,
}

/// The scores of a detector in a scenario. Delays are seconds from the beginning of what is true.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Episodes that were there to see.
    pub episodes: u32,
    /// Episodes in which it did not alarm.
    pub missed: u32,
    /// The median delay; null if it saw none.
    pub delay_median: Option<f64>,
    /// The 95th percentile of the delay.
    pub delay_p95: Option<f64>,
    /// Alarms outside all episodes, per day.
    pub false_alarms_per_day: f64,
}

impl Tally {
    /// Adds a day and when the detector alarmed on it.
    pub(super) fn add(&mut self, day: &Day, alarms: &[Span]) {
        self.days += 1;
        for (_, (start, end)) in &day.episodes {
            let seen = alarms.iter().find(|(on, _)| (*start..end + AFTERGLOW).contains(on));
            match seen {
                Some((on, _)) => self.delays.push(on - start),
                None => self.missed += 1,
            }
        }
        let belongs =
            |(on, _): &&Span| day.episodes.iter().any(|(_, (start, end))| (*start..end + AFTERGLOW).contains(on));
        self.false_alarms += alarms.iter().filter(|alarm| !belongs(alarm)).count() as u32;
    }

    /// Sums up.
    pub(super) fn cell(mut self) -> Cell {
        self.delays.sort_by(f64::total_cmp);
        Cell {
            episodes: self.missed + self.delays.len() as u32,
            missed: self.missed,
            delay_median: quantile(&self.delays, 0.5),
            delay_p95: quantile(&self.delays, 0.95),
            false_alarms_per_day: f64::from(self.false_alarms) / f64::from(self.days.max(1)),
        }
    }
}

/// The nearest rank of sorted values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// One line per scenario, one column per detector.
pub(super) fn table(report: &Report, days: u32) -> String {
    let mut text = format!(
        "{days} simulated days per scenario; delay median / 95th percentile, missed episodes, false alarms per day\n\n"
    );
    let mut scenarios: Vec<&str> = report.cells.iter().map(|row| row.scenario).collect();
    scenarios.dedup();
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(Detector::ALL.iter().map(|detector| detector.name().to_owned()));
    for scenario in scenarios {
        let cells = Detector::ALL.iter().filter_map(|detector| report.cell(scenario, detector.name())).map(words);
        rows.push(std::iter::once(scenario.to_owned()).chain(cells).collect());
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..=Detector::ALL.len()).map(|column| width(column).unwrap_or_default()).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
        writeln!(text, "{}", cells.join("  ").trim_end()).expect("text takes text");
    }
    text
}

fn words(cell: &Cell) -> String {
    let mut parts = Vec::new();
    if let (Some(median), Some(p95)) = (cell.delay_median, cell.delay_p95) {
        parts.push(format!("{median:.0}/{p95:.0} s"));
    }
    if cell.missed > 0 {
        parts.push(format!("{} of {} missed", cell.missed, cell.episodes));
    }
    if cell.false_alarms_per_day > 0.0 {
        parts.push(format!("{:.1}/d", cell.false_alarms_per_day));
    }
    if parts.is_empty() { "silent".to_owned() } else { parts.join(", ") }
}
