//! What is blocked now, as a message that can be sent to the network team as it stands.

use super::{Blocked, Requirement, Sources, table::from};
use crate::{
    net::address::is_private,
    readers::{
        paper::{BOLD, DIM, Look, PLAIN, Paper, YELLOW},
        summary::{count, rfc3339},
    },
};

/// Evidence lines of one flow.
const EVIDENCE: usize = 3;

/// The exit code: 0 nothing is blocked, 1 something is, 2 something failed that no rule can mend.
pub fn exit_code(requirements: &[Requirement]) -> u8 {
    let has = |list: fn(&Requirement) -> &Vec<Blocked>| requirements.iter().any(|one| !list(one).is_empty());
    if has(|one| &one.blocked) {
        1
    } else if has(|one| &one.otherwise_lost) {
        2
    } else {
        0
    }
}

/// Renders it; `title` says of which catalogue and from where.
pub fn render(requirements: &[Requirement], sources: &Sources, title: &str, look: Look) -> String {
    let mut paper = Paper::new(look);
    let flows: usize = requirements.iter().map(|one| one.blocked.len()).sum();
    match flows {
        0 => paper.line(0, "", "Nothing is blocked by rules, routes or appliances at the moment.", BOLD),
        _ => {
            let words = format!(
                "Please let {} pass that our App Service Environment needs; at the moment nothing answers or something answers in the peer's place.",
                count(flows, "flow")
            );
            paper.line(0, "", &words, BOLD);
            paper.line(0, "from: ", &from(sources), PLAIN);
        }
    }
    for requirement in requirements {
        requirement.blocked.iter().for_each(|blocked| one(&mut paper, requirement, blocked, sources));
    }
    let lost: Vec<&str> =
        requirements.iter().flat_map(|one| &one.otherwise_lost).map(|blocked| blocked.id.as_str()).collect();
    if !lost.is_empty() {
        paper.heading(format_args!("Lost as well, and no matter of rules: {}", lost.join(", ")), YELLOW);
    }
    paper.text.push('\n');
    paper.line(0, "", title, DIM);
    paper.text
}

fn one(paper: &mut Paper, requirement: &Requirement, blocked: &Blocked, sources: &Sources) {
    let addresses: Vec<String> = blocked.seen.addresses.iter().map(ToString::to_string).collect();
    let to = if addresses.is_empty() { String::new() } else { format!(" ({})", addresses.join(", ")) };
    let (host, port) = &blocked.to;
    paper.heading(format_args!("{} {port} to {host}{to}", requirement.protocol), BOLD);
    let is_inside = !blocked.seen.addresses.is_empty() && blocked.seen.addresses.iter().all(|one| is_private(*one));
    let source = if is_inside || sources.public.is_empty() {
        sources.subnet_words().join(", ")
    } else {
        sources.public.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    paper.line(2, "seen there as: ", &source, PLAIN);
    let tag = requirement.tag.map(|tag| format!("; service tag {tag}")).unwrap_or_default();
    paper.line(
        2,
        "needed for:    ",
        &format!("{} ({}){tag}", requirement.purpose, requirement.severity.label()),
        PLAIN,
    );
    if let Some(since) = blocked.seen.since {
        paper.line(2, "since:         ", &rfc3339(since), PLAIN);
    }
    if let Some((label, summary)) = &blocked.seen.cause {
        paper.line(2, "what happens:  ", &format!("{summary} ({label})"), PLAIN);
    }
    for line in blocked.seen.evidence.iter().take(EVIDENCE) {
        paper.line(4, "- ", line, DIM);
    }
}
