//! The part of the report about DNS: names whose two answers should worry somebody, the servers, this host.

use std::collections::BTreeMap;

use super::{PLAIN, Paper, RED, YELLOW};
use crate::{
    engine::snapshot::Snapshot,
    readers::{advice, resolver_health},
    resolvers::compare::{Comparison, Worry},
};

/// Names of one kind that are listed; of the others the number.
const LISTED: usize = 5;

/// Writes it; nothing where all is well.
pub(super) fn write(paper: &mut Paper, snapshot: &Snapshot) {
    compared(paper, snapshot);
    for health in resolver_health::of(snapshot) {
        let remarks = health.remarks();
        if !remarks.is_empty() {
            paper.heading(format_args!("DNS  server {}", health.server), YELLOW);
            remarks.iter().for_each(|remark| paper.line(2, "- ", remark, PLAIN));
        }
    }
    let findings = snapshot.host_dns.findings(&snapshot.resolvers);
    if !findings.is_empty() {
        paper.heading("DNS  this host", YELLOW);
        findings.iter().for_each(|finding| paper.line(2, "- ", finding, PLAIN));
    }
}

/// One heading for all names that are led astray in the same way.
fn compared(paper: &mut Paper, snapshot: &Snapshot) {
    let compared = snapshot.names.iter().filter(|view| view.published.is_some()).count();
    let mut groups: BTreeMap<(Worry, String, &str), (Vec<&str>, &Comparison)> = BTreeMap::new();
    for view in snapshot.names.iter() {
        if let Some(comparison) = view.published.as_ref().filter(|comparison| comparison.worry > Worry::Fine) {
            let sure = advice::sure_of(&view.name, snapshot).map(|sure| format!(" ({})", sure.label()));
            let class = format!("{}{}", comparison.class.label(), sure.unwrap_or_default());
            let key = (comparison.worry, class, comparison.reason.as_str());
            groups.entry(key).or_insert((Vec::new(), comparison)).0.push(&view.name);
        }
    }
    for ((worry, class, reason), (names, comparison)) in groups.into_iter().rev() {
        let style = if worry == Worry::Bad { RED } else { YELLOW };
        match names.as_slice() {
            [name] => paper.heading(format_args!("DNS  {name}: {class}"), style),
            _ => {
                paper.heading(format_args!("DNS  {} of {compared} names: {class}", names.len()), style);
                names.iter().take(LISTED).for_each(|name| paper.line(2, "", name, PLAIN));
                if names.len() > LISTED {
                    paper.line(2, "", &format!("and {} more", names.len() - LISTED), PLAIN);
                }
            }
        }
        paper.line(2, "why:   ", reason, PLAIN);
        if let Some(advice) = comparison.class.advice() {
            paper.line(2, "next:  ", advice, PLAIN);
        }
    }
}
