//! The top of the first page: the answer in the words of `check`, how many endpoints stand how, and the estimated risk.

use std::time::Duration;

use askama::Template;

use super::{
    charts,
    course::Course,
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, share, span},
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{report, summary::Summary},
};

/// How far back the trend looks.
const TREND: Duration = Duration::from_secs(15 * 60);
/// Changes below this are no trend: half a per cent.
const STEADY: f64 = 0.005;

#[derive(Template)]
#[template(path = "answer.html", whitespace = "minimize")]
struct Answer {
    standing: Standing,
    sentence: Text,
    worst: Option<Text>,
    taken: When,
    counts: Vec<(usize, Standing)>,
    vantage: Text,
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
    Html::of(&Answer {
        standing: standing(&summary),
        sentence: Text::from(summary.sentence()),
        worst: report::broken(snapshot).map(Text::from),
        taken: When::of(snapshot.at),
        counts: counts.into_iter().filter(|(count, _)| *count > 0).collect(),
        vantage: Text::from(&snapshot.agent.vantage),
    })
}

/// The title of the tab: the sign and what matters.
pub(super) fn title(snapshot: &Snapshot) -> String {
    let summary = Summary::of(snapshot);
    format!("{} {}", standing(&summary).sign, summary.sentence())
}

fn standing(summary: &Summary) -> Standing {
    let is_dark = summary.unknown == summary.endpoints();
    match summary.exit_code() {
        0 if summary.endpoints() > 0 => GOOD.said("in order"),
        1 => BAD.said("lost"),
        _ if is_dark => NONE.said("not known"),
        _ => PART.said("look closer"),
    }
}

#[derive(Template)]
#[template(path = "risk.html", whitespace = "minimize")]
struct Risk {
    is_known: bool,
    level: &'static str,
    class: &'static str,
    total: String,
    trend: &'static str,
    sign: &'static str,
    horizon: String,
    to_horizon: Option<String>,
    line: String,
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
        let (total, horizon, line) = Default::default();
        return Html::of(&Risk {
            is_known: false,
            level,
            class,
            total,
            trend,
            sign,
            horizon,
            to_horizon: None,
            line,
            suspends,
            means,
        });
    };
    let values: Vec<f64> = course.risks().map(|(_, risk)| risk).collect();
    let (trend, sign) = trend(snapshot.at, estimate.total, course);
    let top = values.iter().copied().fold(estimate.total, f64::max).max(0.1);
    Html::of(&Risk {
        is_known: true,
        level: estimate.level.label(),
        class: match estimate.level.threshold() {
            threshold if threshold >= 0.5 => "bad",
            threshold if threshold > 0.0 => "part",
            _ => "good",
        },
        total: share(estimate.total),
        trend,
        sign,
        horizon: span(estimate.horizon),
        to_horizon: estimate.to_horizon.map(span),
        line: if values.len() > 1 { charts::line(&values, values.len(), top) } else { String::new() },
        suspends,
        means,
    })
}

/// How the risk moved lately: a word and a sign.
fn trend(now: Duration, total: f64, course: &Course) -> (&'static str, &'static str) {
    let is_old = |(at, _): &(Duration, f64)| now.saturating_sub(*at) >= TREND;
    let before = course.risks().rev().find(is_old).or_else(|| course.risks().next());
    match before.map_or(0.0, |(_, before)| total - before) {
        change if change > STEADY => ("rising", "↗"),
        change if change < -STEADY => ("falling", "↘"),
        _ => ("steady", "→"),
    }
}
