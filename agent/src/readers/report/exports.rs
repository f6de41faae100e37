//! The exports in the report: how old they are, what is wrong with the files, and the findings by name.

use super::{DIM, PLAIN, Paper, RED, YELLOW};
use crate::{engine::snapshot::Snapshot, readers::exports};

/// Findings that are written out, unless all are wanted.
const NAMED: usize = 6;

/// Writes the section, where the configuration names exports.
pub(super) fn write(paper: &mut Paper, snapshot: &Snapshot) {
    let Some(title) = exports::title(snapshot) else { return };
    let (findings, wrong) = (exports::findings(snapshot), exports::wrong(snapshot));
    let style = match (exports::is_threatened(snapshot), findings.is_empty() && wrong.is_empty()) {
        (true, _) => RED,
        (false, true) => DIM,
        (false, false) => YELLOW,
    };
    paper.heading(format_args!("EXPORTED RULES  {title}"), style);
    wrong.iter().for_each(|wrong| paper.line(2, "wrong:  ", wrong, YELLOW));
    let shown = if paper.look.verbose { findings.len() } else { NAMED };
    for finding in findings.iter().take(shown) {
        paper.line(2, "", &exports::line(snapshot, finding), PLAIN);
        if let Some(fix) = finding.fix.as_ref().filter(|_| paper.look.verbose) {
            paper.command(4, "type: ", fix);
        }
    }
    let more = findings.len().saturating_sub(shown);
    if more > 0 {
        paper.line(2, "", &format!("({more} more with -v; `ase-agent lint` says all)"), DIM);
    }
}
