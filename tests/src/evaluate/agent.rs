//! Plays a day to the agent's own schedule, hysteresis, quorum, risk and detectors, in simulated time, and notes when
//! which detector alarms.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ase_agent::{
    early::{
        BLIND_AFTER,
        burn_rate::BurnRate,
        cusum::Cusum,
        phi::{self, Phi},
    },
    engine::{
        room::{Bounds, VisitNumber},
        schedule::{Ended, Rhythm, Schedule, Upshot},
    },
    model::{assumptions::Assumptions, catalog::Severity, rounds::Rounds},
    risk::{
        estimate::{Loss, Risk},
        hysteresis::{Counted, Hysteresis, Sample},
        quorum::{self, Member},
        steps::{LOOK, MOST_STEPS, STEP},
    },
};
use ase_probes::{class::Class, clock};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{
    detectors::Detector,
    timeline::{DAY, Day, ENDPOINTS, Seen, Span, TIMEOUT, Truth},
};

/// A class that needs half of its endpoints.
const CLASS: Class = Class::Http;
/// How often each endpoint is asked.
const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_secs(30),
    confirm_after: Duration::from_secs(1),
    failing_interval: Duration::from_secs(10),
    sockets: 1,
    courtesy: None,
};
/// Room for every endpoint at once.
const BOUNDS: Bounds = Bounds { active: 64, sockets: 1024 };
/// A probe that took this much longer than its timeout was held up by this machine.
const STALLED: f64 = TIMEOUT + 1.0;

/// When each detector alarmed.
pub(super) type Alarms = BTreeMap<Detector, Vec<Span>>;

/// Plays a day.
pub(super) fn play(day: &Day, seed: u64) -> Alarms {
    play_with(day, seed, |_, _, _| {})
}

/// The day's first play as JSON lines: what was true, and what each probe saw.
pub(super) fn labelled(day: &Day) -> String {
    let mut text = String::new();
    play_with(day, 0, |at, endpoint, seen| {
        let within = |span: &Span| (span.0..span.1).contains(&at);
        let lost = day.lost.iter().any(|(which, span)| *which == endpoint && within(span));
        let slow = day.episodes.iter().any(|(truth, span)| *truth == Truth::Slow && within(span));
        let truth = if lost {
            "down"
        } else if slow {
            "degraded"
        } else {
            "up"
        };
        let (cause, obs) = match seen {
            Seen::Answer(seconds) => ("none", json!({"answer": true, "round_trip_seconds": seconds})),
            Seen::Silence => ("dropped", json!({"answer": false})),
            Seen::Local => ("local_route", json!(null)),
        };
        let line = json!({"t": at, "class": CLASS.label(), "endpoint": format!("e{endpoint}"), "truth": truth, "cause": cause, "obs": obs});
        text.push_str(&format!("{line}\n"));
    });
    text
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    visit: VisitNumber,
    ends: f64,
    sent: f64,
    endpoint: usize,
    seen: Seen,
}

/// What one run of the process knows.
struct Process {
    base: Instant,
    began: f64,
    schedule: Schedule,
    flights: Vec<Flight>,
    standings: [Hysteresis; ENDPOINTS],
    confirmed: [Counted; ENDPOINTS],
    failing: [u32; ENDPOINTS],
    answered: [f64; ENDPOINTS],
    risk: Risk,
    burn: BurnRate,
    probe_burn: BurnRate,
    phi: Phi,
    cusums: [Cusum; ENDPOINTS],
    told: f64,
    looked: f64,
}

impl Process {
    fn start(at: f64) -> Self {
        let base = clock::now();
        let rounds = Rounds::Endless { spread: Duration::from_secs(5) };
        Self {
            base,
            began: at,
            schedule: Schedule::new([RHYTHM; ENDPOINTS], BOUNDS, rounds, base),
            flights: Vec::new(),
            standings: [Hysteresis::default(); ENDPOINTS],
            confirmed: [Counted::Untested { was_down: false }; ENDPOINTS],
            failing: [0; ENDPOINTS],
            answered: [at; ENDPOINTS],
            risk: Risk::new(Assumptions::default(), [CLASS]),
            burn: BurnRate::default(),
            probe_burn: BurnRate::default(),
            phi: Phi::new(RHYTHM.interval),
            cusums: [Cusum::default(); ENDPOINTS],
            told: at,
            looked: at,
        }
    }

    /// A process that recalls what an earlier one remembered.
    fn restart(earlier: &Self, at: f64) -> Self {
        let mut process = Self::start(at);
        process.risk.recall(&earlier.risk.memory());
        process.standings = earlier.standings.map(|standing| Hysteresis { tested: false, ..standing });
        process
    }

    fn instant(&self, at: f64) -> Instant {
        self.base + Duration::from_secs_f64((at - self.began).max(0.0))
    }

    fn seconds(&self, at: Instant) -> f64 {
        self.began + at.duration_since(self.base).as_secs_f64()
    }

    /// When the next thing happens.
    fn next(&self) -> f64 {
        let due = self.schedule.next_due().map_or(f64::INFINITY, |at| self.seconds(at));
        let ends = self.flights.iter().map(|flight| flight.ends).fold(f64::INFINITY, f64::min);
        let step = (self.told + STEP.as_secs_f64()).max(self.looked + LOOK.as_secs_f64());
        due.min(ends).min(step)
    }

    /// Lets everything happen that is due at this time, and says whether anything was learned.
    fn happen(&mut self, now: f64, day: &Day, rng: &mut StdRng, log: &mut impl FnMut(f64, usize, Seen)) -> bool {
        for due in self.schedule.take_due(self.instant(now + 1e-6)) {
            let seen = day.probe(due.task, now, rng);
            log(now, due.task, seen);
            let took = match seen {
                Seen::Answer(seconds) => seconds,
                Seen::Silence => TIMEOUT,
                Seen::Local => 0.001,
            };
            self.flights.push(Flight { visit: due.visit, ends: now + took, sent: now, endpoint: due.task, seen });
        }
        let (ended, rest) = self.flights.iter().partition(|flight| flight.ends <= now);
        self.flights = rest;
        let ended: Vec<Flight> = ended;
        let mut learned = !ended.is_empty();
        ended.into_iter().for_each(|flight| self.end(flight, now));
        if now - self.looked + 1e-6 >= LOOK.as_secs_f64() {
            self.look(Duration::from_secs_f64(now - self.looked), now);
            self.looked = now;
            learned = true;
        }
        learned
    }

    fn end(&mut self, flight: Flight, now: f64) {
        let endpoint = flight.endpoint;
        let stalled = now - flight.sent > STALLED;
        let upshot = match flight.seen {
            Seen::Answer(_) => Upshot::Good,
            Seen::Silence if stalled => Upshot::Unknown,
            Seen::Silence => Upshot::Bad,
            Seen::Local => Upshot::Unknown,
        };
        self.schedule.finished(flight.visit, Ended { upshot, asked: true }, self.instant(now));
        let bad = upshot == Upshot::Bad;
        if upshot != Upshot::Unknown {
            self.failing[endpoint] = if bad { self.failing[endpoint] + 1 } else { 0 };
            self.probe_burn.step(Some(f64::from(u8::from(bad))), RHYTHM.interval / ENDPOINTS as u32);
        }
        if let Seen::Answer(seconds) = flight.seen {
            self.phi.success(since_start(now));
            self.cusums[endpoint]
                .observe(Duration::from_secs_f64(seconds), Duration::from_secs_f64(now - self.answered[endpoint]));
            self.answered[endpoint] = now;
        }
        if self.schedule.is_confirming(endpoint) {
            return;
        }
        let (told, counted) = match upshot {
            Upshot::Good => (Sample::Good, Counted::Up),
            Upshot::Bad => (Sample::Bad, Counted::Down),
            Upshot::Unknown | Upshot::AskedToSlowDown | Upshot::PutOff(_) => {
                (Sample::Unknown, Counted::Untested { was_down: false })
            }
        };
        self.standings[endpoint].take(told);
        self.confirmed[endpoint] = counted;
    }

    fn look(&mut self, elapsed: Duration, now: f64) {
        let losses = |counted: [Counted; ENDPOINTS]| {
            let member = |counted| Member { class: CLASS, is_azure_dns: false, severity: Severity::Critical, counted };
            quorum::losses(counted.map(member))
        };
        let since_step = Duration::from_secs_f64(now - self.told);
        if since_step + Duration::from_micros(1) >= STEP {
            self.told = now;
            let steady = losses(self.standings.map(|standing| standing.counted()));
            self.risk.step(self.risk.sequence() + 1, &steady, since_step.min(STEP * MOST_STEPS));
        }
        let loss = losses(self.confirmed)[&CLASS];
        if loss == Loss::Unknown || elapsed > BLIND_AFTER {
            self.phi.forgive(elapsed, since_start(now));
        }
        match loss {
            Loss::Known(share) => self.burn.step(Some(share), elapsed),
            Loss::Unknown => self.burn.step(None, elapsed),
        }
    }

    fn alarms(&self, detector: Detector, now: f64) -> bool {
        match detector {
            Detector::OneFailure => self.failing.iter().any(|count| *count > 0),
            Detector::ThreeFailures => self.failing.iter().any(|count| *count >= 3),
            // The same windows, for a budget a fifth as large.
            Detector::ProbeBurn => {
                let [short, _, long, _, _] = self.probe_burn.rates();
                short * 5.0 > 14.4 && long * 5.0 > 14.4
            }
            Detector::State => self.risk.estimate().losses[&CLASS] > 0.0,
            Detector::Burn => self.burn.alarm().is_some(),
            Detector::Phi => self.phi.phi(since_start(now)).is_some_and(|phi| phi >= phi::SUSPECT),
            Detector::Cusum => self.cusums.iter().any(Cusum::is_alarm),
            Detector::Any => {
                [Detector::State, Detector::Burn, Detector::Cusum].into_iter().any(|one| self.alarms(one, now))
            }
        }
    }
}

fn since_start(now: f64) -> Duration {
    Duration::from_secs_f64(now)
}

fn play_with(day: &Day, seed: u64, mut log: impl FnMut(f64, usize, Seen)) -> Alarms {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut process = Process::start(0.0);
    let mut alarms: Alarms = Detector::ALL.map(|detector| (detector, Vec::new())).into();
    let mut on: BTreeMap<Detector, f64> = BTreeMap::new();
    loop {
        let mut now = process.next();
        if let Some((_, end)) = day.pauses.iter().find(|span| (span.0..span.1).contains(&now)) {
            now = *end;
        }
        if let Some((_, end)) = day.restarts.iter().find(|span| (span.0..span.1).contains(&now)) {
            now = *end;
            process = Process::restart(&process, now);
        }
        if now >= DAY {
            break;
        }
        if !process.happen(now, day, &mut rng, &mut log) {
            continue;
        }
        for detector in Detector::ALL {
            match (process.alarms(detector, now), on.contains_key(&detector)) {
                (true, false) => drop(on.insert(detector, now)),
                (false, true) => {
                    let since = on.remove(&detector).expect("it is on");
                    alarms.get_mut(&detector).expect("every detector has a list").push((since, now));
                }
                (true, true) | (false, false) => {}
            }
        }
    }
    for (detector, since) in on {
        alarms.get_mut(&detector).expect("every detector has a list").push((since, DAY));
    }
    alarms
}
