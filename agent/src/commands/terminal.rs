//! What a terminal shows while a look is under way: how far it is, what is waited for, and what is already known. Where
//! there is no terminal it shows nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anstream::{AutoStream, ColorChoice};
use ase_probes::{cause::Cause, clock};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    engine::{events::Progress, monitor::Monitor},
    model::diagnosis::Incident,
    readers::report::Look,
};

/// An incident that stood unchanged for so long is told: while failures still come in, its component grows.
const STANDS: Duration = Duration::from_secs(1);
/// The clock on the line moves so often, and what is behind it is looked at no more often.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// The line of progress, and what was told above it.
pub(super) struct Terminal {
    bar: ProgressBar,
    endpoints: usize,
    told: Told,
}

impl Terminal {
    /// Nothing is known of so many endpoints.
    pub(super) fn new(endpoints: usize) -> Self {
        Self { bar: bar(endpoints as u64), endpoints, told: Told::default() }
    }

    /// Shows how far the loop is.
    pub(super) fn watch(&mut self, monitor: &Monitor) {
        if self.bar.is_hidden() {
            return;
        }
        for line in self.told.news(monitor.incidents().iter().map(|incident| &**incident), clock::now()) {
            self.bar.println(line);
        }
        self.bar.set_message(sentence(&monitor.progress(), self.endpoints));
    }

    /// Clears the line: the report takes its place.
    pub(super) fn close(self) {
        self.bar.finish_and_clear();
    }
}

/// A line that says what is waited for, in commands that know no more of how far they are, and what is known above it.
pub(super) struct Line(ProgressBar);

impl Line {
    /// Nothing is waited for yet.
    pub(super) fn begin() -> Self {
        Self(bar(0))
    }

    /// Shows what is waited for, or what came last.
    pub(super) fn show(&self, words: &str) {
        self.0.set_message(words.to_owned());
    }

    /// Shows what is waited for below what is known already.
    pub(super) fn show_below(&self, known: &str, words: &str) {
        self.0.set_prefix(known.to_owned());
        self.show(words);
    }

    /// How whatever is shown may look; `None` where nobody sees it.
    pub(super) fn look(&self) -> Option<Look> {
        let (height, width) = console::Term::stderr().size_checked().unzip();
        let colour = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
        (!self.0.is_hidden()).then_some(Look { width, height, colour, ..Look::default() })
    }

    /// Clears the line, and what stands above it.
    pub(super) fn close(self) {
        self.0.finish_and_clear();
    }
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{prefix}{elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// How far it is, in one line.
fn sentence(progress: &Progress, endpoints: usize) -> String {
    let Progress { settled, failed, .. } = *progress;
    let lost = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let waits: Vec<String> = [
        (progress.visits, "answer", "answers"),
        (progress.planned, "visit to begin", "visits to begin"),
        (progress.names, "name to be compared", "names to be compared"),
        (progress.measurements, "measurement", "measurements"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
    .collect();
    let waiting =
        if waits.is_empty() { "thinking it over".to_owned() } else { format!("waiting for {}", waits.join(", ")) };
    format!("{settled} of {endpoints} settled{lost}; {waiting}")
}

/// Incidents, by what they say: since when they stand, and whether they were told.
#[derive(Debug, Default)]
struct Told(BTreeMap<(Cause, String, usize), (Instant, bool)>);

impl Told {
    /// The lines for incidents that have stood long enough; each is told once.
    fn news<'a>(&mut self, open: impl Iterator<Item = &'a Incident>, now: Instant) -> Vec<String> {
        let keys: Vec<_> = open
            .map(|incident| (incident.finding.cause, incident.component.clone(), incident.endpoints.len()))
            .collect();
        self.0.retain(|key, (_, told)| *told || keys.contains(key));
        let mut lines = Vec::new();
        for key in keys {
            let (cause, component, endpoints) = (key.0, key.1.clone(), key.2);
            let (since, told) = self.0.entry(key).or_insert((now, false));
            if !*told && now.duration_since(*since) >= STANDS {
                *told = true;
                let plural = if endpoints == 1 { "endpoint" } else { "endpoints" };
                lines.push(format!("so far: {}: {component}, {endpoints} {plural}", cause.label()));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_line_says_what_is_waited_for_and_nothing_else() {
        let progress = Progress { settled: 6, failed: 2, visits: 135, planned: 0, names: 40, measurements: 1 };
        let line = "6 of 141 settled, 2 failed; waiting for 135 answers, 40 names to be compared, 1 measurement";
        assert_eq!(sentence(&progress, 141), line);
        let over = Progress { settled: 141, ..Progress::default() };
        assert_eq!(sentence(&over, 141), "141 of 141 settled; thinking it over");
    }

    #[test]
    fn an_incident_is_told_once_and_only_when_it_stands() {
        let snapshot = sample::snapshot();
        let incident = &*snapshot.incidents.open[0];
        let (mut told, start) = (Told::default(), clock::now());
        assert!(told.news([incident].into_iter(), start).is_empty());
        let mut grown = incident.clone();
        grown.endpoints.push(grown.endpoints[0].clone());
        assert!(told.news([&grown].into_iter(), start + STANDS).is_empty(), "it grew a moment ago");
        let lines = told.news([&grown].into_iter(), start + 2 * STANDS);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(&incident.component), "{lines:?}");
        assert!(told.news([&grown].into_iter(), start + 3 * STANDS).is_empty());
    }
}
