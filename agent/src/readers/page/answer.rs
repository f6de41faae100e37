//! The top of the first page: the answer in the words of `check`, how many endpoints stand how, and the estimated risk.

use std::time::Duration;

use askama::Template;

use super::{
    charts,
    course::{Course, RISK_EVERY, RISKS},
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, share},
};
use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::endpoint::{EndpointView, Status},
    readers::{
        headline,
        report::{self, Gravity},
        summary::{Summary, count, span},
        warnings,
    },
    risk::{
        estimate::{Estimate, Level},
        hysteresis::DOWN_AFTER,
    },
};

/// How far back the trend looks.
const TREND: Duration = Duration::from_secs(15 * 60);
/// What is said where something failed for long, and no class counts as lost.
const BORNE: &str =
    "What failed does not count: its class can do without it. The figure rises when more of the class is lost.";
/// In the place of the level while what failed may count in a moment: the figure is of before.
const TOO_EARLY: &str = "too early to say";
/// In the place of the level while something is lost and the figure is below every level: that is no all-clear.
const SO_FAR: &str = "so far";
/// In the place of the level where nothing can be tested: what is not known is no all-clear.
const NOT_KNOWN: &str = "not known";
/// How a trend upwards is said, and its sign.
const RISING: (&str, &str) = ("rising", "↗");
/// Changes below this are no trend: half a per cent.
const STEADY: f64 = 0.005;

#[derive(Template)]
#[template(path = "answer.html", whitespace = "minimize")]
struct Answer {
    standing: Standing,
    /// What is broken, while something is.
    broken: Option<Broken>,
    sentence: Text,
    /// How many more incidents are open.
    more: Option<String>,
    /// What keeps it from being in order beside how the endpoints stand.
    beside: Vec<Text>,
    /// Early warnings in force.
    warnings: usize,
    is_reload_refused: bool,
    clock: Option<Text>,
    taken: When,
    counts: Vec<(usize, Standing)>,
    vantage: Text,
}

/// The worst open incident in a sentence.
struct Broken {
    what: Text,
    since: When,
    mender: &'static str,
}

impl From<&report::Answer> for Broken {
    fn from(answer: &report::Answer) -> Self {
        Self { what: Text::from(&answer.broken), since: When::of(answer.since), mender: answer.mender }
    }
}

/// The answer.
pub(super) fn answer(snapshot: &Snapshot) -> Html {
    let summary = Summary::of(snapshot);
    let counts = [
        (summary.failed, BAD),
        (summary.degraded, PART),
        (summary.unknown, NONE.said("unknown")),
        (summary.healthy, GOOD),
        (summary.not_configured, Standing { class: "none", sign: "○", word: "not configured" }),
    ];
    let worst = report::answer(snapshot);
    let more = worst.as_ref().map_or(0, |worst| worst.more);
    Html::of(&Answer {
        standing: standing(snapshot, &summary),
        broken: worst.as_ref().map(Broken::from),
        sentence: Text::from(sentence(snapshot, &summary)),
        beside: beside(snapshot, &summary),
        warnings: warnings::of(snapshot).iter().filter(|warning| warning.part_of.is_none()).count(),
        is_reload_refused: !snapshot.agent.reload_ok,
        more: (more > 0).then(|| count(more, "more incident")),
        clock: headline::clock(snapshot).map(Text::from),
        taken: When::of(snapshot.at),
        counts: counts.into_iter().filter(|(count, _)| *count > 0).collect(),
        vantage: Text::from(&snapshot.agent.vantage),
    })
}

/// The title of the tab: the sign and the answer. Its script cannot say a title's time in the reader's zone.
pub(super) fn title(snapshot: &Snapshot) -> String {
    let summary = Summary::of(snapshot);
    let sign = standing(snapshot, &summary).sign;
    match report::answer(snapshot) {
        Some(report::Answer { broken, since, mender, .. }) => {
            format!("{sign} {}, since {}; {mender}", Text::from(broken), When::of(since).short(snapshot.at))
        }
        None => format!("{sign} {}", sentence(snapshot, &summary)),
    }
}

/// How many endpoints stand how, in a sentence: that of the report, but for an all-clear that something else belies.
fn sentence(snapshot: &Snapshot, summary: &Summary) -> String {
    let proves = if summary.healthy == 1 { "proves its peer" } else { "prove their peer" };
    let healthy = || format!("{} {proves} at the moment", count(summary.healthy, "endpoint"));
    match (is_all_well(summary), snapshot.incidents.open.is_empty(), suspended(snapshot)) {
        (true, true, Some(suspended)) => format!("{suspended}, though {}", healthy()),
        (true, false, _) => healthy(),
        _ => summary.sentence(),
    }
}

/// What is said below the first sentence: of an environment that is suspended, where that sentence is about something else,
/// and of an incident that is open and not the case.
fn beside(snapshot: &Snapshot, summary: &Summary) -> Vec<Text> {
    let incidents = report::worst_first(snapshot);
    let is_said = is_all_well(summary) && incidents.is_empty();
    let quiet = incidents.first().filter(|worst| snapshot.incidents.is_quiet(worst)).map(|worst| {
        format!("{} is not lost at the moment; it comes and goes, and is open until it stays away", worst.component)
    });
    let suspended = suspended(snapshot).filter(|_| !is_said);
    quiet.into_iter().chain(suspended).map(Text::from).collect()
}

fn is_all_well(summary: &Summary) -> bool {
    summary.exit_code() == 0 && summary.endpoints() > 0
}

/// That the environment is suspended, where its own word says so.
fn suspended(snapshot: &Snapshot) -> Option<String> {
    let environment = &snapshot.environment.as_ref()?.environment;
    (environment.suspended == Some(true)).then(|| format!("{} is suspended, says the management API", environment.name))
}

/// How the whole stands. An open incident looks here as it does everywhere: never in order, and never as if nothing were known.
fn standing(snapshot: &Snapshot, summary: &Summary) -> Standing {
    let (is_dark, is_calm) = (summary.unknown == summary.endpoints(), snapshot.incidents.open.is_empty());
    match summary.exit_code() {
        _ if suspended(snapshot).is_some() => BAD.said("suspended"),
        _ if is_all_well(summary) && is_calm => GOOD.said("in order"),
        1 => BAD.said("lost"),
        _ if is_dark && is_calm => NONE.said("not known"),
        _ if summary.unknown > 0 && is_unjudged(snapshot) => PART.said("not all judged"),
        _ => PART.said("look closer"),
    }
}

/// Whether the worst that is known is that something cannot be judged.
fn is_unjudged(snapshot: &Snapshot) -> bool {
    let views = report::views(snapshot);
    report::worst_first(snapshot).first().is_some_and(|worst| report::gravity(worst, &views) == Gravity::Unjudged)
}

#[derive(Template)]
#[template(path = "risk.html", whitespace = "minimize")]
struct Risk {
    is_known: bool,
    /// Whether the word beside the figure is one of its levels, which are named after what is to be done.
    is_level: bool,
    level: &'static str,
    class: &'static str,
    total: String,
    trend: &'static str,
    sign: &'static str,
    horizon: String,
    to_horizon: Option<String>,
    line: String,
    /// What the line's field is: its width in time, how much of that is known, and its height.
    field: String,
    counts: Option<String>,
    untested: Option<String>,
    suspends: bool,
    means: Text,
}

/// What the figure is called: a product that is never suspended has no risk of it.
pub(super) fn risk_title(snapshot: &Snapshot) -> &'static str {
    if snapshot.catalog.stakes.suspends { "Estimated risk of suspension" } else { "Weight of what is lost" }
}

/// The estimated risk of suspension, or how much weighs what is lost where nothing is ever suspended.
pub(super) fn risk(snapshot: &Snapshot, course: &Course) -> Html {
    let stakes = &snapshot.catalog.stakes;
    let (suspends, means) = (stakes.suspends, Text::from(&stakes.means));
    let Some(estimate) = &snapshot.risk else {
        let (level, class, trend, sign) = ("", "none", "", "");
        let (total, horizon, line, field) = Default::default();
        return Html::of(&Risk {
            is_known: false,
            is_level: false,
            level,
            class,
            total,
            trend,
            sign,
            horizon,
            to_horizon: None,
            line,
            field,
            counts: None,
            untested: None,
            suspends,
            means,
        });
    };
    let values: Vec<f64> = course.risks().map(|(_, risk)| risk).collect();
    let has_failures = Summary::of(snapshot).failed > 0;
    let (untested, is_dark) = (untested(snapshot), is_dark(snapshot, estimate));
    let Figure { total, level, class, to_horizon } = figure(snapshot, estimate);
    let counts = counts(snapshot, estimate, has_failures);
    // What failed and does not count yet would make it rise: whatever is said of before would be an all-clear.
    let is_still = is_dark || has_failures && !is_counting(estimate);
    let (trend, sign) = match (rises(estimate), is_still) {
        (true, _) => RISING,
        (false, true) => Default::default(),
        (false, false) => trend(snapshot.at, estimate.total, course).unwrap_or_default(),
    };
    let top = values.iter().copied().fold(estimate.total, f64::max).max(0.1);
    Html::of(&Risk {
        is_known: true,
        is_level: estimate.level != Level::None,
        level,
        class,
        total,
        trend,
        sign,
        horizon: span(estimate.horizon),
        to_horizon,
        // What is known of a few minutes would be a speck in a field of hours.
        line: if known(snapshot.at, course) >= TREND { charts::line(&values, RISKS, top) } else { String::new() },
        field: field(snapshot.at, course, top),
        counts,
        untested: not_counted(&untested, is_dark),
        suspends,
        means,
    })
}

/// The figure of the risk and what is said with it, wherever it stands.
pub(super) struct Figure {
    /// The estimate; a sign where nothing can be tested.
    pub(super) total: String,
    /// The level, or why there is none.
    pub(super) level: &'static str,
    /// How it looks.
    pub(super) class: &'static str,
    /// When the assumed horizon comes, or that it is past.
    pub(super) to_horizon: Option<String>,
}

/// The figure of the risk.
pub(super) fn figure(snapshot: &Snapshot, estimate: &Estimate) -> Figure {
    let is_lost = Summary::of(snapshot).failed > 0 || is_counting(estimate);
    let (has_untested, is_dark) = (!untested(snapshot).is_empty(), is_dark(snapshot, estimate));
    let is_too_early = is_too_early(snapshot, estimate) && estimate.level == Level::None;
    Figure {
        total: if is_dark || is_too_early && estimate.total <= 0.0 {
            NONE.sign.to_owned()
        } else {
            share(estimate.total)
        },
        level: match estimate.level {
            Level::None if is_too_early => TOO_EARLY,
            Level::None if is_dark => NOT_KNOWN,
            Level::None if is_lost || has_untested => SO_FAR,
            level => level.label(),
        },
        class: match estimate.level.threshold() {
            threshold if threshold >= 0.5 => "bad",
            threshold if threshold > 0.0 || is_lost => "part",
            _ if has_untested || is_dark => "none",
            _ => "good",
        },
        to_horizon: estimate.to_horizon.map(|left| match left.is_zero() {
            true => "past the assumed horizon".to_owned(),
            false => format!("the horizon in {} if nothing changes", span(left)),
        }),
    }
}

/// Whether nothing can be tested and nothing was lost before.
fn is_dark(snapshot: &Snapshot, estimate: &Estimate) -> bool {
    let summary = Summary::of(snapshot);
    summary.unknown == summary.endpoints() && estimate.total <= 0.0
}

/// The classes of which nothing can be tested.
fn untested(snapshot: &Snapshot) -> Vec<&'static str> {
    let is_dark = |class: &&ClassView| class.endpoints > 0 && class.is_up().is_none();
    snapshot.classes.iter().filter(is_dark).map(|class| class.class.label()).collect()
}

/// What the figure says nothing of.
fn not_counted(untested: &[&str], is_dark: bool) -> Option<String> {
    match untested {
        _ if is_dark => Some("Nothing is tested, so nothing is known of what is lost.".to_owned()),
        [] => None,
        classes => Some(format!("It says nothing of {}: nothing there can be tested.", classes.join(", "))),
    }
}

/// Whether a class counts as lost now.
fn is_counting(estimate: &Estimate) -> bool {
    estimate.losses.values().any(|loss| *loss > 0.0)
}

/// Whether the estimate rises as long as nothing changes, whatever its last points say.
fn rises(estimate: &Estimate) -> bool {
    estimate.to_level.is_some() || estimate.to_horizon.is_some_and(|left| !left.is_zero())
}

/// What the figure counts from and when it would rise, where something is lost; a small figure beside a loss says nothing
/// without that.
fn counts(snapshot: &Snapshot, estimate: &Estimate, has_failures: bool) -> Option<String> {
    let lost = estimate.losses.iter().filter(|(_, loss)| **loss > 0.0);
    let lost: Vec<String> = lost
        .map(|(class, _)| format!("{class} for {}", span(estimate.lost.get(class).copied().unwrap_or_default())))
        .collect();
    if lost.is_empty() {
        return has_failures.then(|| not_counted_yet(snapshot).unwrap_or_else(|| BORNE.to_owned()));
    }
    let next = estimate.to_level.map(|(level, left)| {
        format!("; {} ({}) in {} if nothing changes", share(level.threshold()), level.label(), span(left))
    });
    Some(format!("It counts from when the loss was confirmed: {}{}.", lost.join(", "), next.unwrap_or_default()))
}

/// When a fresh loss counts, at the latest; `None` where all that failed has done so often enough to count.
fn not_counted_yet(snapshot: &Snapshot) -> Option<String> {
    let failed = snapshot.endpoints.iter().filter(|view| matches!(view.status, Status::Failed(_)));
    let left = failed.filter_map(|view| missing(view)).min()?;
    Some(format!(
        "A loss counts from the third bad sample in a row on, here within {}, if more of its class is lost than the class can do without. Then the figure rises.",
        span(left)
    ))
}

/// In which time an endpoint that fails has failed often enough to count; it is asked at least once in its interval. The first
/// failure counts with its confirmation, as one.
pub(super) fn missing(view: &EndpointView) -> Option<Duration> {
    let bad = u64::from(view.reach.trailing_zeros()).min(view.attempts).saturating_sub(1);
    let missing = u64::from(DOWN_AFTER).saturating_sub(bad);
    (missing > 0).then(|| view.endpoint.interval * missing as u32)
}

/// Whether something failed that may count in a moment, while nothing counts.
fn is_too_early(snapshot: &Snapshot, estimate: &Estimate) -> bool {
    !is_counting(estimate) && not_counted_yet(snapshot).is_some()
}

/// How the risk moved lately: a word and a sign; nothing while too little of it is known.
fn trend(now: Duration, total: f64, course: &Course) -> Option<(&'static str, &'static str)> {
    let is_old = |(at, _): &(Duration, f64)| now.saturating_sub(*at) >= TREND;
    let (_, before) = course.risks().rev().find(is_old)?;
    Some(match total - before {
        change if change > STEADY => RISING,
        change if change < -STEADY => ("falling", "↘"),
        _ => ("steady", "→"),
    })
}

/// Of how much time the risk is known.
fn known(now: Duration, course: &Course) -> Duration {
    now.saturating_sub(course.risks().next().map_or(now, |(first, _)| first))
}

/// How wide and how high the field is in which the risk is drawn.
fn field(now: Duration, course: &Course, top: f64) -> String {
    let (width, known) = (RISK_EVERY * RISKS as u32, known(now, course));
    let part = if known < width - RISK_EVERY { format!(", of which {} are known", span(known)) } else { String::new() };
    format!("the last {}{part}; the upper edge is {}", span(width), share(top))
}

#[cfg(test)]
mod tests;
