//! The way of one flow to a peer, hop by hop, as an unprivileged process can see it: packets that may travel only so far, and
//! the kernel's error queue. A flow keeps its addresses and ports, so that a balancing router sends all of it one way.

mod inside;
mod throw;
mod width;

use std::{net::IpAddr, time::Duration};

pub use self::{
    inside::{Inside, Sign, inside},
    width::{Narrow, Swallowed, Width, width},
};
use crate::{
    attempt::Attempt,
    egress::Shape,
    hops::{Path, Step},
    knock::{Answer, knock},
};

/// The longest wait for one answer, below the 1 s after which a SYN is sent again.
const LONGEST: Duration = Duration::from_millis(900);
/// The shortest wait: routers take their time for ICMP.
const SHORTEST: Duration = Duration::from_millis(300);
/// Hops in a row that may stay silent before a peer that does not answer at all is given up.
const SILENT_HOPS: usize = 5;
/// Source ports that are tried where one is taken.
const PORTS: u16 = 8;

/// With which packets a flow is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// SYNs.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Method {
    /// Returns the word used in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hops at most.
    pub hops: u8,
    /// Packets for each hop at most: the next is sent where the one before brought nothing.
    pub tries: u8,
    /// Whether the peer is known to answer. Where it is not, five silent hops in a row end the walk.
    pub answers: bool,
}

/// The way of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// With which packets.
    pub method: Method,
    /// The flow's own port.
    pub source_port: u16,
    /// What came back from each hop.
    pub path: Path,
}

impl Walk {
    /// The router that a packet ended at after so many hops, if it named itself.
    pub fn router(&self, hop_limit: u8) -> Option<IpAddr> {
        self.step(hop_limit)?.router()
    }

    /// What came back for packets of so many hops.
    pub fn step(&self, hop_limit: u8) -> Option<&Step> {
        self.path.steps.iter().find(|step| step.hop_limit == hop_limit)
    }

    /// The last hop that answered in any way.
    pub fn last_heard(&self) -> Option<&Step> {
        self.path.steps.iter().rfind(|step| !matches!(step.knock.answer, Answer::Silent | Answer::Unasked(_)))
    }
}

/// Walks towards the attempt's peer, one hop after the other, from one source port; `watch` sees the
/// walk so far as each hop is settled. It ends where somebody answers for the peer, in a circle, at the limits or at the attempt's deadline.
pub async fn walk(attempt: &Attempt<'_>, method: Method, limits: Limits, watch: &dyn Fn(&Walk)) -> Walk {
    let first = attempt.shape.source_port.unwrap_or_default();
    let mut walk = Walk { method, source_port: first, path: Path::default() };
    let mut patience = Patience::default();
    for hop_limit in 1..=limits.hops {
        if attempt.deadline.remaining().is_zero() {
            break;
        }
        let mut step = ask(attempt, &walk, hop_limit, patience.for_next()).await;
        while hop_limit == 1 && is_taken(&step) && walk.source_port < first.saturating_add(PORTS) {
            walk.source_port += 1;
            step = ask(attempt, &walk, hop_limit, patience.for_next()).await;
        }
        for _ in 1..limits.tries {
            if step.knock.answer == Answer::Silent {
                step = ask(attempt, &walk, hop_limit, patience.for_next()).await;
            }
        }
        patience.learn(&step);
        walk.path.steps.push(step);
        watch(&walk);
        if walk.path.answered().is_some() || walk.path.loops() || is_dead(&walk.path, limits) {
            break;
        }
    }
    walk
}

async fn ask(attempt: &Attempt<'_>, walk: &Walk, hop_limit: u8, patience: Duration) -> Step {
    let shape = Shape { hop_limit: Some(hop_limit), source_port: Some(walk.source_port), ..attempt.shape };
    let attempt = Attempt { shape, ..*attempt };
    let knock = match walk.method {
        Method::Tcp => knock(&attempt, patience).await,
        Method::Udp => throw::throw(&attempt, patience).await,
    };
    Step { hop_limit, knock }
}

/// Whether this machine itself could not send, for example because the port is taken.
fn is_taken(step: &Step) -> bool {
    matches!(step.knock.answer, Answer::Unasked(_))
}

/// Whether nothing was heard for so long that nothing will be.
fn is_dead(path: &Path, limits: Limits) -> bool {
    let silent = path.steps.iter().rev().take_while(|step| step.knock.answer == Answer::Silent).count();
    let cannot = path.steps.last().is_some_and(is_taken);
    cannot || (!limits.answers && silent >= SILENT_HOPS)
}

/// How long an answer is waited for: several times what the slowest one took.
#[derive(Default)]
struct Patience {
    slowest: Option<Duration>,
}

impl Patience {
    fn for_next(&self) -> Duration {
        self.slowest.map_or(LONGEST, |slowest| (slowest * 3 + SHORTEST).min(LONGEST))
    }

    fn learn(&mut self, step: &Step) {
        if matches!(step.knock.answer, Answer::Icmp(_) | Answer::Open | Answer::Refused) {
            self.slowest = self.slowest.max(Some(step.knock.elapsed));
        }
    }
}

#[cfg(test)]
mod tests;
