//! A preflight for people: the answer first, then each check with its reasons and what to do.

use anstyle::Style;

use super::{Check, Preflight, State};
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        VERSION,
        paper::{BOLD, DIM, GREEN, Look, PLAIN, Paper, RED, YELLOW, verdict_style},
        summary::rfc3339,
    },
};

/// Reasons of one check that are written out, unless all are wanted.
const SHOWN: usize = 6;

/// Renders it.
pub fn render(preflight: &Preflight, snapshot: &Snapshot, look: Look) -> String {
    let mut paper = Paper::new(look);
    let style = verdict_style(preflight.verdict().exit_code());
    paper.line(0, "", &preflight.sentence(), style);
    paper.text.push('\n');
    preflight.checks.iter().for_each(|check| one(&mut paper, check));
    if !snapshot.left_out.is_empty() {
        paper.heading("NOT ASKED", YELLOW);
        snapshot.left_out.iter().for_each(|line| paper.line(2, "- ", line, PLAIN));
    }
    paper.text.push('\n');
    let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
    let facts = format!(
        "seen from {} at {}; profile {}, cloud {}, edition {}; agent {VERSION}",
        agent.vantage,
        rfc3339(snapshot.at),
        catalog.profile,
        catalog.cloud,
        catalog.edition
    );
    paper.line(0, "", &facts, DIM);
    paper.text
}

fn one(paper: &mut Paper, check: &Check) {
    let (word, style) = said(check.state());
    paper.line(0, &format!("{word:<8}  {:<14}  ", check.title), &check.looked, style);
    let shown = if paper.look.verbose { check.reasons.len() } else { SHOWN };
    for reason in check.reasons.iter().take(shown) {
        let (word, style) = said(reason.state);
        paper.line(4, &format!("{word}: "), &reason.what, style);
        let Some(next) = &reason.next else { continue };
        match reason.owner.filter(|_| next.starts_with("az ")) {
            Some(_) => paper.command(6, "type: ", next),
            None => paper.line(6, "next: ", &owned(next, reason.owner), BOLD),
        }
    }
    let more = check.reasons.len().saturating_sub(shown);
    if more > 0 {
        paper.line(4, "", &format!("({more} more with -v)"), DIM);
    }
}

fn owned(next: &str, owner: Option<&str>) -> String {
    owner.map_or(next.to_owned(), |owner| format!("{next} (owner: {owner})"))
}

fn said(state: State) -> (&'static str, Style) {
    match state {
        State::NotGiven => ("-", DIM),
        State::Go => ("go", GREEN),
        State::Warning => ("warning", YELLOW),
        State::Open => ("open", YELLOW),
        State::NoGo => ("no-go", RED),
    }
}
