//! Whom a witness answers: a challenge once, in time, and not more of them than its limits allow. Pure: the clocks are given.
//!
//! Only what is sealed with the key comes this far, so that nobody without it can fill these tables.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    challenge::{Challenge, WINDOW},
    port::Port,
};

/// Challenges that are remembered: more than [`ALL`] admits while one can be repeated, which is twice the window.
const REMEMBERED: usize = 4096;
/// What all askers together may ask: at once, and each second from then on.
const ALL: Rate = Rate { at_once: 300, a_second: 30 };
/// What one address may ask: a knock at 24 ports with its repetitions and questions takes 75.
const EACH: Rate = Rate { at_once: 100, a_second: 5 };
/// Addresses that are counted at a time.
const ADDRESSES: usize = 256;

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since the Unix epoch.
    pub(super) wall: Duration,
    /// For what is counted.
    pub(super) at: Instant,
}

/// Why a challenge is not answered, though it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// It was made too long ago, before this witness began, or in the future.
    OutOfTime,
    /// It was answered already.
    Repeated,
    /// Too many came.
    TooMany,
}

/// What was answered, and what may still be.
#[derive(Debug)]
pub(super) struct Guard {
    /// Challenges made before this are refused. It never goes back, whatever the clock does: what is older is forgotten.
    floor: Duration,
    /// By time, run and serial: the port that was reached.
    answered: BTreeMap<(Duration, u64, u64), Port>,
    all: Bucket,
    each: BTreeMap<IpAddr, Bucket>,
}

impl Guard {
    /// Nothing was answered yet. What was made before this millisecond is refused: an earlier witness may have answered it.
    pub(super) fn new(now: Moment) -> Self {
        let floor = Duration::from_millis(u64::try_from(now.wall.as_millis()).unwrap_or(u64::MAX));
        Self { floor, answered: BTreeMap::new(), all: Bucket::full(ALL, now.at), each: BTreeMap::new() }
    }

    /// Takes a challenge for an answer.
    ///
    /// # Errors
    /// Why it is not answered.
    pub(super) fn admit(
        &mut self,
        challenge: &Challenge,
        from: IpAddr,
        reached: Port,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.forget(now.wall);
        let nonce = (challenge.time, challenge.run, challenge.serial);
        if challenge.time < self.floor || challenge.time > now.wall + WINDOW {
            return Err(Refusal::OutOfTime);
        }
        if self.answered.contains_key(&nonce) {
            return Err(Refusal::Repeated);
        }
        if self.answered.len() >= REMEMBERED {
            return Err(Refusal::TooMany);
        }
        let has_own = self.bucket(from, now.at).is_some_and(|bucket| bucket.take(EACH, now.at));
        if !has_own || !self.all.take(ALL, now.at) {
            return Err(Refusal::TooMany);
        }
        self.answered.insert(nonce, reached);
        Ok(())
    }

    /// Whether a challenge of this run came to this port.
    pub(super) fn came(&self, run: u64, port: Port) -> bool {
        self.answered.iter().any(|((_, of, _), reached)| (*of, *reached) == (run, port))
    }

    fn forget(&mut self, wall: Duration) {
        self.floor = self.floor.max(wall.saturating_sub(WINDOW));
        self.answered = self.answered.split_off(&(self.floor, 0, 0));
    }

    /// The count of one address; `None` where too many are counted already. Who asked nothing for a while needs no count.
    fn bucket(&mut self, from: IpAddr, now: Instant) -> Option<&mut Bucket> {
        if self.each.len() >= ADDRESSES && !self.each.contains_key(&from) {
            self.each.retain(|_, bucket| !bucket.is_full(EACH, now));
            if self.each.len() >= ADDRESSES {
                return None;
            }
        }
        Some(self.each.entry(from).or_insert_with(|| Bucket::full(EACH, now)))
    }
}

/// How much may be asked.
#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: u32,
    a_second: u32,
}

/// What is left of a rate.
#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { left: f64::from(rate.at_once), since: now }
    }

    fn level(&self, rate: Rate, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.since).as_secs_f64() * f64::from(rate.a_second);
        (self.left + gained).min(f64::from(rate.at_once))
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.level(rate, now) >= f64::from(rate.at_once)
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let level = self.level(rate, now);
        let is_there = level >= 1.0;
        *self = Self { left: if is_there { level - 1.0 } else { level }, since: now };
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{clock, dns::Transport};

    const PORT: Port = Port { transport: Transport::Tcp, number: 454 };
    const DAWN: Duration = Duration::from_secs(1_700_000_000);

    fn after(start: Moment, seconds: u64) -> Moment {
        let later = Duration::from_secs(seconds);
        Moment { wall: start.wall + later, at: start.at + later }
    }

    fn start() -> Moment {
        Moment { wall: DAWN, at: clock::now() }
    }

    fn made(time: Duration, serial: u64) -> Challenge {
        Challenge { time, run: 1, serial, knocked: PORT, asked: Vec::new() }
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_challenge_is_answered_once() {
        let start = start();
        let mut guard = Guard::new(start);
        let challenge = made(start.wall, 1);
        assert_eq!(guard.admit(&challenge, from(1), PORT, start), Ok(()));
        assert_eq!(guard.admit(&challenge, from(1), PORT, start), Err(Refusal::Repeated));
        let elsewhere = Port { number: 455, ..PORT };
        assert_eq!(guard.admit(&challenge, from(2), elsewhere, after(start, 30)), Err(Refusal::Repeated), "anywhere");
        assert!(guard.came(1, PORT) && !guard.came(1, elsewhere) && !guard.came(2, PORT));
    }

    #[test]
    fn what_is_older_or_newer_than_the_clocks_allow_is_refused_and_so_is_what_an_earlier_witness_may_have_answered() {
        let start = start();
        let mut guard = Guard::new(start);
        let before = made(start.wall - Duration::from_millis(1), 1);
        assert_eq!(guard.admit(&before, from(1), PORT, start), Err(Refusal::OutOfTime));
        let later = after(start, 600);
        for (time, expected) in [
            (later.wall - WINDOW, Ok(())),
            (later.wall + WINDOW, Ok(())),
            (later.wall - WINDOW - Duration::from_millis(1), Err(Refusal::OutOfTime)),
            (later.wall + WINDOW + Duration::from_millis(1), Err(Refusal::OutOfTime)),
        ] {
            assert_eq!(guard.admit(&made(time, 1), from(1), PORT, later), expected);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_old_new_again() {
        let start = start();
        let mut guard = Guard::new(start);
        let challenge = made(start.wall, 1);
        assert_eq!(guard.admit(&challenge, from(1), PORT, start), Ok(()));
        let later = after(start, 3600);
        assert_eq!(guard.admit(&made(later.wall, 2), from(1), PORT, later), Ok(()));
        assert_eq!(guard.answered.len(), 1, "what can no longer be repeated is forgotten");
        let back = Moment { wall: start.wall, at: later.at };
        assert_eq!(guard.admit(&challenge, from(1), PORT, back), Err(Refusal::OutOfTime));
    }

    #[test]
    fn one_address_cannot_ask_for_all_and_all_together_have_a_limit() {
        let start = start();
        let mut guard = Guard::new(start);
        let mut serials = 0..;
        let mut admitted = |address: u8, times: u32, now: Moment| {
            let mut ask = || guard.admit(&made(now.wall, serials.next().expect("endless")), from(address), PORT, now);
            (0..times).filter(|_| ask().is_ok()).count()
        };
        assert_eq!(admitted(1, 500, start), 100);
        assert_eq!(admitted(2, 500, start), 100);
        assert_eq!(admitted(1, 500, after(start, 2)), 10);
        assert_eq!(
            (3..9).map(|address| admitted(address, 500, after(start, 2))).sum::<usize>(),
            150,
            "of all together"
        );
    }

    #[test]
    fn the_tables_do_not_grow_beyond_their_bounds() {
        let start = start();
        let mut guard = Guard::new(start);
        for serial in 0..100_000 {
            let now = after(start, serial / 50);
            let address = IpAddr::from((10 << 24 | u32::try_from(serial % 5000).expect("small")).to_be_bytes());
            _ = guard.admit(&made(now.wall + WINDOW, serial), address, PORT, now);
            assert!(guard.answered.len() <= REMEMBERED && guard.each.len() <= ADDRESSES);
        }
        assert!(guard.answered.len() > 1000, "{}", guard.answered.len());
    }
}
