//! One name compared round after round by hand, under the same rules of persistence as in the daemon.

use std::{sync::Arc, time::Duration};

use ase_probes::clock;
use rand::{SeedableRng, rngs::StdRng};

use crate::resolvers::{
    names::{Cadence, Comparisons, NameView},
    survey::Surveyor,
};

/// How many rounds, and how far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds, at least one.
    pub count: u32,
    /// Time from one round to the next.
    pub every: Duration,
}

/// Compares the name in every round and shows how it stands after each. Returns how it stands in the end.
pub async fn run(
    surveyor: &Surveyor,
    name: &str,
    plan: Plan,
    mut rng: StdRng,
    mut show: impl FnMut(u32, &NameView),
) -> Option<Arc<NameView>> {
    let mut state = Comparisons::new([name.to_owned()], Cadence::Every(plan.every), clock::now());
    for round in 1..=plan.count.max(1) {
        let due = state.next_due()?;
        tokio::time::sleep_until(due.into()).await;
        for (index, name) in state.take_due(due) {
            let survey = surveyor.survey(&name, StdRng::from_rng(&mut rng)).await;
            state.take_in(index, survey, clock::wall(), due);
        }
        state.views().first().iter().for_each(|view| show(round, view));
    }
    state.views().first().cloned()
}
