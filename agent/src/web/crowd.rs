//! Who is connected, and who has to go when there is no room: connections are always accepted, each client's address has a
//! share of them, and whoever waits longest without being served makes room. Pure, it is told the time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It waits for a request, or for the rest of one.
    Waiting,
    /// It takes an answer.
    Taking,
    /// Its request is being answered.
    Asking,
}

/// A connection, in the order in which they came.
pub type Number = u64;

/// The connections.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    share: usize,
    guests: BTreeMap<Number, Guest>,
    next: Number,
}

#[derive(Clone, Copy, Debug)]
struct Guest {
    client: IpAddr,
    doing: Doing,
    since: Instant,
}

impl Crowd {
    /// Nobody is connected; so many may be at once, and half as many from one address.
    pub fn new(most: usize) -> Self {
        Self { most, share: most.div_ceil(2), guests: BTreeMap::new(), next: 0 }
    }

    /// Takes in a connection; the second number is of the one that has to go for it.
    pub fn enter(&mut self, address: IpAddr, now: Instant) -> (Number, Option<Number>) {
        let client = client(address);
        let goes = self.who_goes(client);
        goes.map(|number| self.guests.remove(&number));
        let number = self.next;
        self.next += 1;
        self.guests.insert(number, Guest { client, doing: Doing::Waiting, since: now });
        (number, goes)
    }

    /// Notes what a connection is about now.
    pub fn note(&mut self, number: Number, doing: Doing, now: Instant) {
        if let Some(guest) = self.guests.get_mut(&number)
            && guest.doing != doing
        {
            (guest.doing, guest.since) = (doing, now);
        }
    }

    /// Takes in that a connection has ended.
    pub fn leave(&mut self, number: Number) {
        self.guests.remove(&number);
    }

    /// The connections that have taken one answer since before this.
    pub fn taking_since(&self, before: Instant) -> Vec<Number> {
        let slow = |guest: &Guest| guest.doing == Doing::Taking && guest.since < before;
        self.guests.iter().filter(|(_, guest)| slow(guest)).map(|(number, _)| *number).collect()
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.guests.len()
    }

    /// Whoever is served least and longest: of the same client if it has its share, else of the client that has most.
    fn who_goes(&self, client: IpAddr) -> Option<Number> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.guests.values().for_each(|guest| *counts.entry(guest.client).or_default() += 1);
        let crowded = if counts.get(&client).is_some_and(|count| *count >= self.share) {
            client
        } else if self.guests.len() >= self.most {
            *counts.iter().max_by_key(|(_, count)| **count)?.0
        } else {
            return None;
        };
        let of_client = self.guests.iter().filter(|(_, guest)| guest.client == crowded);
        of_client.min_by_key(|(number, guest)| (guest.doing, guest.since, **number)).map(|(number, _)| *number)
    }
}

/// Whose address it is: in IPv6 one host has all of a /64 (RFC 4291 section 2.5.4).
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_that_has_its_share_makes_room_for_itself() {
        let now = ase_probes::clock::now();
        let at = |second: u64| now + Duration::from_secs(second);
        let mut crowd = Crowd::new(4);
        assert_eq!(crowd.enter(ip("fd00::1"), at(0)), (0, None));
        assert_eq!(crowd.enter(ip("fd00::2"), at(1)), (1, None));
        crowd.note(0, Doing::Asking, at(2));
        assert_eq!(crowd.enter(ip("fd00::3"), at(3)), (2, Some(1)), "one host has the whole /64");
        assert_eq!(crowd.enter(ip("10.0.0.1"), at(4)), (3, None));
        assert_eq!(crowd.len(), 3);
    }

    #[test]
    fn who_is_served_least_and_waits_longest_goes_first() {
        let now = ase_probes::clock::now();
        let at = |second: u64| now + Duration::from_secs(second);
        let mut crowd = Crowd::new(4);
        for (number, address) in ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].into_iter().enumerate() {
            assert_eq!(crowd.enter(ip(address), at(number as u64)), (number as u64, None));
        }
        crowd.note(0, Doing::Asking, at(10));
        crowd.note(1, Doing::Taking, at(11));
        assert_eq!((crowd.taking_since(at(11)), crowd.taking_since(at(12))), (vec![], vec![1]));
        assert_eq!(
            crowd.enter(ip("10.0.0.4"), at(20)),
            (4, Some(1)),
            "of those who have most, who takes no part in it"
        );
        crowd.leave(2);
        assert_eq!(crowd.enter(ip("10.0.0.5"), at(21)), (5, None));
        let (_, gone) = crowd.enter(ip("10.0.0.6"), at(22));
        assert_eq!(gone, Some(5), "where all have one, some client's goes, and never one that is asked for");
    }
}
