//! Which incidents are to be remembered anew, because they began, changed or ended. Pure. An incident that was open
//! when an earlier process ended goes on in this one if the same cause still shows at some of the same endpoints.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    model::{
        catalog::EndpointId,
        diagnosis::{CLOSED_LIMIT, Incident, Ledger},
        endpoint::OverUnseen,
    },
    store::{account::Account, rows::IncidentRow},
};

/// How long after the start an incident may need to show again whose endpoints have not all answered, or do answer while it lasts:
/// two rounds over the names that are compared.
const LATE: Duration = Duration::from_secs(600);
/// Incidents that ended while it was not known what an earlier process left open; the first are given up beyond that.
const MOST_ENDED: usize = 1024;

/// Whether an incident may show late: while its endpoints work, only once names were compared or many visits made.
pub type ShowsLate = fn(&IncidentRow) -> bool;

/// What the store was told of incidents.
#[derive(Clone, Debug)]
pub struct Archive {
    shows_late: ShowsLate,
    /// Part of every row's id, so that two processes never share one.
    run: u64,
    told: BTreeMap<u64, (Arc<Incident>, IncidentRow)>,
    /// The row's id of each that is open and of the last that ended.
    ids: Arc<BTreeMap<u64, String>>,
    /// Those among them that ended, the last at the end; at most as many as a process remembers.
    over: VecDeque<u64>,
    earlier: Vec<Earlier>,
    /// Those that ended, by number, while it is not known what an earlier process left open: nothing is told until then.
    untold: Option<BTreeMap<u64, IncidentRow>>,
    /// When this process was first told what is open, or learned what an earlier one had left open, by the monotonic clock.
    began: Option<Instant>,
    /// Those that an earlier process left open and this one saw nothing of, by id.
    over_unseen: Arc<BTreeMap<String, OverUnseen>>,
}

/// An incident that was open when an earlier process ended.
#[derive(Clone, Debug)]
struct Earlier {
    row: IncidentRow,
    /// Its endpoints that have not answered this process yet.
    silent: BTreeSet<String>,
    /// When the last of the others had answered for the first time.
    answered: Option<Duration>,
}

impl From<IncidentRow> for Earlier {
    fn from(row: IncidentRow) -> Self {
        Self { silent: row.endpoints.iter().cloned().collect(), row, answered: None }
    }
}

impl Archive {
    /// `run` tells processes apart; `earlier` are the incidents that were open when the last one ended.
    pub fn new(run: u64, earlier: Vec<IncidentRow>, shows_late: ShowsLate) -> Self {
        Self {
            shows_late,
            run,
            told: BTreeMap::new(),
            ids: Arc::default(),
            over: VecDeque::new(),
            earlier: earlier.into_iter().map(Earlier::from).collect(),
            untold: None,
            began: None,
            over_unseen: Arc::default(),
        }
    }

    /// The same where it is not known yet what the last process left open.
    pub fn waiting(run: u64, shows_late: ShowsLate) -> Self {
        Self { untold: Some(BTreeMap::new()), ..Self::new(run, Vec::new(), shows_late) }
    }

    /// Takes up what an earlier process left open, where that became known only at this moment. Returns what there is to tell.
    pub fn recall(&mut self, earlier: Vec<IncidentRow>, now: Instant) -> Vec<IncidentRow> {
        self.earlier.extend(earlier.into_iter().map(Earlier::from));
        self.began = Some(now);
        self.tell()
    }

    /// What this process saw and did not tell, whether or not an earlier one had seen it.
    pub fn tell(&mut self) -> Vec<IncidentRow> {
        let Some(mut ended) = self.untold.take() else { return Vec::new() };
        let numbers: BTreeSet<u64> = self.told.keys().chain(ended.keys()).copied().collect();
        let mut rows = Vec::new();
        for number in numbers {
            let known = self.told.get(&number).map(|(_, row)| row.clone()).or_else(|| ended.remove(&number));
            let Some(mut row) = known else { continue };
            rows.extend(self.go_on(&mut row));
            if let Some(id) = Arc::make_mut(&mut self.ids).get_mut(&number) {
                id.clone_from(&row.id);
            }
            if let Some((_, told)) = self.told.get_mut(&number) {
                told.clone_from(&row);
            }
            rows.push(row);
        }
        rows
    }

    /// Takes in that an endpoint answered at this moment.
    pub fn answered(&mut self, endpoint: &str, at: Duration) {
        for earlier in &mut self.earlier {
            if earlier.silent.remove(endpoint) {
                earlier.answered = earlier.answered.max(Some(at));
            }
        }
    }

    /// The rows that are new or changed. `ready` says that every endpoint was visited since the start: what an earlier
    /// process left open and does not show by then is over, since its endpoints answered for the first time at the latest. Where
    /// one of them has not, and where the cause shows late, it is waited for.
    pub fn update(&mut self, ledger: &Ledger, ready: bool, now: Instant, wall: Duration) -> Vec<IncidentRow> {
        let mut changed = Vec::new();
        for incident in &ledger.open {
            match self.told.get_mut(&incident.id) {
                Some((told, _)) if Arc::ptr_eq(told, incident) => {}
                Some((told, row)) => {
                    let mut next = row_of(incident, row.id.clone());
                    next.since = row.since.min(incident.since);
                    if (told.finding, told.scope) == (incident.finding, incident.scope) {
                        next.published = row.published;
                    }
                    next.account.moments.clone_from(&row.account.moments);
                    next.account.note_changes(told, incident, wall);
                    *told = Arc::clone(incident);
                    if *row != next {
                        row.clone_from(&next);
                        changed.push(next);
                    }
                }
                None => changed.extend(self.begin(incident)),
            }
        }
        let is_open = |id: &u64| ledger.open.binary_search_by_key(id, |incident| incident.id).is_ok();
        let over: Vec<u64> = self.told.keys().copied().filter(|id| !is_open(id)).collect();
        for number in &over {
            let Some((_, row)) = self.told.remove(number) else { continue };
            let row = IncidentRow { closed: Some(wall), ..row };
            if let Some(untold) = &mut self.untold {
                untold.insert(*number, row.clone());
                if untold.len() > MOST_ENDED {
                    untold.pop_first();
                }
            }
            changed.push(row);
        }
        self.over.extend(over);
        while self.over.len() > CLOSED_LIMIT
            && let Some(forgotten) = self.over.pop_front()
        {
            Arc::make_mut(&mut self.ids).remove(&forgotten);
        }
        let began = *self.began.get_or_insert(now);
        if ready && !self.earlier.is_empty() {
            let is_well = |Earlier { row, silent, .. }: &Earlier| silent.is_empty() && !(self.shows_late)(row);
            let is_early = |earlier: &Earlier| !is_well(earlier) && now.saturating_duration_since(began) < LATE;
            let earlier = std::mem::take(&mut self.earlier);
            let (waiting, over): (Vec<_>, Vec<_>) = earlier.into_iter().partition(is_early);
            let over: Vec<_> =
                over.into_iter().map(|earlier| (earlier.answered.filter(|_| is_well(&earlier)), earlier.row)).collect();
            self.earlier = waiting;
            for (answered, row) in over {
                // What is open may have come to hit what this one hit.
                if let Some((_, open)) = self.told.values().find(|(_, open)| is_same(&row, open)) {
                    let id = open.id.clone();
                    changed.push(self.join(row, &id, wall));
                    continue;
                }
                let last_seen = row.account.last_seen.unwrap_or(row.published);
                let over = OverUnseen { last_seen, by: answered.unwrap_or(wall).max(last_seen) };
                Arc::make_mut(&mut self.over_unseen).insert(row.id.clone(), over);
                changed.push(IncidentRow { closed: Some(over.by), ..row });
            }
        }
        if self.untold.is_some() { Vec::new() } else { changed }
    }

    /// Lets open incidents that an earlier process knew begin when they began there.
    pub fn date_back(&self, ledger: &mut Ledger) {
        for incident in &mut ledger.open {
            if let Some((_, row)) = self.told.get(&incident.id).filter(|(_, row)| row.since < incident.since) {
                Arc::make_mut(incident).since = row.since;
            }
        }
    }

    /// The ids under which the incidents of this process are remembered, by number; none while they may turn out to have others.
    pub fn ids(&self) -> Arc<BTreeMap<u64, String>> {
        if self.untold.is_some() { Arc::default() } else { Arc::clone(&self.ids) }
    }

    /// How those ended that an earlier process left open and this one saw nothing of, by id.
    pub fn over_unseen(&self) -> Arc<BTreeMap<String, OverUnseen>> {
        Arc::clone(&self.over_unseen)
    }

    /// The row of an incident that begins, behind those of earlier ones that turn out to be the same.
    fn begin(&mut self, incident: &Arc<Incident>) -> Vec<IncidentRow> {
        // One that ended a moment ago and is back is the same one, under the id that it had.
        let known = self.ids.get(&incident.id).cloned();
        let mut row = row_of(incident, known.unwrap_or_else(|| format!("{}-{}", self.run, incident.id)));
        row.account.note_name(incident);
        let mut rows = self.go_on(&mut row);
        self.told.insert(incident.id, (Arc::clone(incident), row.clone()));
        Arc::make_mut(&mut self.ids).insert(incident.id, row.id.clone());
        self.over.retain(|id| *id != incident.id);
        if let Some(untold) = &mut self.untold {
            untold.remove(&incident.id);
        }
        rows.push(row);
        rows
    }

    /// Lets an incident go on from the oldest of an earlier process that is the same. Returns the others that are: they end in it.
    fn go_on(&mut self, row: &mut IncidentRow) -> Vec<IncidentRow> {
        let (same, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.earlier).into_iter().partition(|earlier| is_same(&earlier.row, row));
        self.earlier = others;
        let mut same = same.into_iter().map(|earlier| earlier.row);
        let Some(earlier) = same.next() else { return Vec::new() };
        row.account.follow(earlier.account.moments, row.published);
        let seen = row.published;
        if (&earlier.confidence, &earlier.scope) == (&row.confidence, &row.scope) {
            row.published = earlier.published.min(row.published);
        }
        (row.id, row.since) = (earlier.id, earlier.since.min(row.since));
        same.map(|other| self.join(other, &row.id, seen)).collect()
    }

    /// The row of an earlier incident that turned out at this moment to be part of another one.
    fn join(&mut self, mut row: IncidentRow, id: &str, at: Duration) -> IncidentRow {
        let at = at.max(row.published);
        row.account.note(at, format!("it turned out to be one with incident {id}, and goes on there"));
        row.account.last_seen = None;
        Arc::make_mut(&mut self.over_unseen).insert(row.id.clone(), OverUnseen { last_seen: at, by: at });
        IncidentRow { closed: Some(at), ..row }
    }
}

/// Whether an incident is one that an earlier process left open: the same cause at some of the same endpoints.
fn is_same(earlier: &IncidentRow, row: &IncidentRow) -> bool {
    earlier.cause == row.cause && row.endpoints.iter().any(|id| earlier.endpoints.contains(id))
}

fn row_of(incident: &Incident, id: String) -> IncidentRow {
    let text = |id: &EndpointId| id.0.to_string();
    IncidentRow {
        id,
        cause: incident.finding.cause.label().to_owned(),
        phase: incident.finding.phase.label().to_owned(),
        side: incident.finding.side.label().to_owned(),
        scope: incident.scope.label().to_owned(),
        confidence: incident.finding.confidence.label().to_owned(),
        component: incident.component.clone(),
        endpoints: incident.endpoints.iter().map(text).collect(),
        evidence: incident.evidence.clone(),
        since: incident.since,
        published: incident.published,
        closed: None,
        account: Account::of(incident),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::Scope;
    use ase_probes::{
        cause::Cause,
        clock,
        verdict::{Confidence, Finding, Phase},
    };
    use std::sync::LazyLock;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn incident(id: u64, endpoints: &[&str], since: u64) -> Arc<Incident> {
        Arc::new(Incident {
            id,
            component: "port 1433".to_owned(),
            finding: Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely),
            scope: Scope::Port,
            hint: None,
            endpoints: endpoints.iter().map(|id| EndpointId((*id).into())).collect(),
            hides: Vec::new(),
            evidence: Vec::new(),
            alternatives: Vec::new(),
            judged: Vec::new(),
            since: AT(since),
            published: AT(since + 4),
        })
    }

    fn ledger(open: &[Arc<Incident>]) -> Ledger {
        Ledger { open: open.to_vec(), ..Ledger::default() }
    }

    /// The monotonic clock at a moment of which the wall clock, as long as nobody sets it, says this.
    fn monotonic(wall: Duration) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(clock::now);
        *START + wall
    }

    fn is_compared(row: &IncidentRow) -> bool {
        row.cause == Cause::DnsDivergent.label()
    }

    fn started(run: u64, earlier: Vec<IncidentRow>) -> Archive {
        Archive::new(run, earlier, is_compared)
    }

    fn update(archive: &mut Archive, ledger: &Ledger, ready: bool, at: Duration) -> Vec<IncidentRow> {
        archive.update(ledger, ready, monotonic(at), at)
    }

    #[test]
    fn each_change_is_told_once() {
        let mut archive = started(7, Vec::new());
        let (first, spread) =
            (ledger(&[incident(1, &["a:1433"], 100)]), ledger(&[incident(1, &["a:1433", "b:1433"], 100)]));
        let told = update(&mut archive, &first, true, AT(110));
        assert_eq!((told.len(), &*told[0].id, told[0].closed), (1, "7-1", None));
        assert_eq!(update(&mut archive, &first, true, AT(111)), []);
        let told = update(&mut archive, &spread, true, AT(112));
        assert_eq!(told[0].endpoints, ["a:1433", "b:1433"]);
        let moments: Vec<_> = told[0].account.moments.iter().map(|moment| (moment.at, &*moment.what)).collect();
        assert_eq!(moments, [(AT(104), "it was named: dropped, likely"), (AT(112), "it hit b:1433, too")]);
        let over = update(&mut archive, &ledger(&[]), true, AT(130));
        assert_eq!((over.len(), over[0].closed), (1, Some(AT(130))));
        assert_eq!(update(&mut archive, &ledger(&[]), true, AT(131)), []);
    }

    #[test]
    fn what_was_named_at_first_stays_told_when_it_becomes_surer() {
        let mut archive = started(7, Vec::new());
        update(&mut archive, &ledger(&[incident(1, &["a:1433"], 100)]), true, AT(110));
        let mut surer = Incident::clone(&incident(1, &["a:1433"], 100));
        (surer.finding.confidence, surer.published) = (Confidence::Confirmed, AT(130));
        let told = update(&mut archive, &ledger(&[Arc::new(surer.clone())]), true, AT(130));
        let said: Vec<_> = told[0].account.moments.iter().map(|moment| (moment.at, &*moment.what)).collect();
        let became = "it became confirmed, and was likely until then";
        assert_eq!(said, [(AT(104), "it was named: dropped, likely"), (AT(130), became)]);
        assert_eq!(told[0].published, AT(130));
        // After a restart it is the same, or something else is known of it.
        for (confidence, published) in [(Confidence::Confirmed, 130), (Confidence::Likely, 204)] {
            let mut again = Incident::clone(&incident(1, &["a:1433"], 200));
            again.finding.confidence = confidence;
            let rows = update(&mut started(8, told.clone()), &ledger(&[Arc::new(again)]), false, AT(210));
            assert_eq!(rows[0].published, AT(published), "{confidence:?}");
        }
    }

    #[test]
    fn every_open_incident_and_the_last_that_ended_can_be_found_by_their_ids() {
        let mut archive = started(7, Vec::new());
        let many: Vec<_> = (1..=3 * CLOSED_LIMIT as u64).map(|id| incident(id, &["a:1433"], 100)).collect();
        update(&mut archive, &ledger(&many), true, AT(110));
        assert_eq!(archive.ids().len(), many.len(), "however many are open");
        update(&mut archive, &ledger(&many[..1]), true, AT(120));
        let kept: Vec<u64> = archive.ids().keys().copied().collect();
        assert_eq!((kept.len(), kept[0], kept[1]), (1 + CLOSED_LIMIT, 1, 2 * CLOSED_LIMIT as u64 + 1));
        let back = [Arc::clone(&many[0]), incident(kept[1], &["a:1433"], 100)];
        update(&mut archive, &ledger(&back), true, AT(130));
        let more: Vec<_> = (1..=CLOSED_LIMIT as u64).map(|id| incident(1000 + id, &["b:443"], 130)).collect();
        update(&mut archive, &ledger(&[&back[..], &more].concat()), true, AT(140));
        update(&mut archive, &ledger(&back), true, AT(150));
        assert_eq!(
            archive.ids().keys().take(2).copied().collect::<Vec<_>>(),
            [1, kept[1]],
            "one that came back is open"
        );
    }

    #[test]
    fn what_shows_late_is_not_over_when_all_was_visited_once() {
        let mut before = started(7, Vec::new());
        let late = |id| {
            let mut incident = Incident::clone(&incident(id, &["a:1433"], 100));
            incident.finding.cause = Cause::DnsDivergent;
            Arc::new(incident)
        };
        let rows = update(&mut before, &ledger(&[late(1)]), true, AT(110));
        let mut again = started(8, rows.clone());
        again.answered("a:1433", AT(205));
        assert_eq!(update(&mut again, &ledger(&[]), true, AT(210)), [], "no name was compared yet");
        let told = update(&mut again, &ledger(&[late(1)]), true, AT(400));
        assert_eq!((told.len(), &*told[0].id, told[0].since), (1, "7-1", AT(100)), "it goes on");
        let mut over = started(8, rows);
        over.answered("a:1433", AT(205));
        update(&mut over, &ledger(&[]), true, AT(210));
        let told = update(&mut over, &ledger(&[]), true, AT(210) + LATE);
        assert_eq!((told.len(), told[0].closed), (1, Some(AT(210) + LATE)));
    }

    #[test]
    fn what_an_earlier_process_left_open_goes_on_or_ends_after_the_first_round() {
        let mut before = started(7, Vec::new());
        let rows =
            update(&mut before, &ledger(&[incident(1, &["a:1433"], 100), incident(2, &["c:443"], 105)]), true, AT(110));
        let mut archive = started(8, rows);
        let again = ledger(&[incident(1, &["a:1433"], 200)]);
        let told = update(&mut archive, &again, false, AT(201));
        assert_eq!((told.len(), &*told[0].id, told[0].since), (1, "7-1", AT(100)));
        let said: Vec<_> = told[0].account.moments.iter().map(|moment| &*moment.what).collect();
        assert_eq!(said, ["it was named: dropped, likely", "the agent was started anew, and saw it again"]);
        assert_eq!(told[0].published, AT(104), "it is what it was");
        assert_eq!(update(&mut archive, &again, true, AT(230)), [], "its endpoint does not answer");
        archive.answered("c:443", AT(232));
        let over = update(&mut archive, &again, true, AT(235));
        assert_eq!((over.len(), &*over[0].id, over[0].closed), (1, "7-2", Some(AT(232))));
        assert_eq!(archive.over_unseen()["7-2"], OverUnseen { last_seen: AT(109), by: AT(232) });
        let mut open = again.clone();
        archive.date_back(&mut open);
        assert_eq!(open.open[0].since, AT(100), "it began before this process did");
        let closed = update(&mut archive, &ledger(&[]), true, AT(240));
        assert_eq!((&*closed[0].id, closed[0].since), ("7-1", AT(100)));
        let relapsed = update(&mut archive, &open, true, AT(250));
        assert_eq!((&*relapsed[0].id, relapsed[0].since), ("7-1", AT(100)), "a relapse is the same one");
    }

    #[test]
    fn what_ended_while_no_process_looked_ended_between_when_it_was_last_seen_and_when_all_of_it_answered() {
        let mut row = row_of(&incident(1, &["a:1433", "b:1433"], 100), "7-1".to_owned());
        row.account.last_seen = Some(AT(150));
        let mut archive = started(8, vec![row]);
        for (endpoint, at) in [("a:1433", 1001), ("b:1433", 1007), ("c:443", 1020), ("a:1433", 1031)] {
            archive.answered(endpoint, AT(at));
        }
        assert_eq!(update(&mut archive, &ledger(&[]), false, AT(1040)), [], "not everybody was asked");
        assert!(archive.over_unseen().is_empty());
        let over = update(&mut archive, &ledger(&[]), true, AT(1060));
        assert_eq!((over[0].account.last_seen, over[0].closed), (Some(AT(150)), Some(AT(1007))));
        assert_eq!(archive.over_unseen()["7-1"], OverUnseen { last_seen: AT(150), by: AT(1007) });
    }

    #[test]
    fn a_clock_that_is_set_neither_shortens_nor_lengthens_the_wait_for_who_is_silent() {
        let row = row_of(&incident(1, &["a:1433"], 100), "7-1".to_owned());
        for wall in [AT(9_000_000), AT(50)] {
            let mut archive = started(8, vec![row.clone()]);
            assert_eq!(archive.update(&ledger(&[]), true, monotonic(AT(200)), AT(200)), [], "its endpoint is silent");
            let just_before = monotonic(AT(199) + LATE);
            assert_eq!(archive.update(&ledger(&[]), true, just_before, wall), [], "set to {wall:?}");
            let over = archive.update(&ledger(&[]), true, monotonic(AT(200) + LATE), wall);
            assert_eq!((over.len(), over[0].closed), (1, Some(wall.max(AT(104)))), "set to {wall:?}");
        }
    }

    #[test]
    fn what_was_seen_before_it_was_known_what_an_earlier_process_left_open_is_told_once_and_under_its_id() {
        let earlier = |id: &str, endpoints: &[&str]| {
            let mut row = row_of(&incident(1, endpoints, 100), id.to_owned());
            row.account.note_name(&incident(1, endpoints, 100));
            row
        };
        let mut archive = Archive::waiting(8, is_compared);
        let both = ledger(&[incident(1, &["a:1433", "b:1433"], 1000), incident(2, &["c:443"], 1000)]);
        assert_eq!(update(&mut archive, &both, true, AT(1010)), []);
        let mut open = ledger(&[Arc::clone(&both.open[0]), incident(3, &["d:443"], 1500)]);
        assert_eq!(update(&mut archive, &open, true, AT(1500)), []);
        assert!(archive.ids().is_empty(), "they may turn out to have others");
        let left = vec![earlier("7-1", &["b:1433"]), earlier("7-2", &["c:443"]), earlier("7-3", &["e:443"])];
        let told = archive.recall(left, monotonic(AT(5000)));
        let said: Vec<_> = told.iter().map(|row| (&*row.id, row.since, row.published, row.closed)).collect();
        let expected = [
            ("7-1", AT(100), AT(104), None),
            ("7-2", AT(100), AT(104), Some(AT(1500))),
            ("8-3", AT(1500), AT(1504), None),
        ];
        assert_eq!(said, expected);
        let moments: Vec<_> = told[0].account.moments.iter().map(|moment| (moment.at, &*moment.what)).collect();
        let again = "the agent was started anew, and saw it again";
        assert_eq!(moments, [(AT(104), "it was named: dropped, likely"), (AT(1004), again)]);
        let ids: Vec<_> = archive.ids().values().cloned().collect();
        assert_eq!(ids, ["7-1", "7-2", "8-3"]);
        archive.date_back(&mut open);
        assert_eq!(open.open[0].since, AT(100), "it began before this process did");
        // Who was silent from the start may have answered before anybody knew that it matters.
        let begun = update(&mut archive, &open, true, AT(5001));
        assert_eq!(begun, [], "nothing is told twice, and what shows again is waited for");
        archive.answered("e:443", AT(5007));
        let over = update(&mut archive, &open, true, AT(5008));
        assert_eq!((over.len(), &*over[0].id, over[0].closed), (1, "7-3", Some(AT(5007))));
        let closed = update(&mut archive, &ledger(&[]), true, AT(5100));
        assert_eq!(closed.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["7-1", "8-3"]);
    }

    #[test]
    fn what_was_not_told_when_the_process_ends_is_told_then_and_is_one_incident_for_the_next() {
        let mut archive = Archive::waiting(8, is_compared);
        update(&mut archive, &ledger(&[incident(1, &["a:1433"], 1000)]), true, AT(1010));
        let untold = archive.tell();
        assert_eq!((untold.len(), &*untold[0].id, untold[0].closed), (1, "8-1", None));
        assert_eq!(archive.tell(), []);
        let earlier = vec![row_of(&incident(1, &["a:1433"], 100), "7-1".to_owned()), untold[0].clone()];
        let mut next = started(9, earlier);
        let told = update(&mut next, &ledger(&[incident(1, &["a:1433"], 2000)]), false, AT(2010));
        let said: Vec<_> = told.iter().map(|row| (&*row.id, row.since, row.closed)).collect();
        assert_eq!(said, [("8-1", AT(1000), Some(AT(2004))), ("7-1", AT(100), None)]);
        let moments: Vec<_> = told[0].account.moments.iter().map(|moment| &*moment.what).collect();
        assert_eq!(moments.last(), Some(&"it turned out to be one with incident 7-1, and goes on there"));
        assert_eq!(next.over_unseen()["8-1"], OverUnseen { last_seen: AT(2004), by: AT(2004) });
    }

    #[test]
    fn an_earlier_incident_that_another_came_to_hold_is_not_told_over_while_that_is_open() {
        let row = |id: u64, endpoint| row_of(&incident(id, &[endpoint], 100), format!("7-{id}"));
        let mut archive = started(8, vec![row(1, "a:1433"), row(2, "b:1433")]);
        update(&mut archive, &ledger(&[incident(1, &["a:1433"], 1000)]), false, AT(1010));
        let grown = ledger(&[incident(1, &["a:1433", "b:1433"], 1000)]);
        update(&mut archive, &grown, true, AT(1020));
        let told = update(&mut archive, &grown, true, AT(1010) + LATE);
        assert_eq!((told.len(), &*told[0].id, told[0].closed), (1, "7-2", Some(AT(1010) + LATE)));
        let said = told[0].account.moments.last().map(|moment| &*moment.what);
        assert_eq!(said, Some("it turned out to be one with incident 7-1, and goes on there"));
    }
}
