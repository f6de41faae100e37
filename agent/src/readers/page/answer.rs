//! The top of the first page: the answer in the words of `check`, how many endpoints stand how, and the estimated risk.

use std::time::Duration;

use askama::Template;

use super::{
    charts,
    course::Course,
    headline,
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, share, span},
};
use crate::{
    engine::snapshot::{ClassView, Snapshot},
    readers::{report, summary::Summary},
    risk::estimate::{Estimate, Level},
};

/// How far back the trend looks.
const TREND: Duration = Duration::from_secs(15 * 60);
/// What is said while something failed and no class counts as lost.
const NOT_COUNTED: &str = "What failed does not count yet: it does from the third bad sample in a row on, where its class loses more \
                           than it can bear, and rises from then on.";
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
    sentence: Text,
    worst: Option<Text>,
    clock: Option<Text>,
    /// Since when the worst incident is open.
    since: Option<When>,
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
        standing: standing(snapshot, &summary),
        sentence: Text::from(summary.sentence()),
        worst: report::broken(snapshot).map(Text::from),
        clock: headline::clock(snapshot).map(Text::from),
        since: report::worst_first(snapshot).first().map(|worst| When::of(worst.since)),
        taken: When::of(snapshot.at),
        counts: counts.into_iter().filter(|(count, _)| *count > 0).collect(),
        vantage: Text::from(&snapshot.agent.vantage),
    })
}

/// The title of the tab: the sign and what matters.
pub(super) fn title(snapshot: &Snapshot) -> String {
    let summary = Summary::of(snapshot);
    format!("{} {}", standing(snapshot, &summary).sign, summary.sentence())
}

/// How the whole stands. An open incident looks here as it does everywhere: never in order, and never as if nothing were known.
fn standing(snapshot: &Snapshot, summary: &Summary) -> Standing {
    let (is_dark, is_calm) = (summary.unknown == summary.endpoints(), snapshot.incidents.open.is_empty());
    match summary.exit_code() {
        0 if summary.endpoints() > 0 && is_calm => GOOD.said("in order"),
        1 => BAD.said("lost"),
        _ if is_dark && is_calm => NONE.said("not known"),
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
            counts: None,
            untested: None,
            suspends,
            means,
        });
    };
    let values: Vec<f64> = course.risks().map(|(_, risk)| risk).collect();
    let summary = Summary::of(snapshot);
    let has_failures = summary.failed > 0;
    let is_lost = has_failures || is_counting(estimate);
    let untested = untested(snapshot);
    let is_dark = summary.unknown == summary.endpoints() && estimate.total <= 0.0;
    // What failed and does not count yet would make it rise: nothing is steady then.
    let is_still = is_dark || has_failures && !is_counting(estimate);
    let (trend, sign) = match (rises(estimate), is_still) {
        (true, _) => RISING,
        (false, true) => ("", ""),
        (false, false) => trend(snapshot.at, estimate.total, course),
    };
    let top = values.iter().copied().fold(estimate.total, f64::max).max(0.1);
    Html::of(&Risk {
        is_known: true,
        level: match estimate.level {
            Level::None if is_dark => NOT_KNOWN,
            Level::None if is_lost || !untested.is_empty() => SO_FAR,
            level => level.label(),
        },
        class: match estimate.level.threshold() {
            threshold if threshold >= 0.5 => "bad",
            threshold if threshold > 0.0 || is_lost => "part",
            _ if !untested.is_empty() || is_dark => "none",
            _ => "good",
        },
        total: if is_dark { NONE.sign.to_owned() } else { share(estimate.total) },
        trend,
        sign,
        horizon: span(estimate.horizon),
        to_horizon: estimate.to_horizon.map(span),
        line: if values.len() > 1 { charts::line(&values, values.len(), top) } else { String::new() },
        counts: counts(estimate, has_failures),
        untested: not_counted(&untested, is_dark),
        suspends,
        means,
    })
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
fn counts(estimate: &Estimate, has_failures: bool) -> Option<String> {
    let lost = estimate.losses.iter().filter(|(_, loss)| **loss > 0.0);
    let lost: Vec<String> = lost
        .map(|(class, _)| format!("{class} for {}", span(estimate.lost.get(class).copied().unwrap_or_default())))
        .collect();
    if lost.is_empty() {
        return has_failures.then(|| NOT_COUNTED.to_owned());
    }
    let next = estimate.to_level.map(|(level, left)| {
        format!("; {} ({}) in {} if nothing changes", share(level.threshold()), level.label(), span(left))
    });
    Some(format!("It counts from when the loss was confirmed: {}{}.", lost.join(", "), next.unwrap_or_default()))
}

/// How the risk moved lately: a word and a sign.
fn trend(now: Duration, total: f64, course: &Course) -> (&'static str, &'static str) {
    let is_old = |(at, _): &(Duration, f64)| now.saturating_sub(*at) >= TREND;
    let before = course.risks().rev().find(is_old).or_else(|| course.risks().next());
    match before.map_or(0.0, |(_, before)| total - before) {
        change if change > STEADY => RISING,
        change if change < -STEADY => ("falling", "↘"),
        _ => ("steady", "→"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ase_probes::class::Class;

    use super::*;
    use crate::{
        model::{assumptions::Assumptions, endpoint::Status, visit::Untested},
        readers::page::incidents,
        risk::estimate::{Loss, Risk},
        sample,
    };

    /// The tile beside a sample whose SQL is lost whole for so long, as its clock counts it.
    fn tile(lost: f64, elapsed: Duration, has_failures: bool) -> String {
        let mut snapshot = sample::snapshot();
        if !has_failures {
            sample::set_all(&mut snapshot, Status::Healthy);
        }
        let mut clocks = Risk::new(Assumptions::default(), Class::ALL);
        clocks.step(1, &BTreeMap::from([(Class::Sql, Loss::Known(lost))]), elapsed);
        snapshot.risk = Some(clocks.estimate());
        risk(&snapshot, &Course::default()).into_string()
    }

    #[test]
    fn beside_a_fresh_loss_the_figure_looks_like_no_all_clear() {
        for (lost, elapsed) in [(1.0, 0), (1.0, 60), (0.0, 60)] {
            let fresh = tile(lost, Duration::from_secs(elapsed), true);
            assert!(fresh.contains("<p class=\"figure part\">") && fresh.contains("<span>so far</span>"), "{fresh}");
            assert!(!fresh.contains(">none<") && !fresh.contains("good") && !fresh.contains("steady"), "{fresh}");
            assert_eq!(fresh.contains("↗</span> rising; the horizon in"), lost > 0.0, "{fresh}");
        }
        let calm = tile(0.0, Duration::from_secs(60), false);
        assert!(calm.contains("<p class=\"figure good\">") && calm.contains("<span>none</span>"), "{calm}");
        let late = tile(1.0, Duration::from_secs(9000), true);
        assert!(late.contains("<p class=\"figure bad\">") && late.contains("<span>page</span>"), "{late}");
    }

    #[test]
    fn where_nothing_can_be_tested_the_figure_neither_looks_nor_reads_as_an_all_clear() {
        let mut snapshot = sample::snapshot();
        snapshot.risk = Some(Risk::new(Assumptions::default(), Class::ALL).estimate());
        sample::set_all(&mut snapshot, Status::Unknown(Untested::NotYet));
        let dark = risk(&snapshot, &Course::default()).into_string();
        assert!(dark.contains("<p class=\"figure none\"><b>?</b> <span>not known</span>"), "{dark}");
        for fine in ["0 %", "good", "steady", "<span>none</span>"] {
            assert!(!dark.contains(fine), "{fine}: {dark}");
        }
        assert!(dark.contains("Nothing is tested"), "{dark}");
        sample::set_all(&mut snapshot, Status::Healthy);
        let class = &mut snapshot.classes[0];
        (class.up, class.failed, class.unknown) = (0, 0, class.endpoints);
        let part = risk(&snapshot, &Course::default()).into_string();
        assert!(part.contains("<p class=\"figure none\">") && part.contains("<span>so far</span>"), "{part}");
        assert!(part.contains("It says nothing of dns: nothing there can be tested."), "{part}");
        snapshot.endpoints.clear();
        assert!(!risk(&snapshot, &Course::default()).into_string().contains("good"), "nothing is watched");
    }

    #[test]
    fn an_open_incident_is_neither_in_order_nor_unknown_to_the_answer() {
        let mut snapshot = sample::snapshot();
        for (status, word) in
            [(Status::Healthy, "quiet at the moment"), (Status::Unknown(Untested::NotYet), "endpoints not judged")]
        {
            sample::set_all(&mut snapshot, status);
            let open = answer(&snapshot).into_string();
            assert!(open.starts_with("<div class=\"answer part\""), "{open}");
            assert!(title(&snapshot).starts_with(PART.sign), "{}", title(&snapshot));
            let card = incidents::cards(&snapshot, &Course::default()).into_string();
            assert!(card.contains("<article class=\"card part\"") && card.contains(word), "{card}");
        }
    }

    /// What is said of SQL lost whole for so long.
    fn said(lost: f64, elapsed: Duration, has_failures: bool) -> Option<String> {
        let mut risk = Risk::new(Assumptions::default(), Class::ALL);
        risk.step(1, &BTreeMap::from([(Class::Sql, Loss::Known(lost))]), elapsed);
        counts(&risk.estimate(), has_failures)
    }

    #[test]
    fn beside_a_fresh_loss_the_figure_says_what_it_counts_from_and_when_it_rises() {
        let fresh = said(1.0, Duration::from_secs(60), true).expect("something is lost");
        assert!(
            fresh.starts_with("It counts from when the loss was confirmed: sql for 1 min; 5.0 % (info) in "),
            "{fresh}"
        );
        let late = said(1.0, Duration::from_secs(9000), true).expect("something is lost");
        assert!(late.contains("sql for 2 h 30 min; 80.0 % (critical) in "), "{late}");
        assert_eq!(said(0.0, Duration::from_secs(60), true).as_deref(), Some(NOT_COUNTED));
        assert_eq!(said(0.0, Duration::from_secs(60), false), None, "where nothing is lost, nothing needs to be said");
    }
}
