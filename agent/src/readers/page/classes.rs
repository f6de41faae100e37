//! The classes: how each stands, how much of it answered in the last day, and what it adds to the risk; and the same in a line
//! for a wall.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;

use super::{
    answer,
    charts::{self, Path},
    course::Course,
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, share},
};
use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::endpoint::{EndpointView, Status},
    readers::summary::span,
};

/// In the place of a class's risk while what failed of it may count in a moment.
const TOO_EARLY: &str = "too early";

#[derive(Template)]
#[template(path = "classes.html", whitespace = "minimize")]
struct Table {
    rows: Vec<Row>,
    /// Since when anything is known, where the bars have room for more.
    since: Option<When>,
    has_risk: bool,
}

struct Row {
    class: &'static str,
    standing: Standing,
    /// How many could not be judged, and why.
    untested: Option<Text>,
    answering: String,
    unfilled: usize,
    bars: Vec<Path>,
    share: Option<String>,
    /// Nothing of it can be tested: the share and the risk are of the time in which something could.
    is_dark: bool,
    risk: Option<String>,
    lost: Option<String>,
}

/// The table.
pub(super) fn table(snapshot: &Snapshot, course: &Course) -> Html {
    let rows = snapshot.classes.iter().map(|class| row(snapshot, class, course)).collect();
    let since = course.known_since(snapshot.at).map(When::of);
    Html::of(&Table { rows, since, has_risk: snapshot.risk.is_some() })
}

#[derive(Template)]
#[template(path = "wall.html", whitespace = "minimize")]
struct Wall {
    risk_title: &'static str,
    risk: Option<answer::Figure>,
    classes: Vec<(&'static str, Standing)>,
}

/// What a wall shows below the answer, where the table and the risk are out of sight as soon as an incident is open: both
/// again in a line.
pub(super) fn wall(snapshot: &Snapshot) -> Html {
    let risk = snapshot.risk.as_ref();
    let watched = snapshot.classes.iter().filter(|class| class.endpoints > 0);
    Html::of(&Wall {
        risk_title: answer::risk_title(snapshot),
        risk: risk.map(|estimate| answer::figure(snapshot, estimate)),
        classes: watched.map(|class| (class.class.label(), standing(snapshot, class))).collect(),
    })
}

fn row(snapshot: &Snapshot, class: &ClassView, course: &Course) -> Row {
    let bars = course.bars(class.class);
    let risk = snapshot.risk.as_ref();
    let is_dark = class.endpoints > 0 && class.is_up().is_none();
    let now = risk.and_then(|risk| risk.classes.get(&class.class)).copied().unwrap_or_default();
    let lost = risk.and_then(|risk| risk.lost.get(&class.class)).filter(|lost| lost.as_secs() > 0);
    Row {
        class: class.class.label(),
        standing: standing(snapshot, class),
        untested: untested(snapshot, class).map(Text::from),
        answering: format!("{} of {}", class.up, class.endpoints),
        unfilled: class.not_configured,
        bars: charts::uptime(bars, snapshot.at),
        share: bars.and_then(|bars| bars.share(snapshot.at)).map(share),
        is_dark,
        // What was lost before counts on; that nothing was says nothing of now.
        risk: (now > 0.0 || !is_dark)
            .then(|| if now <= 0.0 && is_too_early(snapshot, class) { TOO_EARLY.to_owned() } else { share(now) }),
        lost: lost.map(|lost| span(*lost)),
    }
}

/// Whether something of a class failed so lately that it does not count yet.
fn is_too_early(snapshot: &Snapshot, class: &ClassView) -> bool {
    let failed =
        |view: &&Arc<EndpointView>| matches!(view.status, Status::Failed(_)) && view.endpoint.class == class.class;
    snapshot.endpoints.iter().filter(failed).any(|view| answer::missing(view).is_some())
}

/// How many could not be judged, and why most of them. Its bars tell of what could be, and may all be good.
fn untested(snapshot: &Snapshot, class: &ClassView) -> Option<String> {
    let reason = |view: &Arc<EndpointView>| match view.status {
        Status::Healthy | Status::Degraded(_) | Status::Failed(_) => None,
        Status::Unknown(why) => Some(why.reason()),
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let of_class = snapshot.endpoints.iter().filter(|view| view.endpoint.class == class.class);
    of_class.filter_map(reason).for_each(|reason| *reasons.entry(reason).or_default() += 1);
    let (reason, _) = reasons.into_iter().max_by_key(|(_, number)| *number)?;
    Some(format!("{} could not be judged: {reason}", class.unknown))
}

fn standing(snapshot: &Snapshot, class: &ClassView) -> Standing {
    let is_degraded = |status| matches!(status, Status::Degraded(_));
    let of_class = || snapshot.endpoints.iter().filter(|view| view.endpoint.class == class.class);
    match (class.is_up(), class.endpoints) {
        (None, 0) => Standing { class: "none", sign: "○", word: "not configured" },
        (None, _) => NONE,
        (Some(false), _) => BAD.said("down"),
        (Some(true), all) if class.up == all && !of_class().any(|view| is_degraded(view.status)) => GOOD.said("up"),
        (Some(true), _) => PART.said("impaired"),
    }
}

#[cfg(test)]
mod tests;
