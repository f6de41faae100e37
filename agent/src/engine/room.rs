//! Counts the visits under way within given bounds: few that are active, and as many that wait for their peer as there are
//! descriptors for (`plan.rs` says how many).
//! Pure, it is told the time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// A visit that is not over by now waits for its peer: it costs memory and a descriptor but no work, and another may
/// become active in its place. An answer from another continent takes as long; with the default of 64 active visits still
/// 320 begin each second when everybody is silent (what that needs is derived in `systemd/ase-agent.service`).
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The bounds of what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Visits that are active at once: those that began less than [`PATIENCE`] ago.
    pub active: usize,
    /// Sockets that all visits under way may hold.
    pub sockets: usize,
}

/// The number of a visit, in the order in which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VisitNumber(u64);

#[derive(Clone, Copy, Debug)]
struct Guest {
    began: Instant,
    sockets: usize,
    is_active: bool,
}

/// The visits under way, and what room there is for more.
#[derive(Clone, Debug)]
pub struct Room {
    bounds: Bounds,
    guests: BTreeMap<VisitNumber, Guest>,
    /// Visits that became active, the oldest first; some of them are over.
    queue: VecDeque<VisitNumber>,
    active: usize,
    sockets: usize,
    next: u64,
    since: Instant,
}

impl Room {
    /// Nothing is under way.
    pub fn new(bounds: Bounds, now: Instant) -> Self {
        let (guests, queue) = (BTreeMap::new(), VecDeque::new());
        Self { bounds, guests, queue, active: 0, sockets: 0, next: 0, since: now }
    }

    /// The bounds.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Puts other bounds in force, while a visit with so many sockets is `next`; what is under way beyond them ends in its
    /// own time.
    pub fn rebuild(&mut self, bounds: Bounds, next: usize, now: Instant) {
        self.change(next, now, |room| room.bounds = bounds);
    }

    /// Visits under way.
    pub fn in_flight(&self) -> usize {
        self.guests.len()
    }

    /// When a visit under way began.
    pub fn began(&self, visit: VisitNumber) -> Option<Instant> {
        self.guests.get(&visit).map(|guest| guest.began)
    }

    /// Since when there is room, where there is.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Whether a visit with so many sockets may begin. One that is alone always may.
    pub fn admits(&self, sockets: usize) -> bool {
        self.active < self.bounds.active && self.has_sockets(sockets)
    }

    /// When a visit with so many sockets may begin; `None` if only the end of another makes room.
    pub fn opens(&self, sockets: usize) -> Option<Instant> {
        if !self.has_sockets(sockets) {
            return None;
        }
        if self.active < self.bounds.active {
            return Some(self.since);
        }
        self.queue.front().and_then(|visit| self.guests.get(visit)).map(|guest| guest.began + PATIENCE)
    }

    /// Takes in a visit that begins.
    pub fn enter(&mut self, sockets: usize, now: Instant) -> VisitNumber {
        let visit = VisitNumber(self.next);
        self.next += 1;
        self.active += 1;
        self.sockets += sockets;
        self.queue.push_back(visit);
        self.guests.insert(visit, Guest { began: now, sockets, is_active: true });
        visit
    }

    /// Takes in that a visit is over, while one with so many sockets is `next`. Returns when it began.
    pub fn leave(&mut self, visit: VisitNumber, next: usize, now: Instant) -> Option<Instant> {
        self.settle(next, now);
        let guest = self.guests.remove(&visit)?;
        self.change(next, now, |room| {
            room.sockets -= guest.sockets;
            room.active -= usize::from(guest.is_active);
        });
        self.drop_ended();
        Some(guest.began)
    }

    /// Lets visits that have waited long enough make room, while one with so many sockets is `next`.
    pub fn settle(&mut self, next: usize, now: Instant) {
        self.drop_ended();
        while let Some(guest) = self.queue.front().and_then(|visit| self.guests.get_mut(visit)) {
            let until = guest.began + PATIENCE;
            if until > now {
                return;
            }
            guest.is_active = false;
            self.queue.pop_front();
            self.change(next, until, |room| room.active -= 1);
            self.drop_ended();
        }
    }

    /// Notes since when there is room where there was none.
    fn change(&mut self, next: usize, at: Instant, change: impl FnOnce(&mut Self)) {
        let admitted = self.admits(next);
        change(self);
        if !admitted && self.admits(next) {
            self.since = at;
        }
    }

    fn drop_ended(&mut self) {
        while self.queue.front().is_some_and(|visit| !self.guests.contains_key(visit)) {
            self.queue.pop_front();
        }
    }

    fn has_sockets(&self, sockets: usize) -> bool {
        self.sockets == 0 || self.sockets + sockets <= self.bounds.sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { active: 2, sockets: 10 };

    #[test]
    fn silence_gives_its_place_back_until_the_descriptors_are_spent() {
        let start = ase_probes::clock::now();
        let mut room = Room::new(BOUNDS, start);
        let mut now = start;
        for _ in 0..5 {
            assert!(room.admits(1));
            let _first = room.enter(1, now);
            let _second = room.enter(1, now);
            assert!(!room.admits(1));
            if room.in_flight() < BOUNDS.sockets {
                assert_eq!(room.opens(1), Some(now + PATIENCE));
            }
            now += PATIENCE;
            room.settle(1, now);
        }
        assert_eq!((room.in_flight(), room.admits(1), room.opens(1)), (10, false, None), "ten sockets are ten visits");
    }

    #[test]
    fn room_is_there_since_the_moment_at_which_it_became_free() {
        let start = ase_probes::clock::now();
        let mut room = Room::new(BOUNDS, start);
        let (first, second) = (room.enter(1, start), room.enter(1, start));
        let later = start + PATIENCE / 2;
        assert_eq!(room.leave(first, 1, later), Some(start));
        assert_eq!(room.since(), later);
        let _third = room.enter(1, later);
        room.settle(1, start + 5 * PATIENCE);
        assert_eq!(room.since(), start + PATIENCE, "the second waited long enough then, whenever somebody looks");
        assert_eq!(room.leave(second, 1, start + 6 * PATIENCE), Some(start));
        assert_eq!(room.leave(second, 1, start + 6 * PATIENCE), None, "it is over once");
    }

    #[test]
    fn a_visit_with_more_sockets_than_there_are_goes_alone() {
        let start = ase_probes::clock::now();
        let mut room = Room::new(Bounds { active: 4, sockets: 3 }, start);
        assert!(room.admits(8));
        let wide = room.enter(8, start);
        assert!(!room.admits(1) && room.opens(1).is_none());
        assert_eq!(room.leave(wide, 1, start), Some(start));
        assert!(room.admits(1));
    }
}
