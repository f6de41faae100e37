//! How far away the answers are made: by the hop limit with which they arrive, and by the one with which they are
//! asked for. A box on the path that answers for the peer is nearer than the peer.

use std::{fmt, net::IpAddr, time::Duration};

use futures_util::future::join_all;

use crate::{
    attempt::Attempt,
    egress::Shape,
    evidence::Millis,
    knock::{Answer, Knock, knock},
};

/// Flows that [`distance`] opens at most: one to see that somebody accepts, ten that narrow 255 hop limits down to one, and
/// one that asks again.
pub const DISTANCE_FLOWS: usize = 12;
/// Flows that [`path`] opens at most.
pub const PATH_FLOWS: usize = MAX_HOPS as usize;
/// Hops that [`path`] looks at: ways within Azure and to its edge are shorter, and so are most across the Internet.
const MAX_HOPS: u8 = 24;
/// SYNs that [`path`] sends at the same time: three rounds see the whole way, and a router that limits its ICMP errors
/// (Linux: one per second and peer after a burst of six) still answers each hop's one.
const BATCH: u8 = 8;
/// Hop limits that operating systems start with: 64 Linux and macOS, 128 Windows, 255 routers.
const INITIAL: [u8; 3] = [64, 128, 255];
/// The longest wait for one answer, below the 1 s after which the SYN is sent again.
const PATIENCE: Duration = Duration::from_millis(900);
/// The wait for one answer is this much longer than twice the time of the first: room for a queue on the way.
const MARGIN: Duration = Duration::from_millis(150);

/// How far the one who answers a SYN is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// The hop limit (TTL) with which the SYN-ACK arrives.
    pub hop_limit: u8,
    /// Routers between: what is missing to the next of 64, 128 and 255, with which operating systems start.
    pub hops: u8,
    /// Flows that were opened to find out.
    pub flows: usize,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer arrives with hop limit {}: {} routers lie between", self.hop_limit, self.hops)
    }
}

/// Measures the hop limit with which the peer's SYN-ACK arrives, by accepting none that has less: a few short connects
/// in turn, at most [`DISTANCE_FLOWS`] of at most 0.9 s each. `None` where nobody accepts, the deadline passes or a
/// packet was lost on the way to the result.
pub async fn distance(attempt: &Attempt<'_>) -> Option<Distance> {
    let mut bisect = Bisect { attempt, patience: PATIENCE, flows: 0 };
    let first = bisect.accept(1).await?;
    bisect.patience = PATIENCE.min(first.elapsed * 2 + MARGIN);
    let (mut low, mut high) = (1, 256);
    // Almost every answer starts with 64, 128 or 255 and loses less than 32 on its way.
    for guess in [65, 129, 33, 97, 224] {
        if guess > low && guess < high && high - low > 32 {
            bisect.narrow(guess, &mut low, &mut high).await?;
        }
    }
    while high - low > 1 {
        bisect.narrow((low + high) / 2, &mut low, &mut high).await?;
    }
    // A lost packet looks like an answer from too far away; asking once more finds out.
    if high < 256 && bisect.accept(u8::try_from(high).ok()?).await?.answer == Answer::Open {
        return None;
    }
    let hop_limit = u8::try_from(low).ok()?;
    let initial = INITIAL.into_iter().find(|initial| *initial >= hop_limit)?;
    Some(Distance { hop_limit, hops: initial - hop_limit, flows: bisect.flows })
}

struct Bisect<'a> {
    attempt: &'a Attempt<'a>,
    patience: Duration,
    flows: usize,
}

impl Bisect<'_> {
    /// Whether an answer arrives with this hop limit or more; `None` when it cannot be asked any more.
    async fn accept(&mut self, hop_limit: u8) -> Option<Knock> {
        if self.flows == DISTANCE_FLOWS || self.attempt.deadline.remaining() < self.patience {
            return None;
        }
        self.flows += 1;
        let shape = Shape { min_hop_limit: Some(hop_limit), ..self.attempt.shape };
        let knock = knock(&Attempt { shape, ..*self.attempt }, self.patience).await;
        matches!(knock.answer, Answer::Open | Answer::Silent).then_some(knock)
    }

    async fn narrow(&mut self, middle: u16, low: &mut u16, high: &mut u16) -> Option<()> {
        let knock = self.accept(u8::try_from(middle).ok()?).await?;
        *(if knock.answer == Answer::Open { low } else { high }) = middle;
        Some(())
    }
}

/// One SYN that could travel so far and no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The hop limit it was sent with: 1 reaches the next hop.
    pub hop_limit: u8,
    /// What came back.
    pub knock: Knock,
}

impl Step {
    /// The router that let the packet end there, if it said so.
    pub fn router(&self) -> Option<IpAddr> {
        match &self.knock.answer {
            Answer::Icmp(icmp) if icmp.is_time_exceeded() => icmp.offender,
            Answer::Icmp(_) | Answer::Open | Answer::Refused | Answer::Silent | Answer::Unasked(_) => None,
        }
    }

    /// Whether somebody accepted, refused or rejected the connection itself.
    fn is_answer(&self) -> bool {
        match &self.knock.answer {
            Answer::Open | Answer::Refused => true,
            Answer::Icmp(icmp) => !icmp.is_time_exceeded(),
            Answer::Silent | Answer::Unasked(_) => false,
        }
    }
}

/// The way to the peer's port, as far as its routers name themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// One step per hop limit, from 1 on.
    pub steps: Vec<Step>,
}

impl Path {
    /// The first step that was accepted, refused or rejected: as many hops away is whoever did that.
    pub fn answered(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.is_answer())
    }

    /// Whether packets come back to a router that they have left: a routing loop.
    pub fn loops(&self) -> bool {
        let routers: Vec<_> = self.steps.iter().filter_map(Step::router).collect();
        routers.iter().enumerate().any(|(at, router)| {
            let later = &routers[at + 1..];
            later.iter().position(|other| other != router).is_some_and(|left| later[left..].contains(router))
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routers = self.steps.iter().filter_map(|step| Some((step.hop_limit, step.router()?)));
        let routers: Vec<_> = routers.map(|(hops, router)| format!("{hops}: {router}")).collect();
        match (routers.is_empty(), self.loops()) {
            (true, _) => f.write_str("no router on the way names itself")?,
            (false, false) => write!(f, "routers on the way: {}", routers.join(", "))?,
            (false, true) => write!(f, "routers send the packets in a circle: {}", routers.join(", "))?,
        }
        match self.answered() {
            Some(Step { hop_limit, knock }) => {
                write!(f, "; at hop {hop_limit}: {} after {}", knock.answer, Millis(knock.elapsed))
            }
            None => write!(f, "; no answer within {} hops", self.steps.len()),
        }
    }
}

/// Sends SYNs that may travel 1, 2, 3 and more hops, eight at a time for at most 0.9 s, until somebody answers for the
/// peer; at most [`PATH_FLOWS`]. A router that lets a packet end names itself, if it wants to.
pub async fn path(attempt: &Attempt<'_>) -> Path {
    let mut path = Path::default();
    for first in (1..=MAX_HOPS).step_by(usize::from(BATCH)) {
        if attempt.deadline.remaining().is_zero() {
            break;
        }
        path.steps.extend(join_all((first..first + BATCH).map(|hop_limit| step(attempt, hop_limit))).await);
        if path.answered().is_some() || path.loops() {
            break;
        }
    }
    path
}

/// Sends one SYN that may travel so many hops; it waits at most 0.9 s.
pub async fn step(attempt: &Attempt<'_>, hop_limit: u8) -> Step {
    let shape = Shape { hop_limit: Some(hop_limit), ..attempt.shape };
    Step { hop_limit, knock: knock(&Attempt { shape, ..*attempt }, PATIENCE).await }
}

#[cfg(test)]
mod tests;
