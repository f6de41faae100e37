//! What has to be allowed, for people.

use super::{Requirement, Sources};
use crate::readers::{
    paper::{BOLD, DIM, Look, PLAIN, Paper, YELLOW},
    summary::{count, rfc3339},
};

/// Addresses of one requirement that are named, unless all are wanted.
const NAMED: usize = 8;

/// Renders it; `title` says of which catalogue it is.
pub fn render(requirements: &[Requirement], sources: &Sources, title: &str, look: Look) -> String {
    let mut paper = Paper::new(look);
    paper.line(0, "", &format!("{} to allow; {title}", count(requirements.len(), "requirement")), BOLD);
    paper.line(0, "from: ", &from(sources), PLAIN);
    requirements.iter().for_each(|requirement| one(&mut paper, requirement));
    paper.text.push('\n');
    let note = "addresses are what was seen, not what is promised: a rule by name or service tag outlives them";
    paper.line(0, "", note, DIM);
    paper.text
}

/// The sources, in words.
pub(super) fn from(sources: &Sources) -> String {
    let public: Vec<String> = sources.public.iter().map(ToString::to_string).collect();
    let public = if public.is_empty() { "OUTBOUND_ADDRESS".to_owned() } else { public.join(", ") };
    format!("{} inside the network and over a VPN; {public} towards the Internet", sources.subnet_words().join(", "))
}

fn one(paper: &mut Paper, requirement: &Requirement) {
    let tag = requirement.tag.map(|tag| format!("  tag {tag}")).unwrap_or_default();
    let (protocol, ports) = (requirement.protocol, requirement.ports_words(","));
    paper.heading(format_args!("{protocol} {ports}  {}{tag}", requirement.name), BOLD);
    paper.line(
        2,
        "",
        &format!("{}, {}; {}", requirement.severity.label(), requirement.purpose, requirement.source),
        DIM,
    );
    if requirement.is_open {
        paper.line(2, "", "nobody said which hosts these are: `ase-agent profile show` says how", YELLOW);
    }
    if requirement.hosts.len() != 1 || !requirement.hosts.contains(&requirement.name) {
        let hosts: Vec<&str> = requirement.hosts.iter().map(String::as_str).collect();
        if !hosts.is_empty() {
            paper.line(2, "asked for it: ", &hosts.join(", "), PLAIN);
        }
    }
    if !requirement.observed.is_empty() {
        paper.line(2, "seen: ", &seen(requirement, paper.look.verbose), PLAIN);
    }
    if let Some(worked) = requirement.worked {
        let words = format!("{} to {}, as the state directory remembers", rfc3339(worked.first), rfc3339(worked.last));
        paper.line(2, "worked: ", &words, PLAIN);
    }
}

fn seen(requirement: &Requirement, whole: bool) -> String {
    let shown = if whole { requirement.observed.len() } else { NAMED };
    let each = requirement.observed.iter().take(shown).map(|(address, when)| {
        let last = if when.first == when.last { String::new() } else { format!(" to {}", rfc3339(when.last)) };
        format!("{address} ({}{last})", rfc3339(when.first))
    });
    let more = requirement.observed.len().saturating_sub(shown);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (looks, changes) = requirement.churn;
    let churn = if looks > 1 { format!("; {} in {looks} looks", count(changes, "change")) } else { String::new() };
    format!("{}{more}{churn}", each.collect::<Vec<_>>().join(", "))
}
