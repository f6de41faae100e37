//! What `trace` prints: the hops of all flows, what the way shows, and what the target itself said.

mod hops;
mod sense;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use ase_probes::{
    trace::{Inside, Walk, Width},
    verdict::{Finding, Verdict},
};

pub use self::{
    hops::{Hops, letter, render_live},
    sense::Remark,
};
use crate::{
    model::visit::{Untested, Visit},
    readers::paper::{Look, PLAIN, Paper, YELLOW, verdict_style},
};

/// Columns of the word before a line of the answer.
const LEAD: usize = 10;

/// Everything that was learned of one way.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// HOST:PORT as it was asked.
    pub target: &'a str,
    /// What an ordinary connect brought.
    pub visit: &'a Visit,
    /// Where the way leads; `None` where the name gave no address that may be asked.
    pub address: Option<SocketAddr>,
    /// One walk for each flow.
    pub walks: &'a [Walk],
    /// What passes on the way; `None` where that was not asked.
    pub width: Option<&'a Width>,
    /// How far packets of an established connection come; empty where that was not asked.
    pub inside: &'a [Inside],
    /// Names of those who answered, as DNS servers give them; `None` where that was not asked.
    pub names: Option<&'a BTreeMap<IpAddr, String>>,
}

/// Nobody has a name.
static NAMELESS: BTreeMap<IpAddr, String> = BTreeMap::new();

impl Traced<'_> {
    /// 0 the target answers and nothing is odd, 1 it does not, 2 it does but something is odd, 3 nothing could be judged.
    pub fn exit_code(&self) -> u8 {
        match self.visit.result {
            Ok(Verdict::Healthy) if !self.remarks().iter().any(|remark| remark.is_odd) => 0,
            Ok(Verdict::Healthy | Verdict::Degraded(_)) => 2,
            Ok(Verdict::Failed(_)) => 1,
            Ok(Verdict::Inconclusive(_)) | Err(_) => 3,
        }
    }

    /// What the way shows, in sentences.
    pub fn remarks(&self) -> Vec<Remark> {
        sense::remarks(self)
    }

    /// What the table of hops is made of.
    fn hops(&self, address: SocketAddr) -> Hops<'_> {
        Hops { target: self.target, address, walks: self.walks, names: self.names.unwrap_or(&NAMELESS) }
    }

    /// The word for what the connect brought.
    pub(super) fn status(&self) -> &'static str {
        match self.visit.result {
            Ok(Verdict::Healthy) => "accepted",
            Ok(Verdict::Degraded(_)) => "degraded",
            Ok(Verdict::Failed(_)) => "failed",
            Ok(Verdict::Inconclusive(_)) | Err(_) => "unknown",
        }
    }

    /// What was found, where something was.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.visit.result.map_or_else(Untested::finding, |verdict| verdict.finding())
    }
}

/// Renders everything.
pub fn render(traced: &Traced<'_>, look: Look) -> String {
    let mut paper = Paper::new(look);
    match traced.address.map(|address| traced.hops(address)) {
        Some(hops) => {
            hops.write_title(&mut paper);
            hops.write_table(&mut paper);
        }
        None => paper.line(0, "", &format!("no way to {}", traced.target), PLAIN),
    }
    paper.text.push('\n');
    for remark in traced.remarks() {
        let (sign, style) = if remark.is_odd { ("! ", YELLOW) } else { ("- ", PLAIN) };
        paper.line(0, sign, &remark.text, style);
    }
    write_verdict(&mut paper, traced);
    paper.text
}

/// Renders what changed since an earlier way.
pub fn render_changes(since: &str, changes: &[String], look: Look) -> String {
    let mut paper = Paper::new(look);
    let end = if changes.is_empty() { " nothing changed" } else { "" };
    paper.line(0, "since     ", &format!("{since}:{end}"), PLAIN);
    changes.iter().for_each(|change| paper.line(LEAD, "", change, PLAIN));
    paper.text
}

fn write_verdict(paper: &mut Paper, traced: &Traced<'_>) {
    let status = traced.status();
    let says = match (&traced.visit.result, traced.finding()) {
        (Err(untested), None) => format!("{status}: {}", untested.reason()),
        (_, None) => status.to_owned(),
        (_, Some(finding)) => {
            let definition = finding.cause.definition();
            let (side, confidence) = (finding.side.label(), finding.confidence.label());
            format!("{status}: {} ({side}, {confidence}): {}", definition.label, definition.summary)
        }
    };
    paper.line(0, "connect   ", &says, verdict_style(traced.exit_code()));
    traced.visit.evidence().iter().for_each(|line| paper.line(LEAD, "", line, PLAIN));
    if let Some(definition) = traced.finding().map(|finding| finding.cause.definition()) {
        paper.line(0, "owner     ", definition.owner.label(), PLAIN);
        paper.line(0, "next      ", definition.next_step, PLAIN);
    }
}

#[cfg(test)]
mod tests;
