//! What is special about a single look: it has an end, and where many fail alike a few are confirmed for all. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    verdict::{Phase, Verdict},
};

use crate::{
    model::{catalog::Endpoint, visit::Visit},
    visit::exchange::FAIR,
};

/// So many failures that are alike are asked again for all of them. Two could share a flaw of their own.
const FEW: usize = 3;
/// A visit in less time than this would not bear two lost packets (RFC 6298 section 2).
const WORTHWHILE: Duration = Duration::from_secs(3);
/// Endpoints that are asked once more where packets were lost. Of what each sends at least, a lost SYN and a lost request show
/// (ACKs are not repeated, and the FIN comes too late): of one packet in ten that is lost, six in 64 show.
const CLOSER: usize = 32;
/// The time that is left at least for asking more: a pause of a second, and two visits that bear two lost packets each.
const FOR_MORE: Duration = Duration::from_secs(7);
/// Before the end of a look its answers are thought over and printed.
const MARGIN: Duration = Duration::from_millis(300);

/// What one fault can take away from many endpoints at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// The servers that resolve names.
    Resolvers,
    /// Everything on one port.
    Port(u16),
}

/// What failures must have in common so that one speaks for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    shared: Shared,
    cause: Cause,
    phase: Phase,
}

/// What a visit showed to the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Through which the endpoint, or at least its name, was reached: nothing that these carry is lost for all.
    works: [Option<Shared>; 2],
    /// How it failed, if it did.
    fails: Option<Likeness>,
}

impl Shown {
    /// The same, for a failure that counts for nothing: it is not asked again.
    pub fn without_failure(self) -> Self {
        Self { fails: None, ..self }
    }

    /// Reads a visit.
    pub fn by(visit: &Visit, endpoint: &Endpoint) -> Self {
        let port = Shared::Port(endpoint.target.port);
        let resolves = visit.resolution.as_ref().map(|resolution| resolution.finding.is_none());
        let by_name = (resolves == Some(true)).then_some(Shared::Resolvers);
        match visit.result {
            Ok(Verdict::Healthy | Verdict::Degraded(_)) => Self { works: [by_name, Some(port)], fails: None },
            Ok(Verdict::Failed(finding)) => {
                let shared = if resolves == Some(false) { Shared::Resolvers } else { port };
                let (cause, phase) = (finding.cause, finding.phase);
                Self { works: [by_name, None], fails: Some(Likeness { shared, cause, phase }) }
            }
            Ok(Verdict::Inconclusive(_)) | Err(_) => Self { works: [by_name, None], fails: None },
        }
    }
}

/// What is to be done with an endpoint that failed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It waits: others are asked again for it.
    Wait(usize),
    /// It is asked again itself.
    Ask(usize),
    /// It counts as confirmed: so many others failed again in the same way.
    Confirm(usize, usize),
}

#[derive(Debug, Default)]
struct Group {
    asked: usize,
    confirmed: usize,
    contradicted: bool,
    waiting: Vec<usize>,
    /// Those that were to be asked again, and could not be before the end.
    unheard: Vec<usize>,
}

impl Group {
    fn is_confirmed(&self) -> bool {
        !self.contradicted && self.confirmed >= FEW
    }
}

/// A look: when it ends, and which failures are alike.
#[derive(Debug)]
pub struct Look {
    ends: Instant,
    groups: BTreeMap<Likeness, Group>,
    works: BTreeSet<Shared>,
    /// The failures that are asked again, and whom they speak for.
    speakers: BTreeMap<usize, Likeness>,
    /// Endpoints that were asked again because a stall hid their first answer.
    again: BTreeSet<usize>,
    /// Endpoints that are asked once more to see whether packets are lost: once in a look.
    closer: Option<BTreeSet<usize>>,
}

impl Look {
    /// A look that ends at this moment.
    pub fn until(ends: Instant) -> Self {
        Self {
            ends,
            groups: BTreeMap::new(),
            works: BTreeSet::new(),
            speakers: BTreeMap::new(),
            again: BTreeSet::new(),
            closer: None,
        }
    }

    /// When the answer is to stand.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// The time that a visit which begins now may take.
    pub fn left(&self, now: Instant) -> Duration {
        self.ends.saturating_duration_since(now).saturating_sub(MARGIN)
    }

    /// Whether an endpoint whose answer a stall hid is asked again: once, if there is time for an answer.
    pub fn asks_again(&mut self, task: usize, now: Instant) -> bool {
        self.left(now) >= WORTHWHILE && self.again.insert(task)
    }

    /// Whether endpoints may be asked once more to see whether packets are lost: once in a look, if there is time.
    pub fn may_look_closer(&self, now: Instant) -> bool {
        self.closer.is_none() && self.left(now) >= FOR_MORE
    }

    /// Which of these endpoints are asked once more to see whether packets are lost: of many some, wherever they stand in the
    /// catalogue.
    pub fn look_closer(&mut self, tasks: &[usize]) -> BTreeSet<usize> {
        let every = tasks.len().div_ceil(CLOSER).max(1);
        self.closer.insert(tasks.iter().step_by(every).copied().collect()).clone()
    }

    /// Whether an endpoint was asked once more to see whether packets are lost: it was seen to work before.
    pub fn looks_closer_at(&self, task: usize) -> bool {
        self.closer.as_ref().is_some_and(|tasks| tasks.contains(&task))
    }

    /// Takes in what a visit showed, and says what is to be done with those that failed once.
    pub fn hear(&mut self, task: usize, shown: Shown) -> Vec<Order> {
        let mut orders = Vec::new();
        for shared in shown.works.into_iter().flatten() {
            if self.works.insert(shared) {
                self.contradict(|likeness| likeness.shared == shared, &mut orders);
            }
        }
        match self.speakers.remove(&task) {
            Some(likeness) => self.again(likeness, shown.fails == Some(likeness), &mut orders),
            None => orders.extend(shown.fails.and_then(|likeness| self.first(task, likeness))),
        }
        orders
    }

    /// Takes in that asking an endpoint again told nothing, or cannot be done before the end: whom it was to speak for, another
    /// speaks for, if there is time.
    pub fn give_up(&mut self, task: usize, now: Instant) -> Option<Order> {
        let has_time = self.left(now) >= FAIR;
        let likeness = self.speakers.remove(&task)?;
        let group = self.groups.get_mut(&likeness).filter(|group| !group.contradicted)?;
        group.unheard.push(task);
        if group.waiting.is_empty() {
            group.asked -= 1;
        }
        let next = group.waiting.pop_if(|_| has_time)?;
        self.speakers.insert(next, likeness);
        Some(Order::Ask(next))
    }

    /// A first failure: a few are asked again, the others wait for them. What works for anybody is not lost for all.
    fn first(&mut self, task: usize, likeness: Likeness) -> Option<Order> {
        let group = self.groups.entry(likeness).or_default();
        group.contradicted |= self.works.contains(&likeness.shared);
        if group.is_confirmed() {
            return Some(Order::Confirm(task, group.confirmed));
        }
        if group.contradicted || group.asked < FEW {
            group.asked += 1;
            self.speakers.insert(task, likeness);
            return None;
        }
        group.waiting.push(task);
        Some(Order::Wait(task))
    }

    fn again(&mut self, likeness: Likeness, failed_alike: bool, orders: &mut Vec<Order>) {
        if !failed_alike {
            return self.contradict(|other| *other == likeness, orders);
        }
        let Some(group) = self.groups.get_mut(&likeness) else { return };
        group.confirmed += 1;
        if group.is_confirmed() {
            let confirmed = group.confirmed;
            let waiting = group.waiting.drain(..).chain(group.unheard.drain(..));
            orders.extend(waiting.map(|task| Order::Confirm(task, confirmed)));
        }
    }

    /// No member of these groups speaks for another any more.
    fn contradict(&mut self, which: impl Fn(&Likeness) -> bool, orders: &mut Vec<Order>) {
        for (likeness, group) in self.groups.iter_mut().filter(|(likeness, _)| which(likeness)) {
            group.contradicted = true;
            for task in std::mem::take(&mut group.waiting) {
                group.asked += 1;
                self.speakers.insert(task, *likeness);
                orders.push(Order::Ask(task));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        Look::until(ase_probes::clock::now() + Duration::from_secs(15))
    }

    #[test]
    fn what_a_stall_hid_is_asked_again_once_and_only_while_there_is_time() {
        let now = ase_probes::clock::now();
        let mut look = Look::until(now + Duration::from_secs(15));
        assert!(look.asks_again(1, now) && !look.asks_again(1, now), "once");
        assert!(look.asks_again(2, now + Duration::from_secs(11)));
        assert!(!look.asks_again(3, now + Duration::from_secs(13)), "two seconds are not enough");
    }

    fn fails(port: u16, cause: Cause) -> Shown {
        Shown { works: [None; 2], fails: Some(Likeness { shared: Shared::Port(port), cause, phase: Phase::Connect }) }
    }

    fn works(port: u16) -> Shown {
        Shown { works: [Some(Shared::Port(port)), None], fails: None }
    }

    #[test]
    fn three_failures_that_repeat_confirm_all_that_are_alike_and_those_that_come_later() {
        let mut look = look();
        let dropped = fails(443, Cause::Dropped);
        for task in 0..3 {
            assert_eq!(look.hear(task, dropped), []);
        }
        assert_eq!(look.hear(3, dropped), [Order::Wait(3)]);
        assert_eq!(look.hear(4, fails(443, Cause::Refused)), [], "another cause is another group");
        assert_eq!(look.hear(5, fails(80, Cause::Dropped)), [], "and so is another port");
        assert_eq!((look.hear(0, dropped), look.hear(1, dropped)), (Vec::new(), Vec::new()));
        assert_eq!(look.hear(2, dropped), [Order::Confirm(3, 3)]);
        assert_eq!(look.hear(6, dropped), [Order::Confirm(6, 3)]);
    }

    #[test]
    fn one_that_works_again_or_fails_otherwise_speaks_for_nobody() {
        for contradiction in [works(443), fails(443, Cause::Refused), Shown { works: [None; 2], fails: None }] {
            let mut look = look();
            let dropped = fails(443, Cause::Dropped);
            (0..3).for_each(|task| assert_eq!(look.hear(task, dropped), []));
            assert_eq!(look.hear(3, dropped), [Order::Wait(3)]);
            assert_eq!(look.hear(0, contradiction), [Order::Ask(3)]);
            assert_eq!(look.hear(4, dropped), [], "asked itself from now on");
            assert_eq!((look.hear(1, dropped), look.hear(2, dropped)), (Vec::new(), Vec::new()));
            assert_eq!((look.hear(3, dropped), look.hear(4, dropped)), (Vec::new(), Vec::new()));
        }
    }

    #[test]
    fn another_speaks_for_those_whose_speaker_cannot_be_asked_again() {
        let (mut look, now) = (look(), ase_probes::clock::now());
        let dropped = fails(443, Cause::Dropped);
        (0..3).for_each(|task| assert_eq!(look.hear(task, dropped), []));
        assert_eq!(look.hear(3, dropped), [Order::Wait(3)]);
        assert_eq!(look.hear(4, dropped), [Order::Wait(4)]);
        assert_eq!(look.give_up(0, now), Some(Order::Ask(4)));
        assert_eq!((look.hear(1, dropped), look.hear(2, dropped)), (Vec::new(), Vec::new()));
        assert_eq!(look.hear(4, dropped), [Order::Confirm(3, 3), Order::Confirm(0, 3)]);
        assert_eq!(look.give_up(0, now), None, "it speaks for nobody any more");
    }

    #[test]
    fn nobody_speaks_who_has_no_time_for_an_answer() {
        let now = ase_probes::clock::now();
        let mut look = Look::until(now + Duration::from_secs(15));
        let dropped = fails(443, Cause::Dropped);
        (0..3).for_each(|task| assert_eq!(look.hear(task, dropped), []));
        assert_eq!(look.hear(3, dropped), [Order::Wait(3)]);
        assert_eq!(look.give_up(0, now + Duration::from_secs(14)), None);
        assert_eq!(look.hear(4, dropped), [Order::Wait(4)], "nor does a later one");
    }

    #[test]
    fn whoever_fails_later_speaks_where_nobody_waits() {
        let mut look = look();
        let dropped = fails(443, Cause::Dropped);
        (0..3).for_each(|task| assert_eq!(look.hear(task, dropped), []));
        assert_eq!(look.give_up(0, ase_probes::clock::now()), None);
        assert_eq!(look.hear(3, dropped), [], "asked again itself");
        assert_eq!(look.hear(4, dropped), [Order::Wait(4)]);
    }

    #[test]
    fn where_anybody_works_on_the_port_everybody_is_asked_again() {
        let mut look = look();
        let dropped = fails(443, Cause::Dropped);
        assert_eq!(look.hear(9, works(443)), []);
        (0..8).for_each(|task| assert_eq!(look.hear(task, dropped), []));
        (0..8).for_each(|task| assert_eq!(look.hear(task, dropped), []));
        assert_eq!(look.hear(10, dropped), []);
    }

    #[test]
    fn visits_near_the_end_get_the_time_that_is_left() {
        let now = ase_probes::clock::now();
        let look = Look::until(now + Duration::from_secs(15));
        assert_eq!(look.left(now + Duration::from_secs(8)), Duration::from_secs(7) - MARGIN);
        assert_eq!(look.left(now + Duration::from_secs(20)), Duration::ZERO);
    }
}
