//! One simulated day of a class with three endpoints, of which it needs two: what is true, and what a probe would see.

use rand::{RngExt as _, SeedableRng, rngs::StdRng};

/// Seconds of a day.
pub(super) const DAY: f64 = 86_400.0;
/// The endpoints of the class.
pub(super) const ENDPOINTS: usize = 3;
/// How long an unanswered probe takes, in seconds.
pub(super) const TIMEOUT: f64 = 7.0;
/// The usual round trip in seconds.
const ROUND_TRIP: f64 = 0.02;

/// What happens on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// 0.2 % of probes are lost.
    Quiet,
    /// 1 % are lost.
    Loss1,
    /// 5 % are lost.
    Loss5,
    /// 20 % are lost.
    Loss20,
    /// Bursts of 20 s with 50 % loss, every ten minutes, each endpoint for itself (Gilbert-Elliott).
    Bursts,
    /// The same bursts for all endpoints at once: the common egress.
    EgressBursts,
    /// One endpoint of three is dead: the class still has its quorum.
    OneDead,
    /// All endpoints are lost for half an hour.
    Hard,
    /// All endpoints are lost for two minutes.
    Short,
    /// Two endpoints of three are lost for twenty minutes.
    Partial,
    /// Lost for a minute, well for a minute, for an hour.
    Flap1,
    /// Lost for five minutes, well for five minutes, for an hour.
    Flap5,
    /// A firewall rule is pushed: endpoints are lost one after the other, ten minutes apart, and come back at once.
    Policy,
    /// The round trip grows by 1 % per half minute for an hour.
    Creep,
    /// The round trip grows by half at once, for an hour.
    Step,
    /// The round trip swings by 60 % over the day.
    Diurnal,
    /// This machine cannot test anything for twenty minutes, several times.
    LocalFault,
    /// The agent restarts six times, and nothing else happens.
    Restarts,
    /// The agent restarts three times during an outage of an hour.
    RestartInOutage,
    /// The agent is stopped for ten minutes, several times, and nothing else happens.
    Pauses,
}

impl Scenario {
    /// Every scenario.
    pub(super) const ALL: [Self; 20] = [
        Self::Quiet,
        Self::Loss1,
        Self::Loss5,
        Self::Loss20,
        Self::Bursts,
        Self::EgressBursts,
        Self::OneDead,
        Self::Hard,
        Self::Short,
        Self::Partial,
        Self::Flap1,
        Self::Flap5,
        Self::Policy,
        Self::Creep,
        Self::Step,
        Self::Diurnal,
        Self::LocalFault,
        Self::Restarts,
        Self::RestartInOutage,
        Self::Pauses,
    ];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Loss1 => "loss 1 %",
            Self::Loss5 => "loss 5 %",
            Self::Loss20 => "loss 20 %",
            Self::Bursts => "bursts",
            Self::EgressBursts => "egress bursts",
            Self::OneDead => "one of three dead",
            Self::Hard => "hard outage",
            Self::Short => "short outage",
            Self::Partial => "partial outage",
            Self::Flap1 => "flap 1 min",
            Self::Flap5 => "flap 5 min",
            Self::Policy => "policy push",
            Self::Creep => "latency creep",
            Self::Step => "latency step",
            Self::Diurnal => "latency diurnal",
            Self::LocalFault => "local fault",
            Self::Restarts => "restarts",
            Self::RestartInOutage => "outage over restarts",
            Self::Pauses => "pauses",
        }
    }
}

/// From and to, in seconds of the day.
pub(super) type Span = (f64, f64);

/// What is true of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// The class is lost, or lost again and again.
    Lost,
    /// The class is there, and its round trips rose.
    Slow,
}

/// A day with everything that happens on it.
#[derive(Clone, Debug)]
pub(super) struct Day {
    /// The scenario.
    pub(super) scenario: Scenario,
    /// What is true, as long as it is not all well.
    pub(super) episodes: Vec<(Truth, Span)>,
    /// When which endpoint is lost.
    pub(super) lost: Vec<(usize, Span)>,
    /// When this machine can test nothing.
    pub(super) local: Vec<Span>,
    /// When the agent does not run, and begins anew afterwards.
    pub(super) restarts: Vec<Span>,
    /// When the agent is stopped, and goes on afterwards.
    pub(super) pauses: Vec<Span>,
    /// When probes of which endpoint are lost with probability 0.5.
    bursts: Vec<(usize, Span)>,
    loss: f64,
    from: f64,
}

/// What one probe sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    /// An answer after this many seconds.
    Answer(f64),
    /// Nothing.
    Silence,
    /// A fault of this machine.
    Local,
}

/// The day of a scenario with this seed.
pub(super) fn day(scenario: Scenario, seed: u64) -> Day {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) ^ scenario as u64);
    let from = rng.random_range(6.0 * 3600.0..12.0 * 3600.0);
    let mut day = Day {
        scenario,
        episodes: Vec::new(),
        lost: Vec::new(),
        local: Vec::new(),
        restarts: Vec::new(),
        pauses: Vec::new(),
        bursts: Vec::new(),
        loss: 0.002,
        from,
    };
    day.fill(&mut rng);
    day
}

impl Day {
    fn fill(&mut self, rng: &mut StdRng) {
        let from = self.from;
        match self.scenario {
            Scenario::Quiet | Scenario::Diurnal => {}
            Scenario::Loss1 => self.loss = 0.01,
            Scenario::Loss5 => self.loss = 0.05,
            Scenario::Loss20 => self.loss = 0.2,
            Scenario::Bursts => (0..ENDPOINTS).for_each(|endpoint| {
                let spans = bursts(rng);
                self.bursts.extend(spans.into_iter().map(|span| (endpoint, span)));
            }),
            Scenario::EgressBursts => {
                let all = |span| (0..ENDPOINTS).map(move |endpoint| (endpoint, span));
                self.bursts = bursts(rng).into_iter().flat_map(all).collect();
            }
            Scenario::OneDead => self.lost.push((rng.random_range(0..ENDPOINTS), (0.0, DAY))),
            Scenario::Hard => self.outage((from, from + 1800.0)),
            Scenario::Short => self.outage((from, from + 120.0)),
            Scenario::Partial => {
                let span = (from, from + 1200.0);
                self.lost.extend([(0, span), (1, span)]);
                self.episodes.push((Truth::Lost, span));
            }
            Scenario::Flap1 => self.flap(60.0),
            Scenario::Flap5 => self.flap(300.0),
            Scenario::Policy => {
                let end = from + 2400.0;
                self.lost = (0..ENDPOINTS).map(|n| (n, (from + 600.0 * n as f64, end))).collect();
                self.episodes.push((Truth::Lost, (from + 600.0, end)));
            }
            Scenario::Creep | Scenario::Step => self.episodes.push((Truth::Slow, (from, from + 3600.0))),
            Scenario::LocalFault => self.local = (0..4).map(|n| spaced(from, n, 1200.0)).collect(),
            Scenario::Restarts => self.restarts = (0..6).map(|n| spaced(from, n, 20.0)).collect(),
            Scenario::RestartInOutage => {
                self.outage((from, from + 3600.0));
                self.restarts = [600.0, 1500.0, 2700.0].map(|at| (from + at, from + at + 60.0)).to_vec();
            }
            Scenario::Pauses => self.pauses = (0..6).map(|n| spaced(from, n, 600.0)).collect(),
        }
    }

    fn outage(&mut self, span: Span) {
        self.lost.extend((0..ENDPOINTS).map(|endpoint| (endpoint, span)));
        self.episodes.push((Truth::Lost, span));
    }

    fn flap(&mut self, half: f64) {
        let from = self.from;
        let flaps = (3600.0 / half / 2.0) as usize;
        for n in 0..flaps {
            let start = from + 2.0 * half * n as f64;
            self.lost.extend((0..ENDPOINTS).map(|endpoint| (endpoint, (start, start + half))));
        }
        self.episodes.push((Truth::Lost, (from, from + 3600.0)));
    }

    /// What a probe of this endpoint sees that is sent at this second.
    pub(super) fn probe(&self, endpoint: usize, at: f64, rng: &mut StdRng) -> Seen {
        let within = |span: &Span| (span.0..span.1).contains(&at);
        let of = |list: &[(usize, Span)]| list.iter().any(|(which, span)| *which == endpoint && within(span));
        if self.local.iter().any(within) {
            return Seen::Local;
        }
        let chance = if of(&self.bursts) { 0.5 } else { self.loss };
        if of(&self.lost) || rng.random_bool(chance) {
            return Seen::Silence;
        }
        let noise = (0.1 * (rng.random::<f64>() + rng.random::<f64>() + rng.random::<f64>() - 1.5)).exp();
        Seen::Answer(ROUND_TRIP * noise * self.slowness(at))
    }

    fn slowness(&self, at: f64) -> f64 {
        let since = at - self.from;
        let rising = (0.0..3600.0).contains(&since);
        if self.scenario == Scenario::Creep && rising {
            1.01f64.powf(since / 30.0)
        } else if self.scenario == Scenario::Step && rising {
            1.5
        } else if self.scenario == Scenario::Diurnal {
            1.0 + 0.6 * (at / DAY * std::f64::consts::TAU).sin()
        } else {
            1.0
        }
    }
}

fn spaced(from: f64, n: u32, length: f64) -> Span {
    let start = from + 5400.0 * f64::from(n);
    (start, start + length)
}

/// Bursts of 20 s on average, ten minutes apart on average.
fn bursts(rng: &mut StdRng) -> Vec<Span> {
    let mut wait = |mean: f64| -mean * (1.0 - rng.random::<f64>()).ln();
    let (mut at, mut spans) = (0.0, Vec::new());
    while at < DAY {
        at += wait(600.0);
        let length = wait(20.0);
        spans.push((at, at + length));
        at += length;
    }
    spans
}
