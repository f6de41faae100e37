//! The shell around the comparisons: makes the surveys that are due and takes in what they show.

use std::{collections::BTreeMap, sync::Arc};

use ase_probes::clock;
use rand::{SeedableRng, rngs::StdRng};
use tokio::task::{self, JoinError, JoinSet};

use crate::{
    catalog::{Catalog, Host},
    comparisons::{Cadence, Comparisons, NameView},
    dns_survey::{Survey, Surveyor},
    schedule::Rounds,
    settings::Settings,
};

/// Surveys under way and the state they feed.
#[derive(Debug)]
pub struct Comparing {
    state: Comparisons,
    surveyor: Arc<Surveyor>,
    surveys: JoinSet<Survey>,
    under_way: BTreeMap<task::Id, usize>,
}

impl Comparing {
    /// Prepares the comparison of every name that these settings watch.
    pub fn new(settings: &Settings, rounds: Rounds) -> Self {
        let cadence = match rounds {
            Rounds::Endless { .. } => Cadence::Every(settings.compare_every),
            Rounds::One => Cadence::Once,
        };
        Self {
            state: Comparisons::new(names(settings), cadence, clock::now()),
            surveyor: Arc::new(Surveyor::new(settings)),
            surveys: JoinSet::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Takes new settings in force; names that stay keep what is known of them.
    pub fn reload(&mut self, settings: &Settings, rounds: Rounds) {
        let earlier = std::mem::replace(self, Self::new(settings, rounds));
        self.state.inherit(earlier.state);
    }

    /// Does the next thing there is to do: begins a survey, or takes one in. Cancel safe.
    pub async fn step(&mut self, rng: &mut StdRng) {
        let due = self.state.next_due();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => self.begin(rng),
            Some(ended) = self.surveys.join_next_with_id() => self.take_in(ended),
        }
    }

    /// Brings a name forward whose endpoint was lost while it was resolved.
    pub fn hurry(&mut self, host: &Host) {
        if let Host::Name(name) = host {
            self.state.hurry(name, clock::now());
        }
    }

    /// Whether every name was compared, in a single round.
    pub fn is_settled(&self) -> bool {
        self.state.is_settled()
    }

    /// Every name as it stands.
    pub fn views(&self) -> Vec<Arc<NameView>> {
        self.state.views()
    }

    fn begin(&mut self, rng: &mut StdRng) {
        for (index, name) in self.state.take_due(clock::now()) {
            let (surveyor, rng) = (Arc::clone(&self.surveyor), StdRng::from_rng(rng));
            let survey = self.surveys.spawn(async move { surveyor.survey(&name, rng).await });
            self.under_way.insert(survey.id(), index);
        }
    }

    fn take_in(&mut self, ended: Result<(task::Id, Survey), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(index) = self.under_way.remove(&id) else { return };
        match ended {
            Ok((_, survey)) => self.state.take_in(index, survey, clock::wall(), clock::now()),
            Err(error) => {
                tracing::error!(%error, "a survey died; this is a defect of the agent");
                self.state.give_up(index, clock::now());
            }
        }
    }
}

/// Every name that the catalogue or the configuration watches, each once.
pub fn names(settings: &Settings) -> Vec<String> {
    let mut names = names_of(&settings.catalog);
    names.extend(settings.declared.compared.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// Every name of a catalogue.
fn names_of(catalog: &Catalog) -> Vec<String> {
    let hosts = catalog.endpoints.iter().map(|endpoint| &endpoint.host);
    hosts
        .filter_map(|host| match host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        })
        .collect()
}
