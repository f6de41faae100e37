//! When each public time server may be asked again, by address: the schedule spaces visits by name, and here nobody gets
//! past who came by another name, or to an address that a name has only now.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ase_probes::{cause::Cause, clock, verdict::Verdict};

use crate::model::politeness::{LONGEST_PLEA, TIME_SERVER_REST};

/// The moments before which an address is not asked.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Since it was asked.
    spaced: Instant,
    /// By its own plea; no confirmation gets past it.
    pleaded: Instant,
    /// How long the pause after its last plea was; zero once it has answered.
    pause: Duration,
}

/// The turn to ask an address, with what is to be put back where it is not used.
#[derive(Clone, Copy, Debug)]
pub struct Turn(Option<Instant>);

/// The rest of each address.
#[derive(Debug, Default)]
pub struct AddressRests {
    rests: BTreeMap<IpAddr, Rest>,
    /// When those of the past were forgotten last.
    forgot: Option<Instant>,
}

impl AddressRests {
    /// Takes the turn to ask an address, perhaps to confirm that it failed a moment ago; `None` while it rests.
    pub fn take(&mut self, address: IpAddr, confirms: bool, now: Instant) -> Option<Turn> {
        // Once in a while: of ten thousand servers, each question would look at all.
        if self.forgot.is_none_or(|forgot| now.duration_since(forgot) >= TIME_SERVER_REST) {
            self.rests.retain(|_, rest| rest.spaced.max(rest.pleaded) + LONGEST_PLEA > now);
            self.forgot = Some(now);
        }
        let rest = self.rests.get(&address.to_canonical()).copied();
        if rest.is_some_and(|rest| rest.pleaded > now || (rest.spaced > now && !confirms)) {
            return None;
        }
        let Rest { pleaded, pause, .. } = rest.unwrap_or(Rest { spaced: now, pleaded: now, pause: Duration::ZERO });
        self.rests.insert(address.to_canonical(), Rest { spaced: now + TIME_SERVER_REST, pleaded, pause });
        Some(Turn(rest.map(|rest| rest.spaced)))
    }

    /// Takes in what an address said whose turn it was.
    pub fn heard(&mut self, address: IpAddr, turn: Turn, verdict: &Verdict, now: Instant) {
        let Some(rest) = self.rests.get_mut(&address.to_canonical()) else { return };
        match verdict {
            // No packet left this machine.
            Verdict::Inconclusive(_) => rest.spaced = turn.0.unwrap_or(now),
            Verdict::Healthy | Verdict::Degraded(_) => rest.pause = Duration::ZERO,
            Verdict::Failed(finding) if finding.cause == Cause::NtpDenied => {
                rest.pause = (rest.pause.max(TIME_SERVER_REST) * 2).min(LONGEST_PLEA);
                rest.pleaded = rest.pleaded.max(now + rest.pause);
            }
            Verdict::Failed(_) => {}
        }
    }
}

/// The rests that all visits heed.
#[derive(Debug, Default)]
pub struct SharedRests(Mutex<AddressRests>);

impl SharedRests {
    /// Takes the turn to ask an address, perhaps to confirm that it failed a moment ago; `None` while it rests.
    pub fn take(&self, address: IpAddr, confirms: bool) -> Option<Turn> {
        self.rests().take(address, confirms, clock::now())
    }

    /// Takes in what an address said whose turn it was.
    pub fn heard(&self, address: IpAddr, turn: Turn, verdict: &Verdict) {
        self.rests().heard(address, turn, verdict, clock::now());
    }

    fn rests(&self) -> MutexGuard<'_, AddressRests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ase_probes::verdict::{Confidence, Finding, Phase};

    use super::*;

    fn failed(cause: Cause) -> Verdict {
        Verdict::Failed(Finding::new(cause, Phase::Ntp, Confidence::Confirmed))
    }

    #[test]
    fn an_address_is_one_server_however_it_is_written_and_rests_after_each_question() {
        let start = clock::now();
        let mut rests = AddressRests::default();
        let (one, mapped): (IpAddr, IpAddr) = ([20, 0, 0, 1].into(), "::ffff:20.0.0.1".parse().expect("an address"));
        let turn = rests.take(one, false, start).expect("nobody asked it before");
        rests.heard(one, turn, &failed(Cause::Dropped), start);
        assert!(rests.take(mapped, false, start + TIME_SERVER_REST / 2).is_none());
        assert!(rests.take(mapped, true, start + Duration::from_secs(2)).is_some(), "a failure is confirmed");
        let again = start + Duration::from_secs(2) + TIME_SERVER_REST;
        assert!(rests.take(one, false, again - Duration::from_millis(1)).is_none());
        assert!(rests.take(one, false, again).is_some());
    }

    #[test]
    fn a_plea_doubles_the_rest_and_no_confirmation_gets_past_it() {
        let mut now = clock::now();
        let mut rests = AddressRests::default();
        let one: IpAddr = [20, 0, 0, 1].into();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let turn = rests.take(one, false, now).expect("its rest is over");
            rests.heard(one, turn, &failed(Cause::NtpDenied), now);
            let asked = now;
            while rests.take(one, true, now).is_none() {
                now += Duration::from_secs(1);
            }
            pauses.push((now - asked).as_secs());
            now += TIME_SERVER_REST;
        }
        assert_eq!(pauses, [128, 256, 512, 1024, 1024]);
    }

    #[test]
    fn servers_of_the_past_are_forgotten() {
        let start = clock::now();
        let mut rests = AddressRests::default();
        for host in 0..200u8 {
            let at = start + LONGEST_PLEA * u32::from(host);
            assert!(rests.take([20, 0, 0, host].into(), false, at).is_some());
        }
        assert!(rests.rests.len() <= 2, "{} servers kept", rests.rests.len());
    }

    #[test]
    fn a_turn_without_a_packet_is_none() {
        let now = clock::now();
        let mut rests = AddressRests::default();
        let one: IpAddr = [20, 0, 0, 1].into();
        let turn = rests.take(one, false, now).expect("nobody asked it before");
        let own = Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed);
        rests.heard(one, turn, &Verdict::Inconclusive(own), now);
        assert!(rests.take(one, false, now).is_some());
    }
}
