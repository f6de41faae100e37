//! Which incidents are to be remembered anew, because they began, changed or ended. Pure. An incident that was open
//! when an earlier process ended goes on in this one if the same cause still shows at some of the same endpoints.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ase_probes::cause::Cause;

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

/// What the store was told of incidents.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Part of every row's id, so that two processes never share one.
    run: u64,
    told: BTreeMap<u64, (Arc<Incident>, IncidentRow)>,
    /// The row's id of each that is open and of the last that ended.
    ids: Arc<BTreeMap<u64, String>>,
    /// Those among them that ended, the last at the end; at most as many as a process remembers.
    over: VecDeque<u64>,
    earlier: Vec<Earlier>,
    /// When this process was first told what is open.
    began: Option<Duration>,
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
    pub fn new(run: u64, earlier: Vec<IncidentRow>) -> Self {
        Self { run, earlier: earlier.into_iter().map(Earlier::from).collect(), ..Self::default() }
    }

    /// Takes up what an earlier process left open, where that became known only later.
    pub fn recall(&mut self, earlier: Vec<IncidentRow>) {
        self.earlier.extend(earlier.into_iter().map(Earlier::from));
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
    pub fn update(&mut self, ledger: &Ledger, ready: bool, now: Duration) -> Vec<IncidentRow> {
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
                    next.account.note_changes(told, incident, now);
                    *told = Arc::clone(incident);
                    if *row != next {
                        row.clone_from(&next);
                        changed.push(next);
                    }
                }
                None => changed.push(self.begin(incident)),
            }
        }
        let is_open = |id: &u64| ledger.open.binary_search_by_key(id, |incident| incident.id).is_ok();
        let over: Vec<u64> = self.told.keys().copied().filter(|id| !is_open(id)).collect();
        for (_, row) in over.iter().filter_map(|id| self.told.remove(id)) {
            changed.push(IncidentRow { closed: Some(now), ..row });
        }
        self.over.extend(over);
        while self.over.len() > CLOSED_LIMIT
            && let Some(forgotten) = self.over.pop_front()
        {
            Arc::make_mut(&mut self.ids).remove(&forgotten);
        }
        let began = *self.began.get_or_insert(now);
        if ready && !self.earlier.is_empty() {
            let may_last = |earlier: &Earlier| shows_late(&earlier.row.cause) || !earlier.silent.is_empty();
            let is_early = |earlier: &Earlier| may_last(earlier) && now.saturating_sub(began) < LATE;
            let (waiting, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.earlier).into_iter().partition(is_early);
            self.earlier = waiting;
            for Earlier { row, silent, answered } in over {
                let is_well = silent.is_empty() && !shows_late(&row.cause);
                let last_seen = row.account.last_seen.unwrap_or(row.published);
                let over = OverUnseen { last_seen, by: answered.filter(|_| is_well).unwrap_or(now).max(last_seen) };
                Arc::make_mut(&mut self.over_unseen).insert(row.id.clone(), over);
                changed.push(IncidentRow { closed: Some(over.by), ..row });
            }
        }
        changed
    }

    /// Lets open incidents that an earlier process knew begin when they began there.
    pub fn date_back(&self, ledger: &mut Ledger) {
        for incident in &mut ledger.open {
            if let Some((_, row)) = self.told.get(&incident.id).filter(|(_, row)| row.since < incident.since) {
                Arc::make_mut(incident).since = row.since;
            }
        }
    }

    /// The ids under which the incidents of this process are remembered, by number.
    pub fn ids(&self) -> Arc<BTreeMap<u64, String>> {
        Arc::clone(&self.ids)
    }

    /// How those ended that an earlier process left open and this one saw nothing of, by id.
    pub fn over_unseen(&self) -> Arc<BTreeMap<String, OverUnseen>> {
        Arc::clone(&self.over_unseen)
    }

    fn begin(&mut self, incident: &Arc<Incident>) -> IncidentRow {
        let same = |Earlier { row, .. }: &Earlier| {
            row.cause == incident.finding.cause.label()
                && incident.endpoints.iter().any(|id| row.endpoints.iter().any(|known| **known == *id.0))
        };
        let row = match self.earlier.iter().position(same).map(|index| self.earlier.remove(index).row) {
            Some(earlier) => {
                let mut row = row_of(incident, earlier.id);
                row.since = earlier.since.min(incident.since);
                let same = (&earlier.confidence, &earlier.scope) == (&row.confidence, &row.scope);
                if same {
                    row.published = earlier.published.min(incident.published);
                }
                row.account.moments = earlier.account.moments;
                row.account.note(incident.published, "the agent was started anew, and saw it again".to_owned());
                row
            }
            // One that ended a moment ago and is back is the same one, under the id that it had.
            None => {
                let known = self.ids.get(&incident.id).cloned();
                let mut row = row_of(incident, known.unwrap_or_else(|| format!("{}-{}", self.run, incident.id)));
                row.account.note_name(incident);
                row
            }
        };
        self.told.insert(incident.id, (Arc::clone(incident), row.clone()));
        Arc::make_mut(&mut self.ids).insert(incident.id, row.id.clone());
        self.over.retain(|id| *id != incident.id);
        row
    }
}

/// Whether a cause shows while its endpoints work, only once names were compared or many visits made.
fn shows_late(cause: &str) -> bool {
    let Some(cause) = Cause::from_label(cause) else { return false };
    matches!(
        cause,
        Cause::DnsDivergent
            | Cause::DnsIntercepted
            | Cause::PacketLoss
            | Cause::Slow
            | Cause::FlowHashLoss
            | Cause::FlowTableFull
            | Cause::ProxiedBlind
            | Cause::NtpWrongTime
            | Cause::SqlRedirectBlocked
    )
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
    use ase_probes::verdict::{Confidence, Finding, Phase};

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

    #[test]
    fn each_change_is_told_once() {
        let mut archive = Archive::new(7, Vec::new());
        let (first, spread) =
            (ledger(&[incident(1, &["a:1433"], 100)]), ledger(&[incident(1, &["a:1433", "b:1433"], 100)]));
        let told = archive.update(&first, true, AT(110));
        assert_eq!((told.len(), &*told[0].id, told[0].closed), (1, "7-1", None));
        assert_eq!(archive.update(&first, true, AT(111)), []);
        let told = archive.update(&spread, true, AT(112));
        assert_eq!(told[0].endpoints, ["a:1433", "b:1433"]);
        let moments: Vec<_> = told[0].account.moments.iter().map(|moment| (moment.at, &*moment.what)).collect();
        assert_eq!(moments, [(AT(104), "it was named: dropped, likely"), (AT(112), "it hit b:1433, too")]);
        let over = archive.update(&ledger(&[]), true, AT(130));
        assert_eq!((over.len(), over[0].closed), (1, Some(AT(130))));
        assert_eq!(archive.update(&ledger(&[]), true, AT(131)), []);
    }

    #[test]
    fn what_was_named_at_first_stays_told_when_it_becomes_surer() {
        let mut archive = Archive::new(7, Vec::new());
        archive.update(&ledger(&[incident(1, &["a:1433"], 100)]), true, AT(110));
        let mut surer = Incident::clone(&incident(1, &["a:1433"], 100));
        (surer.finding.confidence, surer.published) = (Confidence::Confirmed, AT(130));
        let told = archive.update(&ledger(&[Arc::new(surer.clone())]), true, AT(130));
        let said: Vec<_> = told[0].account.moments.iter().map(|moment| (moment.at, &*moment.what)).collect();
        let became = "it became confirmed, and was likely until then";
        assert_eq!(said, [(AT(104), "it was named: dropped, likely"), (AT(130), became)]);
        assert_eq!(told[0].published, AT(130));
        // After a restart it is the same, or something else is known of it.
        for (confidence, published) in [(Confidence::Confirmed, 130), (Confidence::Likely, 204)] {
            let mut again = Incident::clone(&incident(1, &["a:1433"], 200));
            again.finding.confidence = confidence;
            let rows = Archive::new(8, told.clone()).update(&ledger(&[Arc::new(again)]), false, AT(210));
            assert_eq!(rows[0].published, AT(published), "{confidence:?}");
        }
    }

    #[test]
    fn every_open_incident_and_the_last_that_ended_can_be_found_by_their_ids() {
        let mut archive = Archive::new(7, Vec::new());
        let many: Vec<_> = (1..=3 * CLOSED_LIMIT as u64).map(|id| incident(id, &["a:1433"], 100)).collect();
        archive.update(&ledger(&many), true, AT(110));
        assert_eq!(archive.ids().len(), many.len(), "however many are open");
        archive.update(&ledger(&many[..1]), true, AT(120));
        let kept: Vec<u64> = archive.ids().keys().copied().collect();
        assert_eq!((kept.len(), kept[0], kept[1]), (1 + CLOSED_LIMIT, 1, 2 * CLOSED_LIMIT as u64 + 1));
        let back = [Arc::clone(&many[0]), incident(kept[1], &["a:1433"], 100)];
        archive.update(&ledger(&back), true, AT(130));
        let more: Vec<_> = (1..=CLOSED_LIMIT as u64).map(|id| incident(1000 + id, &["b:443"], 130)).collect();
        archive.update(&ledger(&[&back[..], &more].concat()), true, AT(140));
        archive.update(&ledger(&back), true, AT(150));
        assert_eq!(
            archive.ids().keys().take(2).copied().collect::<Vec<_>>(),
            [1, kept[1]],
            "one that came back is open"
        );
    }

    #[test]
    fn what_shows_late_is_not_over_when_all_was_visited_once() {
        let mut before = Archive::new(7, Vec::new());
        let late = |id| {
            let mut incident = Incident::clone(&incident(id, &["a:1433"], 100));
            incident.finding.cause = Cause::DnsDivergent;
            Arc::new(incident)
        };
        let rows = before.update(&ledger(&[late(1)]), true, AT(110));
        let mut again = Archive::new(8, rows.clone());
        again.answered("a:1433", AT(205));
        assert_eq!(again.update(&ledger(&[]), true, AT(210)), [], "no name was compared yet");
        let told = again.update(&ledger(&[late(1)]), true, AT(400));
        assert_eq!((told.len(), &*told[0].id, told[0].since), (1, "7-1", AT(100)), "it goes on");
        let mut over = Archive::new(8, rows);
        over.answered("a:1433", AT(205));
        over.update(&ledger(&[]), true, AT(210));
        let told = over.update(&ledger(&[]), true, AT(210) + LATE);
        assert_eq!((told.len(), told[0].closed), (1, Some(AT(210) + LATE)));
    }

    #[test]
    fn what_an_earlier_process_left_open_goes_on_or_ends_after_the_first_round() {
        let mut before = Archive::new(7, Vec::new());
        let rows =
            before.update(&ledger(&[incident(1, &["a:1433"], 100), incident(2, &["c:443"], 105)]), true, AT(110));
        let mut archive = Archive::new(8, rows);
        let again = ledger(&[incident(1, &["a:1433"], 200)]);
        let told = archive.update(&again, false, AT(201));
        assert_eq!((told.len(), &*told[0].id, told[0].since), (1, "7-1", AT(100)));
        let said: Vec<_> = told[0].account.moments.iter().map(|moment| &*moment.what).collect();
        assert_eq!(said, ["it was named: dropped, likely", "the agent was started anew, and saw it again"]);
        assert_eq!(told[0].published, AT(104), "it is what it was");
        assert_eq!(archive.update(&again, true, AT(230)), [], "its endpoint does not answer");
        archive.answered("c:443", AT(232));
        let over = archive.update(&again, true, AT(235));
        assert_eq!((over.len(), &*over[0].id, over[0].closed), (1, "7-2", Some(AT(232))));
        assert_eq!(archive.over_unseen()["7-2"], OverUnseen { last_seen: AT(109), by: AT(232) });
        let mut open = again.clone();
        archive.date_back(&mut open);
        assert_eq!(open.open[0].since, AT(100), "it began before this process did");
        let closed = archive.update(&ledger(&[]), true, AT(240));
        assert_eq!((&*closed[0].id, closed[0].since), ("7-1", AT(100)));
        let relapsed = archive.update(&open, true, AT(250));
        assert_eq!((&*relapsed[0].id, relapsed[0].since), ("7-1", AT(100)), "a relapse is the same one");
    }

    #[test]
    fn what_ended_while_no_process_looked_ended_between_when_it_was_last_seen_and_when_all_of_it_answered() {
        let mut row = row_of(&incident(1, &["a:1433", "b:1433"], 100), "7-1".to_owned());
        row.account.last_seen = Some(AT(150));
        let mut archive = Archive::new(8, vec![row]);
        for (endpoint, at) in [("a:1433", 1001), ("b:1433", 1007), ("c:443", 1020), ("a:1433", 1031)] {
            archive.answered(endpoint, AT(at));
        }
        assert_eq!(archive.update(&ledger(&[]), false, AT(1040)), [], "not everybody was asked");
        assert!(archive.over_unseen().is_empty());
        let over = archive.update(&ledger(&[]), true, AT(1060));
        assert_eq!((over[0].account.last_seen, over[0].closed), (Some(AT(150)), Some(AT(1007))));
        assert_eq!(archive.over_unseen()["7-1"], OverUnseen { last_seen: AT(150), by: AT(1007) });
    }
}
