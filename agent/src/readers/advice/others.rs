//! What to type to see whether an incident has another cause than the one that is named.

use std::borrow::Cow;

use ase_probes::verdict::Finding;

use super::{Advice, Known, Shown, expected};
use crate::{
    engine::snapshot::Snapshot,
    model::diagnosis::{Alternative, Incident},
};

/// A command, and what it shows where it was the right one to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// As it is typed.
    pub(crate) command: String,
    /// In a few words.
    pub(crate) expected: Option<Cow<'static, str>>,
}

/// What to type to see whether an incident has this other cause, and what that shows if it has.
pub(crate) fn of_other(other: &Alternative, incident: &Incident, snapshot: &Snapshot) -> Option<Typed> {
    let finding = Finding { cause: other.cause, ..incident.finding };
    let asked = Incident { finding, hint: None, ..incident.clone() };
    let shown = Shown::of(incident, snapshot)?;
    let command = shown.of_other(other, &asked, snapshot)?;
    let expected = expected::of(&command, other.cause, &Known::of(Some(&shown), snapshot));
    Some(Typed { command, expected })
}

/// Every other cause with what to type for it, as one reads them below this advice: what stands above already is not typed
/// twice.
pub(crate) fn others<'a>(
    incident: &'a Incident,
    advice: &Advice,
    snapshot: &Snapshot,
) -> Vec<(&'a Alternative, Option<Typed>)> {
    let mut above = advice.every_command();
    let mut other = |alternative: &'a Alternative| {
        let typed = of_other(alternative, incident, snapshot).filter(|typed| !above.contains(&typed.command));
        above.extend(typed.iter().map(|typed| typed.command.clone()));
        (alternative, typed)
    };
    incident.alternatives.iter().map(&mut other).collect()
}
