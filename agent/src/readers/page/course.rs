//! What went before, as the page shows it: how much of each class answered in the last day, the last visits of each endpoint
//! by phase, how the risk moved, which incidents an earlier process left. It is told and reads no clock, file or store.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ase_probes::{
    class::Class,
    seen::Phases,
    verdict::{Phase, Verdict},
};

pub use super::bars::{PAST, REACH};
use super::{
    bars::{BAR, Bars, Did, Spans},
    watched::Watched,
};
use crate::{
    engine::snapshot::Snapshot,
    model::{catalog::EndpointId, diagnosis::Closed, endpoint::EndpointView, visit::Visit},
    readers::links,
    store::rows::{IncidentRow, OutcomeRow},
};

/// Between two looks that are further apart than this nobody knows what was the case.
const GAP: Duration = Duration::from_secs(60);
/// A remembered outcome stands at most this long beyond its end: twice the longest stretch.
const STANDS: Duration = Duration::from_secs(600);
/// Visits of one endpoint that are kept.
pub(super) const VISITS: usize = 16;
/// Time between two points of the risk, and how many are kept: four hours, the assumed horizon.
pub(super) const RISK_EVERY: Duration = Duration::from_secs(60);
pub(super) const RISKS: usize = 240;
/// Incidents that are kept beside those of the snapshot: as many as the store remembers.
const MOST_EARLIER: usize = 2000;

/// Bars made of remembered outcomes, told in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    classes: BTreeMap<String, Spans>,
    open: BTreeMap<Arc<str>, OutcomeRow>,
    /// Whether a success came yet. Successes are forgotten before failures: what is older than the oldest success would
    /// look like an outage that lasted for days.
    has_good: bool,
    /// Since when nothing was forgotten, where that is known.
    whole_since: Option<Duration>,
    watched: Watched,
}

impl Recalled {
    /// Takes the next row.
    pub fn take(&mut self, row: OutcomeRow) {
        self.has_good |= row.is_good() || self.whole_since.is_some_and(|since| row.began >= since);
        if !self.has_good {
            return;
        }
        self.watched.add(row.began, row.ended.max(row.began), STANDS);
        let began = row.began;
        if let Some(before) = self.open.insert(Arc::clone(&row.endpoint), row) {
            self.settle(&before, Some(began));
        }
    }

    /// What the rows of one endpoint tell, the oldest first; of those since `whole_since` nothing was forgotten.
    pub fn of(rows: impl IntoIterator<Item = OutcomeRow>, whole_since: Option<Duration>) -> Self {
        let mut recalled = Self { whole_since, ..Self::default() };
        rows.into_iter().for_each(|row| recalled.take(row));
        recalled
    }

    /// The day of the one endpoint whose rows these are, up to `until`.
    pub(super) fn day(&self, until: Duration) -> Bars {
        self.clone().finish(until).into_values().next().unwrap_or_default().day().clone()
    }

    /// The bars by class, nothing counted from `until` on.
    pub(super) fn finish(mut self, until: Duration) -> BTreeMap<String, Spans> {
        for row in std::mem::take(&mut self.open).into_values() {
            self.settle(&row, Some(until));
        }
        self.classes
    }

    fn settle(&mut self, row: &OutcomeRow, next: Option<Duration>) {
        let end = (row.ended + STANDS).min(next.unwrap_or(Duration::MAX));
        self.classes.entry(row.class.to_string()).or_default().add_stretch(row.began, end, Did::of(&row.result));
    }
}

/// How one visit went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// How long it took by [`stretch`], in tenths of a millisecond.
    pub(super) took: [u16; STRETCHES.len()],
    /// Whether it failed.
    pub(super) is_bad: bool,
}

/// The stretches of a visit that the page tells apart: label and what it is.
pub(super) const STRETCHES: [(&str, &str); 5] =
    [("dns", "name"), ("connect", "connect"), ("tls", "TLS"), ("request", "first byte"), ("rest", "rest")];

/// The place of a phase among the [`STRETCHES`].
pub(super) fn stretch(phase: Phase) -> usize {
    match phase {
        Phase::Dns => 0,
        Phase::Connect => 1,
        Phase::Tls => 2,
        Phase::Request => 3,
        Phase::Local | Phase::Response | Phase::Ntp | Phase::Tds | Phase::None => 4,
    }
}

impl Passed {
    fn of(visit: &Visit) -> Self {
        Self { took: took(&visit.phases), is_bad: matches!(visit.result, Ok(Verdict::Failed(_))) }
    }
}

fn took(phases: &Phases) -> [u16; STRETCHES.len()] {
    let mut took = [0_u16; STRETCHES.len()];
    for (phase, elapsed) in phases.iter() {
        let slot = &mut took[stretch(phase)];
        *slot = slot.saturating_add(u16::try_from(elapsed.as_micros() / 100).unwrap_or(u16::MAX));
    }
    took
}

/// The last visits of one endpoint.
#[derive(Clone, Debug)]
struct Track {
    began: Duration,
    /// Never more than [`VISITS`], and room for them from the start: there is one for each endpoint, and memory that grows
    /// by doubling takes twice what it needs, minutes later.
    visits: VecDeque<Passed>,
}

impl Default for Track {
    fn default() -> Self {
        Self { began: Duration::ZERO, visits: VecDeque::with_capacity(VISITS) }
    }
}

/// Everything that went before.
#[derive(Debug, Default)]
pub struct Course {
    at: Option<Duration>,
    /// The first moment of which anything is known, since the Unix epoch.
    since: Option<Duration>,
    classes: BTreeMap<Class, Spans>,
    tracks: BTreeMap<EndpointId, Track>,
    risks: VecDeque<(Duration, f64)>,
    /// What the last snapshot knew of incidents that ended, and under which ids the store remembers them.
    closed: Vec<Arc<Closed>>,
    ids: Arc<BTreeMap<u64, String>>,
    earlier: Vec<IncidentRow>,
    watched: Watched,
}

impl Course {
    /// Takes the next snapshot.
    pub fn take(&mut self, snapshot: &Snapshot) {
        let passed = self.at.map_or(Duration::ZERO, |at| snapshot.at.saturating_sub(at));
        if passed <= GAP && !passed.is_zero() {
            for class in snapshot.classes.iter().filter(|class| class.endpoints > 0) {
                let [good, bad, dark] = [class.up, class.failed, class.unknown].map(|number| number as f64);
                let spans = self.classes.entry(class.class).or_default();
                spans.add_stretch(snapshot.at.saturating_sub(passed), snapshot.at, Did { good, bad, dark });
            }
        }
        let from = if passed <= GAP { snapshot.at.saturating_sub(passed) } else { snapshot.at };
        self.watched.add(from, snapshot.at, GAP);
        self.watched.forget(snapshot.at.saturating_sub(PAST));
        self.at = Some(snapshot.at);
        self.since.get_or_insert(snapshot.at);
        snapshot.endpoints.iter().for_each(|view| self.visited(view));
        if self.tracks.len() > snapshot.endpoints.iter().filter(|view| view.last.is_some()).count() {
            let watched: BTreeSet<_> = snapshot.endpoints.iter().map(|view| &view.endpoint.id).collect();
            self.tracks.retain(|id, _| watched.contains(id));
        }
        self.risked(snapshot);
        self.outlived(snapshot);
    }

    /// Keeps incidents that snapshots tell no longer: they know a bounded number of those that ended, and let the oldest go.
    fn outlived(&mut self, snapshot: &Snapshot) {
        let ledger = &snapshot.incidents;
        let before = std::mem::replace(&mut self.closed, ledger.closed.clone());
        // This snapshot may have let go of the ids as well.
        let ids = std::mem::replace(&mut self.ids, Arc::clone(&snapshot.store.incidents));
        let first = |closed: &[Arc<Closed>]| closed.first().map(|closed| closed.incident.id);
        if first(&before) == first(&ledger.closed) {
            return;
        }
        let closed = ledger.closed.iter().map(|closed| closed.incident.id);
        let told: BTreeSet<u64> = ledger.open.iter().map(|incident| incident.id).chain(closed).collect();
        let row = |Closed { incident, ended }: &Closed| IncidentRow {
            id: links::key_among(&ids, incident),
            cause: incident.finding.cause.label().to_owned(),
            component: incident.component.clone(),
            since: incident.since,
            closed: Some(*ended),
            ..IncidentRow::default()
        };
        let gone = before.iter().filter(|closed| !told.contains(&closed.incident.id));
        let gone: Vec<IncidentRow> = gone.map(|closed| row(closed)).collect();
        // One that an earlier process left open ended in this one.
        let ended: BTreeSet<&String> = gone.iter().map(|row| &row.id).collect();
        self.earlier.retain(|row| !ended.contains(&row.id));
        self.earlier.extend(gone);
        self.earlier.drain(..self.earlier.len().saturating_sub(MOST_EARLIER));
    }

    fn visited(&mut self, view: &EndpointView) {
        let Some(visit) = &view.last else { return };
        let is_known = |track: &Track| track.began == visit.began && !track.visits.is_empty();
        if self.tracks.get(&view.endpoint.id).is_some_and(is_known) {
            return;
        }
        let track = self.tracks.entry(view.endpoint.id.clone()).or_default();
        track.began = visit.began;
        if track.visits.len() == VISITS {
            track.visits.pop_front();
        }
        track.visits.push_back(Passed::of(visit));
    }

    fn risked(&mut self, snapshot: &Snapshot) {
        let Some(risk) = &snapshot.risk else { return };
        // A clock that was set back takes with it what it has not come to again.
        self.risks.retain(|(at, _)| *at <= snapshot.at);
        let is_due = |(at, _): &(Duration, f64)| snapshot.at.saturating_sub(*at) >= RISK_EVERY;
        if self.risks.back().is_none_or(is_due) {
            self.risks.push_back((snapshot.at, risk.total));
        }
        if self.risks.len() > RISKS {
            self.risks.pop_front();
        }
    }

    /// Takes what the store remembers of the time before this process began, at `started`.
    pub fn recall(&mut self, mut outcomes: Recalled, mut incidents: Vec<IncidentRow>, started: Duration) {
        let mut watched = std::mem::take(&mut outcomes.watched);
        // Incidents are remembered for longer than visits: nobody can tell whether somebody looked all the time since the
        // first, but what was broken then is remembered.
        if let Some(first) = incidents.iter().map(|row| row.since).min() {
            watched.add(first, watched.first().unwrap_or(started).max(first), STANDS);
        }
        self.watched.take(watched, STANDS);
        incidents.retain(|row| row.closed.is_none_or(|closed| closed >= started.saturating_sub(PAST)));
        for (label, before) in outcomes.finish(started) {
            let Some(class) = Class::from_label(&label) else { continue };
            // A bar may have begun before anything was known, by a quarter of an hour at most. What is older than the bars reach
            // says nothing of how much of them is known.
            let first = before.day().first_within_a_day(started);
            self.since = first.into_iter().chain(self.since).min();
            self.classes.entry(class).or_default().join(before);
        }
        self.earlier.splice(0..0, incidents);
    }

    /// The bars of a class's last day.
    pub(super) fn bars(&self, class: Class) -> Option<&Bars> {
        self.classes.get(&class).map(Spans::day)
    }

    /// The bars of a class in the span at this place among the spans of the timeline.
    pub(super) fn bars_of(&self, class: Class, span: usize) -> Option<&Bars> {
        self.classes.get(&class)?.at(span)
    }

    /// Since when anything is known of the last day.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Since when anything is known, where the bars reach further back than that.
    pub(super) fn known_since(&self, now: Duration) -> Option<Duration> {
        self.since.filter(|since| now.saturating_sub(*since) + BAR < REACH)
    }

    /// Within the time of this length that ends `now`, the stretches of which nothing is known.
    pub(super) fn unknown(&self, now: Duration, length: Duration) -> Vec<(Duration, Duration)> {
        self.watched.gaps(now.saturating_sub(length), now)
    }

    /// The last visits of an endpoint, the newest last.
    pub(super) fn visits(&self, id: &EndpointId) -> Vec<Passed> {
        self.tracks.get(id).map(|track| track.visits.iter().copied().collect()).unwrap_or_default()
    }

    /// The risk at its points, the newest last.
    pub(super) fn risks(&self) -> impl DoubleEndedIterator<Item = (Duration, f64)> + '_ {
        self.risks.iter().copied()
    }

    /// What is known of incidents beside the snapshot: those that an earlier process remembered, and those of this one that
    /// ended long ago.
    pub(super) fn earlier(&self) -> &[IncidentRow] {
        &self.earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{diagnosis::Incident, endpoint::Status, visit::Untested},
        readers::page::{bars::SPANS, charts},
        sample::{self, AT},
    };

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn row(result: &'static str, began: Duration, ended: Duration) -> OutcomeRow {
        OutcomeRow {
            endpoint: "a:1".into(),
            class: "sql".into(),
            result: result.into(),
            cause: None,
            phase: None,
            began,
            ended,
            count: 1,
            took: S(1),
        }
    }

    #[test]
    fn time_is_counted_and_not_visits() {
        let mut course = Course::default();
        let mut snapshot = sample::snapshot();
        course.take(&snapshot);
        assert_eq!(course.bars(Class::Sql), None, "one look lasts no time");
        snapshot.at = AT + S(10);
        course.take(&snapshot);
        let bars = course.bars(Class::Sql).expect("ten seconds passed");
        assert_eq!((bars.share(snapshot.at), bars.bars[0].bad), (Some(0.0), 20.0));
        snapshot.at = AT + S(1000);
        course.take(&snapshot);
        assert_eq!(course.bars(Class::Sql).map(|bars| bars.bars[0].bad), Some(20.0), "nobody looked in between");
    }

    #[test]
    fn it_says_since_when_anything_is_known_until_a_whole_day_is() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        assert_eq!(course.known_since(AT), None, "nothing was seen");
        course.take(&snapshot);
        snapshot.at = AT + S(60);
        course.take(&snapshot);
        assert_eq!(course.known_since(AT + S(60)), Some(AT));
        assert_eq!(course.known_since(AT + REACH), None, "the bars are full");
        let mut recalled = Recalled::default();
        recalled.take(row("healthy", AT - S(3600), AT - S(3000)));
        course.recall(recalled, Vec::new(), AT);
        let since = course.known_since(AT + S(60)).expect("an hour is no day");
        assert!(since <= AT - S(3600) && since + BAR > AT - S(3600), "what the store remembers is known too");
    }

    #[test]
    fn what_nobody_could_judge_is_no_time_that_answered() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        let mut look = |status, seconds| {
            sample::set_all(&mut snapshot, status);
            for _ in 0..seconds {
                course.take(&snapshot);
                snapshot.at += S(1);
            }
            let bars = course.bars(Class::Ntp).expect("the sample has time servers");
            let classes = charts::uptime(Some(bars), snapshot.at).iter().map(|path| path.class).collect::<Vec<_>>();
            (classes, bars.share(snapshot.at))
        };
        assert_eq!(look(Status::Healthy, 100), (vec!["good", "none"], Some(1.0)));
        let (classes, share) = look(Status::Unknown(Untested::NotYet), 400);
        assert_eq!(classes, ["none"], "for the most part nobody could judge them");
        assert_eq!(share, Some(1.0), "of what was judged");
        let mut recalled = Recalled::default();
        recalled.take(row("healthy", S(100), S(110)));
        recalled.take(row("unknown", S(120), S(600)));
        let bars = recalled.day(S(900));
        assert!(bars.bars[0].is_dark() && bars.bars[0].good == 20.0, "{bars:?}");
    }

    #[test]
    fn an_incident_that_snapshots_let_go_stays_known_and_one_that_came_back_is_not_doubled() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        let open = snapshot.incidents.open.remove(0);
        let ended = |id: u64| Arc::new(Closed { incident: Arc::new(Incident { id, ..(*open).clone() }), ended: AT });
        // An earlier process left the second open; it goes on in this one, and ends.
        let row = |id: &str| IncidentRow { id: id.to_owned(), ..IncidentRow::default() };
        course.recall(Recalled::default(), vec![row("before"), row("key-2")], AT);
        for kept in [1..=3, 2..=4, 4..=6] {
            snapshot.incidents.closed = kept.clone().map(ended).collect();
            // The ids go with the incidents.
            snapshot.store.incidents = Arc::new(kept.map(|id| (id, format!("key-{id}"))).collect());
            course.take(&snapshot);
        }
        snapshot.incidents.open.push(Arc::clone(&snapshot.incidents.closed.remove(0).incident));
        course.take(&snapshot);
        let known: Vec<_> = course.earlier().iter().map(|row| row.id.as_str()).collect();
        assert_eq!(known, ["before", "key-1", "key-2", "key-3"]);
        assert_eq!(course.earlier()[1].closed, Some(AT));
    }

    #[test]
    fn the_risk_goes_on_after_the_clock_was_set_back() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        for seconds in [0, 60, 120, 60, 119, 120] {
            snapshot.at = AT + S(seconds);
            course.take(&snapshot);
        }
        assert_eq!(course.risks().map(|(at, _)| at - AT).collect::<Vec<_>>(), [S(0), S(60), S(120)]);
        snapshot.at = AT - S(3600);
        course.take(&snapshot);
        assert_eq!(course.risks().map(|(at, _)| at).collect::<Vec<_>>(), [AT - S(3600)]);
    }

    #[test]
    fn a_stretch_is_counted_whole_in_every_span_and_a_look_leaves_no_hole() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        for _ in 0..=10 {
            course.take(&snapshot);
            // Longer than a bar of the shortest span.
            snapshot.at += S(50);
        }
        for (place, span) in SPANS.iter().enumerate() {
            let bars = course.bars_of(Class::Sql, place).expect("ten looks took time");
            let bad: f64 = bars.bars.iter().map(|bar| bar.bad).sum();
            assert!((bad - 2.0 * 500.0).abs() < 1e-6, "{span:?}: {bad}");
            let numbers: Vec<u64> = bars.bars.iter().map(|bar| bar.number).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{span:?}: {numbers:?}");
        }
    }

    #[test]
    fn a_stretch_is_cut_where_bars_begin() {
        let mut bars = Bars::default();
        bars.add_stretch(AT - S(300), AT + S(1000), Did::of("healthy"));
        assert_eq!(
            bars.placed(AT + S(1000)).map(|(place, bar)| (place, bar.good)).collect::<Vec<_>>(),
            [(93, 300.0), (94, 900.0), (95, 100.0)]
        );
        assert_eq!(bars.placed(AT + REACH * 2).count(), 0, "what is too old is not shown");
    }

    #[test]
    fn a_remembered_failure_lasts_until_the_next_outcome_but_not_for_ever() {
        let mut recalled = Recalled::default();
        recalled.take(row("failed", S(100), S(101)));
        recalled.take(row("healthy", S(1_000), S(1_300)));
        recalled.take(row("failed", S(1_310), S(1_311)));
        recalled.take(row("failed", S(1_340), S(1_341)));
        let bars = recalled.day(S(9_000));
        let (good, bad) = bars.bars.iter().fold((0.0, 0.0), |(good, bad), bar| (good + bar.good, bad + bar.bad));
        assert_eq!((good, bad), (310.0, 30.0 + 601.0), "what came before the first success is left out");
    }

    #[test]
    fn an_endpoint_that_failed_all_day_is_not_called_unknown() {
        let mut others = Recalled::default();
        others.take(row("healthy", AT - S(40_000), AT - S(39_700)));
        let mut course = Course::default();
        course.recall(others, Vec::new(), AT);
        let rows =
            || (1..=400).map(|number| row("failed", AT - S(40_400 - 100 * number), AT - S(40_399 - 100 * number)));
        let bars = Recalled::of(rows(), course.since()).day(AT);
        assert_eq!(bars.share(AT), Some(0.0), "the store remembers successes of others since then");
        assert!(Recalled::of(rows(), None).day(AT).is_empty(), "without that nobody knows what was forgotten");
    }

    #[test]
    fn each_visit_is_kept_once_and_the_newest_are_kept() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        let id = snapshot.endpoints[5].endpoint.id.clone();
        course.take(&snapshot);
        course.take(&snapshot);
        assert_eq!(course.visits(&id).len(), 1);
        for n in 1..=40 {
            let view = Arc::make_mut(&mut snapshot.endpoints[5]);
            Arc::make_mut(view.last.as_mut().expect("it was visited")).began += S(n);
            course.take(&snapshot);
        }
        let visits = course.visits(&id);
        assert_eq!((visits.len(), visits[0].took), (VISITS, [0, 60, 140, 300, 10]));
        assert_eq!(course.tracks[&id].visits.capacity(), VISITS, "it takes what it took from the start");
        snapshot.endpoints.remove(5);
        course.take(&snapshot);
        assert!(course.visits(&id).is_empty(), "what is no longer watched is forgotten");
    }

    #[test]
    fn the_risk_has_a_point_each_minute() {
        let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
        for n in 0..300 {
            snapshot.at = AT + S(n);
            course.take(&snapshot);
        }
        assert_eq!(course.risks().count(), 5);
    }
}
