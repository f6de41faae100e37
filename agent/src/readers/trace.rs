//! What `trace` prints: the hops of all flows in one table, what the way shows, and what the target itself said.

mod sense;

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    hops::Step,
    knock::Answer,
    trace::{Inside, Walk, Width},
    verdict::{Finding, Verdict},
};

pub use self::sense::Remark;
use crate::model::visit::{Untested, Visit};

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
}

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

/// Who answered from a hop, with the best time: `None` for silence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Router(IpAddr),
    Peer(&'static str),
    Other(String),
    Nobody,
}

impl Who {
    fn of(step: &Step) -> Self {
        match &step.knock.answer {
            Answer::Open => Self::Peer("accepts"),
            Answer::Refused => Self::Peer("refuses"),
            Answer::Icmp(icmp) => step.router().map_or_else(|| Self::Other(icmp.to_string()), Self::Router),
            Answer::Silent => Self::Nobody,
            Answer::Unasked(trouble) => Self::Other(format!("not asked: {trouble}")),
        }
    }

    fn words(&self, address: Option<SocketAddr>) -> String {
        match self {
            Self::Router(router) => router.to_string(),
            Self::Peer(what) => {
                format!("{what} as {}", address.map(|address| address.ip().to_string()).unwrap_or_default())
            }
            Self::Other(words) => words.clone(),
            Self::Nobody => "silent".to_owned(),
        }
    }
}

/// Renders everything.
pub fn render(traced: &Traced<'_>) -> String {
    let mut text = match traced.address {
        Some(address) => format!("way to {} at {}, {}\n", traced.target, address.ip(), flows(traced.walks)),
        None => format!("no way to {}\n", traced.target),
    };
    if !traced.walks.is_empty() {
        text.push_str(&table(traced));
    }
    text.push('\n');
    for remark in traced.remarks() {
        let sign = if remark.is_odd { '!' } else { '-' };
        _ = writeln!(text, "{sign} {}", remark.text);
    }
    text.push_str(&verdict(traced));
    text
}

/// Renders what changed since an earlier way.
pub fn render_changes(since: &str, changes: &[String]) -> String {
    if changes.is_empty() {
        return format!("since     {since}: nothing changed\n");
    }
    let mut text = format!("since     {since}:\n");
    changes.iter().for_each(|change| _ = writeln!(text, "          {change}"));
    text
}

/// The flows in words: how many by which method, and from which ports.
fn flows(walks: &[Walk]) -> String {
    let name = |walk: &Walk| format!("{} {}", walk.method.label(), walk.source_port);
    format!("flows from {}", walks.iter().map(name).collect::<Vec<_>>().join(", "))
}

/// A line for each answer from each hop, with the flows that got it.
fn table(traced: &Traced<'_>) -> String {
    let mut text = format!("\n{:>4}  {:<40} {:>10}  flows\n", "hop", "who", "time");
    let hops = traced.walks.iter().filter_map(|walk| walk.path.steps.last()).map(|step| step.hop_limit).max();
    for hop in 1..=hops.unwrap_or_default() {
        let mut rows: BTreeMap<Who, (Option<Duration>, Vec<String>)> = BTreeMap::new();
        for walk in traced.walks {
            let Some(step) = walk.step(hop) else { continue };
            let (best, flows) = rows.entry(Who::of(step)).or_default();
            *best = Some(best.map_or(step.knock.elapsed, |best| best.min(step.knock.elapsed)));
            flows.push(format!("{} {}", walk.method.label(), walk.source_port));
        }
        let here = traced.walks.iter().filter(|walk| walk.step(hop).is_some()).count();
        for (at, (who, (best, flows))) in rows.into_iter().enumerate() {
            let number = if at == 0 { hop.to_string() } else { String::new() };
            let time = best.filter(|_| who != Who::Nobody).map(millis).unwrap_or_default();
            let flows = if flows.len() == here && here > 1 { "all".to_owned() } else { flows.join(", ") };
            _ = writeln!(text, "{number:>4}  {:<40} {time:>10}  {flows}", who.words(traced.address));
        }
    }
    text
}

fn verdict(traced: &Traced<'_>) -> String {
    let status = traced.status();
    let mut text = match (&traced.visit.result, traced.finding()) {
        (Err(untested), None) => format!("connect   {status}: {}\n", untested.reason()),
        (_, None) => format!("connect   {status}\n"),
        (_, Some(finding)) => {
            let definition = finding.cause.definition();
            let (side, confidence) = (finding.side.label(), finding.confidence.label());
            format!("connect   {status}: {} ({side}, {confidence}): {}\n", definition.label, definition.summary)
        }
    };
    traced.visit.evidence().iter().for_each(|line| _ = writeln!(text, "          {line}"));
    if let Some(definition) = traced.finding().map(|finding| finding.cause.definition()) {
        _ = writeln!(text, "owner     {}\nnext      {}", definition.owner.label(), definition.next_step);
    }
    text
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;
