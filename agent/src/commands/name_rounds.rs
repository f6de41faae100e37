//! One name compared round after round by hand, under the same rules of persistence as in the daemon.

use std::{sync::Arc, time::Duration};

use ase_probes::clock;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    commands::failure::Failure,
    resolvers::{
        names::{Cadence, Comparisons, NameView},
        survey::Surveyor,
    },
};

/// How many rounds, and how far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds, at least one.
    pub count: u32,
    /// Time from one round to the next.
    pub every: Duration,
}

/// Compares the name in every round and shows how it stands after each, as long as somebody reads. Returns how it stands in
/// the end.
///
/// # Errors
/// A fault of this machine, or words that cannot be written.
pub async fn run(
    surveyor: &Surveyor,
    name: &str,
    plan: Plan,
    mut rng: StdRng,
    mut show: impl FnMut(u32, &NameView) -> Result<bool, Failure>,
) -> Result<Arc<NameView>, Failure> {
    let mut state = Comparisons::new([name.to_owned()], Cadence::Every(plan.every), clock::now());
    for round in 1..=plan.count.max(1) {
        let Some(due) = state.next_due() else { break };
        tokio::time::sleep_until(due.into()).await;
        for (index, name) in state.take_due(due) {
            let survey = surveyor.survey(&name, StdRng::from_rng(&mut rng)).await;
            let survey = survey.map_err(|fault| Failure::other(format!("{name}: {fault}")))?;
            state.take_in(index, survey, clock::wall(), due);
        }
        if let Some(view) = state.views().first()
            && !show(round, view)?
        {
            break;
        }
    }
    state.views().first().cloned().ok_or_else(|| Failure::other("no round was made"))
}
