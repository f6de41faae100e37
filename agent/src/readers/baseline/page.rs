//! What changed since a baseline, for people: the worst first, with the evidence of this look and what to do.

use std::collections::BTreeSet;

use ase_probes::cause::Cause;

use super::{Baseline, Change, Comparison, Kind, Subject};
use crate::{
    engine::snapshot::Snapshot,
    readers::paper::{BOLD, DIM, GREEN, Look, PLAIN, Paper, RED, YELLOW, verdict_style},
};

/// Endpoints that broke and are shown with their evidence; of the others the line alone.
const WITH_EVIDENCE: usize = 3;

/// Renders what changed since a baseline, with the evidence of this look.
pub fn render(baseline: &Baseline, comparison: &Comparison, snapshot: &Snapshot, look: Look) -> String {
    let mut paper = Paper::new(look);
    paper.line(0, "", &comparison.sentence(&baseline.at), verdict_style(comparison.exit_code()));
    for kind in Kind::LISTED {
        let changes: Vec<_> = comparison.changes.iter().filter(|change| change.kind == kind).collect();
        if !changes.is_empty() {
            let style = match kind {
                Kind::Broke => RED,
                Kind::Worse | Kind::Untested => YELLOW,
                Kind::Better => GREEN,
                Kind::Otherwise | Kind::New | Kind::Gone | Kind::Unchanged => BOLD,
            };
            paper.heading(format_args!("{}  {}", kind.heading(), changes.len()), style);
            changed(&mut paper, snapshot, &changes);
        }
    }
    if !comparison.notes.is_empty() {
        paper.heading("OTHERWISE ABOUT THE TWO LOOKS", DIM);
        comparison.notes.iter().for_each(|note| paper.line(2, "- ", note, PLAIN));
    }
    if !snapshot.left_out.is_empty() {
        paper.heading("NOT ASKED NOW", YELLOW);
        snapshot.left_out.iter().for_each(|line| paper.line(2, "- ", line, PLAIN));
    }
    paper.text
}

/// The changes of one kind; evidence for the first that are bad, advice once for each cause.
fn changed(paper: &mut Paper, snapshot: &Snapshot, changes: &[&Change]) {
    let is_bad = |change: &Change| matches!(change.kind, Kind::Broke | Kind::Worse);
    let mut causes = BTreeSet::new();
    for (number, change) in changes.iter().enumerate() {
        paper.line(2, "", &change.words(), PLAIN);
        if !is_bad(change) {
            continue;
        }
        causes.extend(change.now.as_ref().and_then(|now| Cause::from_label(now.why.as_deref()?)));
        if number < WITH_EVIDENCE || paper.look.verbose {
            evidence(snapshot, change).iter().for_each(|line| paper.line(4, "- ", line, DIM));
        }
    }
    for cause in causes {
        let definition = cause.definition();
        let words = format!("{} ({}; owner: {})", definition.next_words(), definition.label, definition.owner.label());
        paper.line(2, "next: ", &words, BOLD);
    }
}

fn evidence(snapshot: &Snapshot, change: &Change) -> Vec<String> {
    match change.subject {
        Subject::Endpoint => {
            let view = snapshot.endpoints.iter().find(|view| *view.endpoint.id.0 == *change.id);
            view.and_then(|view| view.last.as_ref()).map(|visit| visit.evidence()).unwrap_or_default()
        }
        Subject::Name => {
            let view = snapshot.names.iter().find(|view| *view.name == *change.id);
            view.and_then(|view| view.published.as_ref()).map(|one| one.reason.clone()).into_iter().collect()
        }
        Subject::Misgiving => Vec::new(),
    }
}
