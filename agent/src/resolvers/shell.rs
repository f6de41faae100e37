//! The shell around the comparisons: makes the surveys that are due and takes in what they show.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{clock, resolve::Resolution};
use rand::{SeedableRng, rngs::StdRng};
use tokio::task::{self, JoinError, JoinSet};

use crate::{
    model::{
        catalog::Host,
        rounds::Rounds,
        settings::{Settings, names},
    },
    resolvers::{
        compare::{DnsOutcome, Server},
        names::{Cadence, Comparisons, NameViews},
        survey::{NotAsked, Survey, Surveyor},
        trial::Trial,
    },
};

/// What one step did.
#[derive(Debug)]
pub enum Step {
    /// Something began, or ended without a result.
    Began,
    /// Servers were heard: how each answered.
    Heard(Vec<(SocketAddr, DnsOutcome)>),
}

/// Surveys and trials under way and the state they feed.
#[derive(Debug)]
pub struct Comparing {
    state: Comparisons,
    surveyor: Arc<Surveyor>,
    surveys: JoinSet<Result<Survey, NotAsked>>,
    not_asked: BTreeMap<NotAsked, usize>,
    under_way: BTreeMap<task::Id, usize>,
    trials: JoinSet<Trial>,
    trial_due: Option<Instant>,
    trial: Option<Arc<Trial>>,
    trial_every: Option<Duration>,
}

impl Comparing {
    /// Prepares the comparison of every name that these settings watch.
    pub fn new(settings: &Settings, rounds: Rounds) -> Self {
        let cadence = match rounds {
            Rounds::Endless { .. } => Cadence::Every(settings.compare_every),
            Rounds::One => Cadence::Once,
        };
        let (names, now) = (names(settings), clock::now());
        Self {
            trials: JoinSet::new(),
            trial_due: (!names.is_empty()).then_some(now),
            trial: None,
            trial_every: match cadence {
                Cadence::Every(interval) => Some(interval),
                Cadence::Once => None,
            },
            state: Comparisons::new(names, cadence, now),
            surveyor: Arc::new(Surveyor::new(settings)),
            surveys: JoinSet::new(),
            not_asked: BTreeMap::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Takes new settings in force; names that stay keep what is known of them and their turns, and servers that stay wait for
    /// their next trial.
    pub fn reload(&mut self, settings: &Settings, rounds: Rounds) {
        let earlier = std::mem::replace(self, Self::new(settings, rounds));
        self.state.inherit(earlier.state, clock::now());
        self.trial = earlier.trial;
        let stays = (&self.surveyor.custom, self.surveyor.azure) == (&earlier.surveyor.custom, earlier.surveyor.azure);
        if let (true, Some(soon), Some(due)) = (stays, self.trial_due, earlier.trial_due) {
            let latest = self.trial_every.map_or(soon, |every| soon + every);
            self.trial_due = Some(due.min(latest));
        }
    }

    /// Does the next thing there is to do: begins a survey or a trial, or takes one in. Cancel safe.
    pub async fn step(&mut self, rng: &mut StdRng) -> Step {
        let due = self.state.next_due().into_iter().chain(self.trial_due).min();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {
                self.begin(rng);
                Step::Began
            }
            Some(ended) = self.surveys.join_next_with_id() => self.take_in(ended),
            Some(ended) = self.trials.join_next() => self.take_trial(ended),
        }
    }

    /// Takes in which addresses the custom DNS gave to a visit; a name whose answer changed is brought forward.
    pub fn hear(&mut self, resolution: &Resolution, now: Instant) {
        self.state.hear(&resolution.name, &resolution.addresses, now);
    }

    /// Takes the names of which the comparison in force makes another incident than before, or none any more.
    pub fn take_news(&mut self) -> Vec<Arc<str>> {
        self.state.take_news()
    }

    /// Brings a name forward whose endpoint was lost while it was resolved.
    pub fn hurry(&mut self, host: &Host) {
        if let Host::Name(name) = host {
            self.state.hurry(name, clock::now());
        }
    }

    /// Whether every name was compared, in a single round.
    pub fn is_settled(&self) -> bool {
        self.state.is_settled() && self.trials.is_empty() && self.trial_due.is_none()
    }

    /// The state behind the shell, for tests that play its part.
    #[cfg(test)]
    pub(crate) fn state(&mut self) -> &mut Comparisons {
        &mut self.state
    }

    /// Every name, to be looked up.
    pub fn names(&self) -> &Comparisons {
        &self.state
    }

    /// How many names are yet to be compared in a single round.
    pub fn remaining(&self) -> usize {
        self.state.remaining()
    }

    /// Names that a single round did not compare, since a server was silent or by a fault of this machine, in plain words.
    pub fn left_out(&self) -> Vec<String> {
        let names = |count: usize| if count == 1 { "1 name was".to_owned() } else { format!("{count} names were") };
        let silent = self.state.skipped().map(|(side, count)| {
            let server = match side {
                Server::Custom => "the custom DNS",
                Server::Azure => "Azure DNS",
            };
            format!("{} not compared: {server} did not answer", names(count))
        });
        silent.into_iter().chain(self.not_asked.iter().map(|(why, count)| format!("{} {why}", names(*count)))).collect()
    }

    /// Every name as it stands.
    pub fn views(&self) -> &NameViews {
        self.state.views()
    }

    /// The last trial of the servers; `None` before the first.
    pub fn trial(&self) -> Option<Arc<Trial>> {
        self.trial.clone()
    }

    fn begin(&mut self, rng: &mut StdRng) {
        if self.trial_due.is_some_and(|due| due <= clock::now()) {
            let (surveyor, rng) = (Arc::clone(&self.surveyor), StdRng::from_rng(&mut *rng));
            self.trials.spawn(async move { surveyor.trial(rng).await });
            self.trial_due = None;
        }
        for (index, name) in self.state.take_due(clock::now()) {
            let (surveyor, rng) = (Arc::clone(&self.surveyor), StdRng::from_rng(&mut *rng));
            let survey = self.surveys.spawn(async move { surveyor.survey(&name, rng).await });
            self.under_way.insert(survey.id(), index);
        }
    }

    fn take_in(&mut self, ended: Result<(task::Id, Result<Survey, NotAsked>), JoinError>) -> Step {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(index) = self.under_way.remove(&id) else { return Step::Began };
        match ended {
            Ok((_, Err(fault))) => {
                *self.not_asked.entry(fault).or_default() += 1;
                self.state.give_up(index, clock::now());
                Step::Began
            }
            Ok((_, Ok(mut survey))) => {
                survey.known.intercepted |= self.trial.as_ref().and_then(|trial| trial.intercepted) == Some(true);
                let heard = vec![(survey.server, survey.custom.outcome), (survey.azure_server, survey.azure.outcome)];
                self.state.take_in(index, survey, clock::wall(), clock::now());
                Step::Heard(heard)
            }
            Err(error) => {
                tracing::error!(%error, "a survey died; this is a defect of the agent");
                self.state.give_up(index, clock::now());
                Step::Began
            }
        }
    }

    fn take_trial(&mut self, ended: Result<Trial, JoinError>) -> Step {
        self.trial_due = self.trial_every.map(|every| clock::now() + every);
        match ended {
            Ok(trial) => {
                if trial.intercepted == Some(true) {
                    self.state.intercepted(trial.at);
                }
                let asked = trial.servers.iter().filter(|trial| trial.outcome.fault().is_none());
                let heard = asked.map(|trial| (trial.server, trial.outcome)).collect();
                self.trial = Some(Arc::new(trial));
                Step::Heard(heard)
            }
            Err(error) => {
                tracing::error!(%error, "a trial of the DNS servers died; this is a defect of the agent");
                Step::Began
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::config::tests::loaded;

    const EVERY: Rounds = Rounds::Endless { spread: Duration::ZERO };

    fn settings(server: &str) -> Settings {
        loaded(&format!(
            "profile: custom\nresolvers: {{custom: [{server}]}}\nendpoints:\n  add: [{{host: a.example, class: https}}]\n"
        ))
    }

    #[tokio::test]
    async fn a_server_that_was_silent_a_moment_ago_takes_no_time_of_the_next_name() {
        let [silent, good] = [bound().await, bound().await];
        let at = |socket: &UdpSocket| socket.local_addr().expect("bound");
        let surveyor =
            Surveyor { custom: vec![at(&silent), at(&good)], azure: at(&good), ..Surveyor::new(&settings("10.0.0.4")) };
        let living = at(&good);
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((length, from)) = good.recv_from(&mut bytes).await {
                // There is no such name, without EDNS.
                let mut answer = bytes[..length - 11].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x83]);
                answer[6..12].fill(0);
                drop(good.send_to(&answer, from).await);
            }
        });
        let mut asked = Vec::new();
        for _ in 0..2 {
            let survey = surveyor.survey("a.example", StdRng::from_seed([7; 32])).await.expect("this machine is well");
            assert_eq!((survey.server, survey.custom.outcome), (living, DnsOutcome::Nxdomain));
            let mut bytes = [0; 512];
            asked.push(std::iter::from_fn(|| silent.try_recv(&mut bytes).ok()).take(10).count() > 0);
        }
        assert_eq!(asked, [true, false]);
    }

    async fn bound() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").await.expect("loopback")
    }

    #[test]
    fn a_reload_makes_no_trial_out_of_turn_unless_it_names_other_servers() {
        let (one, other) = (settings("10.0.0.4"), settings("10.0.0.5"));
        let mut comparing = Comparing::new(&one, EVERY);
        let later = clock::now() + one.compare_every / 2;
        comparing.trial_due = Some(later);
        comparing.reload(&one, EVERY);
        assert_eq!(comparing.trial_due, Some(later));
        comparing.reload(&other, EVERY);
        assert!(comparing.trial_due.is_some_and(|due| due <= clock::now()), "who was never tried is tried at once");
    }
}
