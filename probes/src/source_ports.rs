//! The same question from several source ports, some of them again and again. Where one of two appliances or paths is
//! broken, the flow's hash decides: a port that fails always fails, one that works always works. Loss knows no port.

use std::{fmt, time::Duration};

use futures_util::future::join_all;

use crate::{
    attempt::Attempt, cause::Cause, egress::Shape, local_facts::PortRange, probe::Probe, tls::Trust, verdict::Verdict,
};

/// Flows that [`contrast`] opens at most.
pub const CONTRAST_FLOWS: usize = FIRST_ROUND + 2 * REPEATS + FRESH;
/// Source ports that are tried once, at the same time: where half of the paths fail, all 6 agree by chance in 1 of 32
/// cases.
const FIRST_ROUND: usize = 6;
/// Times that one failing and one working port are tried again, one after the other: loss of one half looks like a property
/// of the two ports in 1 of 64 cases.
const REPEATS: usize = 3;
/// Ports that are tried for the first time beside the repeats: where half of the paths fail, all 4 fail in 1 of 16 cases,
/// and together with the order of the first ones (1 of 64 for each) hardly ever.
const FRESH: usize = 4;
/// The time one of the first tries gets: SYNs at 0, 1 and 2 s, so that loss alone seldom makes it fail.
const FIRST_PATIENCE: Duration = Duration::from_millis(2500);
/// The time a repeated try gets: SYNs at 0 and 1 s.
const REPEAT_PATIENCE: Duration = Duration::from_millis(1500);
/// Ports that Linux gives out by default (`ip_local_port_range` in the kernel's ip-sysctl.rst), where the caller knows no
/// better.
pub const DEFAULT_PORTS: PortRange = PortRange { first: 32_768, last: 60_999 };

/// One try from one source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// The source port.
    pub source_port: u16,
    /// Whether the peer proved itself.
    pub works: bool,
    /// Why it did not; [`Cause::None`] where it did.
    pub cause: Cause,
    /// Whether the port was tried for the first time after others had been let through.
    pub fresh: bool,
}

/// What the tries say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every port works.
    AllWork,
    /// Every port fails.
    AllFail,
    /// Some ports fail, and whether one does is a property of the port.
    PerPort,
    /// The flows that came first have a place, and no other gets one, whatever its port: a table with entries that last.
    Entries,
    /// Some tries fail, from the same port as from others.
    Random,
    /// Too little was tried: this machine could not, or the deadline passed.
    Unknown,
}

/// What the tries from one source port brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PortTries {
    port: u16,
    tries: usize,
    works: usize,
    fresh: bool,
}

impl PortTries {
    fn is_mixed(&self) -> bool {
        self.works > 0 && self.works < self.tries
    }

    /// Whether the port was tried again and never changed its mind.
    fn repeats(&self, good: bool) -> bool {
        self.tries > 1 && self.works == if good { self.tries } else { 0 }
    }
}

/// What each source port brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortOutcomes {
    /// The tries, in the order they began; those that this machine itself prevented are left out.
    pub tries: Vec<Try>,
}

impl PortOutcomes {
    /// The ports that were tried, each once.
    fn ports(&self) -> Vec<PortTries> {
        let mut ports: Vec<PortTries> = Vec::new();
        for attempt in &self.tries {
            let at = ports.iter().position(|known| known.port == attempt.source_port).unwrap_or_else(|| {
                ports.push(PortTries { port: attempt.source_port, tries: 0, works: 0, fresh: attempt.fresh });
                ports.len() - 1
            });
            ports[at].tries += 1;
            ports[at].works += usize::from(attempt.works);
        }
        ports
    }

    /// What the tries say together. [`Pattern::PerPort`] needs a failing and a working port that were both tried again
    /// and never changed their mind. A table of flows shows the same, but serves who comes first: [`Pattern::Entries`].
    pub fn pattern(&self) -> Pattern {
        let works = self.tries.iter().filter(|attempt| attempt.works).count();
        let ports = self.ports();
        let mixed = ports.iter().any(PortTries::is_mixed);
        let repeated = |good| ports.iter().any(|port| port.repeats(good));
        match (ports.len(), works) {
            (0 | 1, _) => Pattern::Unknown,
            (_, 0) => Pattern::AllFail,
            (_, works) if works == self.tries.len() => Pattern::AllWork,
            _ if mixed => Pattern::Random,
            _ if repeated(true) && repeated(false) => by_port(ports),
            _ => Pattern::Unknown,
        }
    }
}

/// Ports that never change their mind: by a hash, which spares some whenever they come, or by a table. Ports are tried from
/// the lowest on.
fn by_port(mut ports: Vec<PortTries>) -> Pattern {
    ports.sort_by_key(|port| (port.fresh, port.port));
    let (fresh, first): (Vec<PortTries>, Vec<PortTries>) = ports.into_iter().partition(|port| port.fresh);
    let served = first.iter().filter(|port| port.works > 0).count();
    let in_order = first.iter().take(served).all(|port| port.works > 0);
    let is_shut = !fresh.is_empty() && fresh.iter().all(|port| port.works == 0);
    match (is_shut, in_order, served) {
        (true, true, _) => Pattern::Entries,
        // One that overtook the others explains it as well as a hash.
        (true, false, 1) => Pattern::Unknown,
        _ => Pattern::PerPort,
    }
}

impl fmt::Display for PortOutcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pattern, ports) = (self.pattern(), self.ports());
        f.write_str(match pattern {
            Pattern::AllWork => "it works from every source port",
            Pattern::AllFail => "it fails from every source port",
            Pattern::PerPort => "each source port always works or always fails",
            Pattern::Entries => "the flows that came first work again and again, and no new one does",
            Pattern::Random => "the same source port works and fails",
            Pattern::Unknown => "too few source ports could be tried",
        })?;
        // Where all go one way the ports themselves say nothing.
        if matches!(pattern, Pattern::AllWork | Pattern::AllFail) {
            return write!(f, ": {} were tried", ports.len());
        }
        let ports: Vec<_> = ports.iter().map(|one| format!("{} {} of {}", one.port, one.works, one.tries)).collect();
        if ports.is_empty() { Ok(()) } else { write!(f, ": {}", ports.join(", ")) }
    }
}

/// What is asked from each port.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The question.
    pub probe: &'a Probe,
    /// The authorities that certificates are verified against.
    pub trust: &'a Trust,
}

/// Asks from 6 source ports of the range `ports`, then three times again from one that failed
/// and one that worked, and beside those from 4 fresh ones; at most [`CONTRAST_FLOWS`], and about 7 s where flows are
/// dropped. The nonce chooses the ports.
pub async fn contrast(asked: Asked<'_>, attempt: &Attempt<'_>, ports: PortRange) -> PortOutcomes {
    let chosen = choose(ports, attempt.nonce, FIRST_ROUND);
    let mut fresh = choose(ports, attempt.nonce.rotate_left(29), FRESH);
    fresh.retain(|port| !chosen.contains(port));
    let once = |port: &u16| try_from(asked, attempt, *port, FIRST_PATIENCE, attempt.nonce);
    let firsts = chosen.iter().map(once);
    let mut tries: Vec<Try> = join_all(firsts).await.into_iter().flatten().collect();
    let first = |works| tries.iter().find(|attempt| attempt.works == works).map(|attempt| attempt.source_port);
    if let (Some(good), Some(bad)) = (first(true), first(false)) {
        let again = join_all([good, bad].map(|port| repeat(asked, attempt, port)));
        let (again, fresh) = futures_util::future::join(again, join_all(fresh.iter().map(once))).await;
        tries.extend(again.into_iter().flatten());
        tries.extend(fresh.into_iter().flatten().map(|attempt| Try { fresh: true, ..attempt }));
    }
    PortOutcomes { tries }
}

async fn repeat(asked: Asked<'_>, attempt: &Attempt<'_>, port: u16) -> Vec<Try> {
    let mut tries = Vec::new();
    for turn in 1..=REPEATS as u32 {
        if attempt.deadline.remaining() < REPEAT_PATIENCE {
            break;
        }
        let nonce = attempt.nonce.rotate_left(turn * 11);
        tries.extend(try_from(asked, attempt, port, REPEAT_PATIENCE, nonce).await);
    }
    tries
}

/// One try; `None` where this machine prevented it, for example because the port is in use.
async fn try_from(asked: Asked<'_>, attempt: &Attempt<'_>, port: u16, patience: Duration, nonce: u64) -> Option<Try> {
    let shape = Shape { source_port: Some(port), ..attempt.shape };
    let deadline = attempt.deadline.at_most(patience);
    let verdict = asked.probe.run(&Attempt { shape, deadline, nonce, ..*attempt }, asked.trust).await.verdict;
    let works = match verdict {
        Verdict::Healthy | Verdict::Degraded(_) => true,
        Verdict::Failed(_) => false,
        Verdict::Inconclusive(_) => return None,
    };
    let cause = if works { None } else { verdict.finding() }.map_or(Cause::None, |finding| finding.cause);
    Some(Try { source_port: port, works, cause, fresh: false })
}

/// Ports spread over the range, so that no simple hash gives all of them the same path.
fn choose(range: PortRange, nonce: u64, how_many: usize) -> Vec<u16> {
    let count = range.count() as u32;
    let step = count / how_many as u32;
    let mut ports: Vec<u16> = (0..how_many as u32)
        .map(|turn| {
            let offset = (nonce.rotate_right(turn * 9) & 0xffff) as u32 % step.max(1);
            range.first + (turn * step + offset).min(count - 1) as u16
        })
        .collect();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests;
