//! The cards of the open incidents on the first page, the worst first.

use askama::Template;

use super::{
    course::Course,
    markdown, past,
    text::{Html, Text},
    told::{Hit, Told},
};
use crate::{engine::snapshot::Snapshot, readers::report};

/// Evidence lines of one card; the incident's own page has all.
const EVIDENCE: usize = 6;
/// Endpoints that a card names; the others are counted.
const NAMED: usize = 6;

#[derive(Template)]
#[template(path = "incidents.html", whitespace = "minimize")]
struct Cards {
    cards: Vec<Card>,
    /// Those that were open when the last process ended, as long as this one has not looked everywhere.
    unseen: Vec<past::Entry>,
    last: Option<past::Entry>,
}

struct Card {
    told: Told,
    evidence: Vec<Text>,
    more_evidence: usize,
    hits: Vec<Hit>,
    more_hits: usize,
    markdown: Vec<Text>,
}

impl Card {
    fn of(told: Told) -> Self {
        let (evidence, hits) = (told.evidence.iter().take(EVIDENCE), told.hits.iter().take(NAMED));
        Self {
            evidence: evidence.cloned().collect(),
            more_evidence: told.evidence.len().saturating_sub(EVIDENCE),
            hits: hits.cloned().collect(),
            more_hits: told.hits.len().saturating_sub(NAMED),
            markdown: markdown::lines(&told),
            told,
        }
    }
}

/// The cards of the open incidents, the worst first.
pub(super) fn cards(snapshot: &Snapshot, course: &Course) -> Html {
    let open = report::worst_first(snapshot);
    let (unseen, before): (Vec<_>, Vec<_>) =
        past::entries(snapshot, course).into_iter().partition(|entry| entry.is_unseen);
    let last = if open.is_empty() && unseen.is_empty() { before.into_iter().next() } else { None };
    let cards = open.into_iter().map(|incident| Card::of(Told::of(incident, None, snapshot))).collect();
    Html::of(&Cards { cards, unseen, last })
}

#[cfg(test)]
mod tests;
