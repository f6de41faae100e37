//! The ledger of incidents: which are open, since when, and how many there were. It is told the groups of the moment.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Phase};

use crate::{
    diagnosis::{
        localise::{APART, follows_the_flow},
        turns::COMES_AND_GOES,
    },
    model::{
        catalog::EndpointId,
        diagnosis::{CLOSED_LIMIT, Closed, Episodes, Incident, Ledger},
    },
};

/// An incident that comes and goes is over when it was quiet for so long: four visits at the default interval.
const QUIET: Duration = Duration::from_secs(120);
/// Episodes that make an incident one that comes and goes: twice may be a repair that did not hold.
const EPISODES: usize = 3;
/// Episodes are counted over this time, and told in it: as long as a person at a screen waits for the next. What begins
/// again so soon after its end is the incident that was there before.
const COUNTED: Duration = Duration::from_secs(600);

/// What an update of the ledger brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An incident began.
    Began(Arc<Incident>),
    /// An incident that had ended came back.
    Returned(Arc<Incident>),
    /// An incident hits more endpoints than before, or another component: how it was, and how it is.
    Changed(Arc<Incident>, Arc<Incident>),
    /// An incident ended.
    Ended(Arc<Incident>),
}

impl Ledger {
    /// Takes in what is the case at this moment: opens, continues and closes incidents. The ledger gives numbers and
    /// times; whatever `situations` have there counts for nothing. Times that are told are the wall clock's; how long ago
    /// something was is told by one that nobody sets. Who has `turned` showed something older before, and goes with what
    /// is wider now: its older incident does not.
    pub fn update(
        &mut self,
        situations: Vec<Incident>,
        turned: &BTreeSet<EndpointId>,
        (now, steady): (Duration, Duration),
    ) -> Vec<Change> {
        let mut before = Before::new(std::mem::take(&mut self.open));
        let mut changes = Vec::new();
        let continued = before.take_each(&situations, turned);
        for (situation, continued) in situations.into_iter().zip(continued) {
            let earlier = continued.or_else(|| before.take_left(&situation, turned, &self.episodes));
            let returned = if earlier.is_none() { self.take_back(&situation, turned, steady) } else { None };
            let incident = match (earlier, returned) {
                (Some(earlier), _) => {
                    let next = carry_on(self.told_again(&earlier, (steady, now)), Arc::clone(&earlier), situation, now);
                    if next.component != earlier.component || next.endpoints.len() > earlier.endpoints.len() {
                        changes.push(Change::Changed(Arc::clone(&earlier), Arc::clone(&next)));
                    }
                    if !Arc::ptr_eq(&earlier, &next) {
                        self.remember_hit(&next);
                    }
                    next
                }
                (None, Some(earlier)) => {
                    let returned = carry_on(self.told_again(&earlier, (steady, now)), earlier, situation, now);
                    changes.push(Change::Returned(Arc::clone(&returned)));
                    self.remember_hit(&returned);
                    returned
                }
                (None, None) => {
                    let begun = Arc::new(self.begin(situation, now, steady));
                    changes.push(Change::Began(Arc::clone(&begun)));
                    self.remember_hit(&begun);
                    begun
                }
            };
            self.open.push(incident);
        }
        for incident in before.incidents.into_values() {
            let lingers = self.lingers(incident.id, steady);
            // One that a wider one has taken over is not waited for beside it, and neither is what flows that die look like
            // at one endpoint and another before it is known that they do.
            let covers = |other: &&Arc<Incident>| {
                let Some(episodes) = self.episodes.get(&other.id) else { return false };
                let mut hit = incident.endpoints.iter().map(|id| episodes.hit.contains(id));
                let cause = other.finding.cause;
                cause == incident.finding.cause && hit.clone().all(|hit| hit)
                    || follows_the_flow(cause) && hit.any(|hit| hit)
            };
            if lingers && !self.open.iter().any(|other| covers(&other)) {
                self.open.push(incident);
                continue;
            }
            self.closed.push(Arc::new(Closed { incident: Arc::clone(&incident), ended: now }));
            changes.push(Change::Ended(incident));
        }
        self.open.sort_by_key(|incident| incident.id);
        let surplus = self.closed.len().saturating_sub(CLOSED_LIMIT);
        self.closed.drain(..surplus);
        self.episodes.retain(|_, episodes| steady.saturating_sub(episodes.seen) <= COUNTED);
        changes
    }

    /// Takes the incident that a situation brings back from those that ended a moment ago. An incident that is still open
    /// is never brought back.
    fn take_back(
        &mut self,
        situation: &Incident,
        turned: &BTreeSet<EndpointId>,
        steady: Duration,
    ) -> Option<Arc<Incident>> {
        let cause = situation.finding.cause;
        let is_it = |closed: &Arc<Closed>| {
            closed.incident.finding.cause == cause
                && self.was_seen_lately(closed.incident.id, steady)
                && (follows_the_flow(cause) || is_again(&closed.incident, (situation, turned), &self.episodes))
        };
        let at = self.closed.iter().rposition(is_it)?;
        Some(Arc::clone(&self.closed.remove(at).incident))
    }

    fn was_seen_lately(&self, id: u64, steady: Duration) -> bool {
        self.episodes.get(&id).is_some_and(|episodes| steady.saturating_sub(episodes.seen) <= COUNTED)
    }

    /// Notes that an incident is the case, and says how often it came, where that is more than once.
    fn told_again(&mut self, incident: &Incident, (steady, now): (Duration, Duration)) -> Option<String> {
        let episodes = self.episodes.entry(incident.id).or_default();
        if episodes.is_quiet || episodes.begun.is_empty() {
            episodes.begun.push((steady, now));
            episodes.begun.retain(|(begun, _)| steady.saturating_sub(*begun) <= COUNTED);
        }
        (episodes.seen, episodes.is_quiet) = (steady, false);
        let ((first, _), (last, _)) = (episodes.begun.first()?, episodes.begun.last()?);
        let within = last.saturating_sub(*first).as_secs().div_ceil(60).max(1);
        (episodes.begun.len() > 1)
            .then(|| format!("{COMES_AND_GOES}: it began {} times within {within} min", episodes.begun.len()))
    }

    /// Notes whom an incident that is new or has changed hits: it is recognised by each of them when it comes back, however few were left at its end.
    fn remember_hit(&mut self, incident: &Incident) {
        let episodes = self.episodes.entry(incident.id).or_default();
        add(&mut episodes.hit, incident.endpoints.iter());
        add(&mut episodes.own, own(incident));
    }

    /// Whether an incident that is not the case at the moment stays open, because it comes and goes.
    fn lingers(&mut self, id: u64, steady: Duration) -> bool {
        let Some(episodes) = self.episodes.get_mut(&id) else { return false };
        episodes.is_quiet = true;
        episodes.begun.len() >= EPISODES && steady.saturating_sub(episodes.seen) < QUIET
    }

    /// Whether an incident is open only because it comes and goes.
    pub fn has_quiet(&self) -> bool {
        self.open.iter().any(|incident| self.episodes.get(&incident.id).is_some_and(|episodes| episodes.is_quiet))
    }

    fn begin(&mut self, situation: Incident, now: Duration, steady: Duration) -> Incident {
        let id = self.opened.values().sum::<u64>() + 1;
        *self.opened.entry(situation.finding.cause).or_default() += 1;
        self.episodes.insert(id, Episodes { begun: vec![(steady, now)], seen: steady, ..Episodes::default() });
        Incident { id, published: now, ..situation }
    }
}

/// The incidents that were open until now, findable by what they are about.
struct Before {
    incidents: BTreeMap<u64, Arc<Incident>>,
    by_endpoint: BTreeMap<(Cause, EndpointId), u64>,
    by_cause: BTreeMap<Cause, VecDeque<u64>>,
}

impl Before {
    fn new(open: Vec<Arc<Incident>>) -> Self {
        let mut new = Self { incidents: BTreeMap::new(), by_endpoint: BTreeMap::new(), by_cause: BTreeMap::new() };
        for incident in open {
            let cause = incident.finding.cause;
            let ids = incident.endpoints.iter().map(|endpoint| ((cause, endpoint.clone()), incident.id));
            new.by_endpoint.extend(ids);
            new.by_cause.entry(cause).or_default().push_back(incident.id);
            new.incidents.insert(incident.id, incident);
        }
        new
    }

    /// Takes for each situation the incident that it continues. Where several would continue the same, it is those that go
    /// back the furthest: what broke long after something narrower is something else.
    fn take_each(&mut self, situations: &[Incident], turned: &BTreeSet<EndpointId>) -> Vec<Option<Arc<Incident>>> {
        let claims: Vec<BTreeSet<u64>> = situations.iter().map(|situation| self.claimed(situation, turned)).collect();
        let mut oldest: BTreeMap<u64, Duration> = BTreeMap::new();
        for (situation, ids) in situations.iter().zip(&claims) {
            for id in ids {
                let since = oldest.entry(*id).or_insert(situation.since);
                *since = situation.since.min(*since);
            }
        }
        let is_late = |at: &usize| claims[*at].iter().any(|id| situations[*at].since > oldest[id] + APART);
        let (late, first): (Vec<usize>, Vec<usize>) = (0..situations.len()).partition(is_late);
        let mut taken = vec![None; situations.len()];
        for at in first.into_iter().chain(late) {
            taken[at] = self.take(&situations[at], &claims[at]);
        }
        taken
    }

    /// The incidents that a situation may continue: those of the same cause at some of the same endpoints, however far they
    /// have spread meanwhile. Those that have turned speak for none that is older.
    fn claimed(&self, situation: &Incident, turned: &BTreeSet<EndpointId>) -> BTreeSet<u64> {
        let cause = situation.finding.cause;
        let known = |endpoint: &EndpointId| {
            let id = *self.by_endpoint.get(&(cause, endpoint.clone()))?;
            let is_older = || self.incidents.get(&id).is_some_and(|earlier| is_older(earlier, situation));
            (!turned.contains(endpoint) || !is_older()).then_some(id)
        };
        situation.endpoints.iter().filter_map(known).collect()
    }

    /// Takes the incident that a situation continues, the oldest if there are several. A fault that takes some flows and
    /// spares others hits other endpoints at each turn, so that there the cause alone counts.
    fn take(&mut self, situation: &Incident, claimed: &BTreeSet<u64>) -> Option<Arc<Incident>> {
        let cause = situation.finding.cause;
        if follows_the_flow(cause) {
            let id = self.by_cause.get_mut(&cause).and_then(VecDeque::pop_front)?;
            return self.incidents.remove(&id);
        }
        claimed.iter().find_map(|id| self.incidents.remove(id))
    }

    /// Takes one that no situation continues, and that has hit some of these endpoints before.
    fn take_left(
        &mut self,
        situation: &Incident,
        turned: &BTreeSet<EndpointId>,
        episodes: &BTreeMap<u64, Episodes>,
    ) -> Option<Arc<Incident>> {
        let is_it = |incident: &&Arc<Incident>| {
            incident.finding.cause == situation.finding.cause && is_again(incident, (situation, turned), episodes)
        };
        let id = self.incidents.values().find(is_it)?.id;
        self.incidents.remove(&id)
    }
}

/// Whether a situation is an earlier incident of the same cause once more: at the same component, and among names that do not
/// resolve, it has hit some of the same endpoints, elsewhere some of them themselves. A way out that breaks after a DNS server
/// has recovered hits everybody whom that had hidden, and is another incident.
fn is_again(
    earlier: &Incident,
    (situation, turned): (&Incident, &BTreeSet<EndpointId>),
    episodes: &BTreeMap<u64, Episodes>,
) -> bool {
    let Some(episodes) = episodes.get(&earlier.id) else { return false };
    let speaks = |id: &EndpointId| !turned.contains(id) || !is_older(earlier, situation);
    let is_of_names = [earlier, situation].iter().all(|incident| incident.finding.phase == Phase::Dns);
    if earlier.component == situation.component || is_of_names {
        situation.endpoints.iter().any(|id| speaks(id) && episodes.hit.contains(id))
    } else {
        own(situation).any(|id| speaks(id) && episodes.own.contains(id))
    }
}

/// Whether an incident began long before a situation.
fn is_older(earlier: &Incident, situation: &Incident) -> bool {
    situation.since > earlier.since + APART
}

/// Adds endpoints to a set that snapshots share: it is copied only where one is new.
fn add<'a>(known: &mut Arc<BTreeSet<EndpointId>>, ids: impl Iterator<Item = &'a EndpointId>) {
    let new: Vec<EndpointId> = ids.filter(|id| !known.contains(*id)).cloned().collect();
    if !new.is_empty() {
        Arc::make_mut(known).extend(new);
    }
}

/// The endpoints that an incident hits themselves.
fn own(incident: &Incident) -> impl Iterator<Item = &EndpointId> {
    let hides: BTreeSet<&EndpointId> = incident.hides.iter().collect();
    incident.endpoints.iter().filter(move |id| !hides.contains(id))
}

fn carry_on(told: Option<String>, earlier: Arc<Incident>, mut situation: Incident, now: Duration) -> Arc<Incident> {
    // What comes and goes too fast to end in between says itself how often.
    let says_itself = situation.evidence.iter().any(|line| line.starts_with(COMES_AND_GOES));
    if let Some(told) = told.filter(|_| !says_itself) {
        situation.evidence.insert(0, told);
    }
    let same = (earlier.scope, earlier.finding) == (situation.scope, situation.finding);
    let published = if same { earlier.published } else { now };
    let since = earlier.since.min(situation.since);
    let next = Incident { id: earlier.id, since, published, ..situation };
    if *earlier == next { earlier } else { Arc::new(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::verdict::{Confidence, Finding};

    use crate::model::diagnosis::Scope;

    /// The wall clock goes as it should.
    fn update(ledger: &mut Ledger, situations: Vec<Incident>, now: Duration) -> Vec<Change> {
        ledger.update(situations, &BTreeSet::new(), (now, now))
    }

    fn situation(cause: Cause, endpoints: &[&str], scope: Scope) -> Incident {
        Incident {
            id: 0,
            published: Duration::ZERO,
            component: "TCP 1433 to every host".to_owned(),
            finding: Finding::new(cause, Phase::Connect, Confidence::Likely),
            scope,
            hint: None,
            endpoints: endpoints.iter().map(|id| EndpointId((*id).into())).collect(),
            hides: Vec::new(),
            evidence: Vec::new(),
            alternatives: Vec::new(),
            judged: Vec::new(),
            since: Duration::from_secs(100),
        }
    }

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_fault_that_spreads_stays_one_incident_and_counts_once() {
        let mut ledger = Ledger::default();
        update(&mut ledger, vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(110));
        update(&mut ledger, vec![situation(Cause::Dropped, &["a:1433", "b:1433"], Scope::Port)], AT(111));
        update(&mut ledger, vec![situation(Cause::Dropped, &["a:1433", "b:1433"], Scope::Port)], AT(112));
        let [incident] = &ledger.open[..] else { panic!("{:?}", ledger.open) };
        assert_eq!((incident.id, incident.scope, incident.since), (1, Scope::Port, AT(100)));
        assert_eq!(incident.published, AT(111), "the scope that is shown now stood first at 111");
        assert_eq!(ledger.opened[&Cause::Dropped], 1);
    }

    #[test]
    fn an_incident_that_grows_or_changes_its_component_is_told_again_and_one_that_shrinks_is_not() {
        let mut ledger = Ledger::default();
        let one = || situation(Cause::Dropped, &["a:1433"], Scope::Endpoint);
        let two = || situation(Cause::Dropped, &["a:1433", "b:1433"], Scope::Endpoint);
        let renamed = || Incident { component: "the host a".to_owned(), ..two() };
        update(&mut ledger, vec![one()], AT(110));
        for (second, next, is_told) in
            [(111, one(), false), (112, two(), true), (113, renamed(), true), (114, renamed(), false)]
        {
            let before = Arc::clone(&ledger.open[0]);
            let changes = update(&mut ledger, vec![next], AT(second));
            let told = matches!(&changes[..], [Change::Changed(was, is)] if *was == before && *is == ledger.open[0]);
            assert_eq!((told, changes.len()), (is_told, usize::from(is_told)), "at {second}: {changes:?}");
        }
        let fewer = Incident { component: "the host a".to_owned(), ..one() };
        assert_eq!(update(&mut ledger, vec![fewer], AT(115)), []);
    }

    #[test]
    fn an_incident_goes_on_where_it_goes_back_the_furthest_and_not_where_it_is_widest() {
        let mut ledger = Ledger::default();
        let from = |second, endpoints: &[&str], scope| Incident {
            since: AT(second),
            ..situation(Cause::Dropped, endpoints, scope)
        };
        update(&mut ledger, vec![from(100, &["a:443", "b:443"], Scope::Endpoint)], AT(900));
        let wide = || from(890, &["b:443", "c:80", "d:80"], Scope::Egress);
        update(&mut ledger, vec![wide(), from(100, &["a:443"], Scope::Endpoint)], AT(901));
        let told =
            |ledger: &Ledger| ledger.open.iter().map(|it| (it.id, it.endpoints.len(), it.since)).collect::<Vec<_>>();
        assert_eq!(told(&ledger), [(1, 1, AT(100)), (2, 3, AT(890))]);
        update(&mut ledger, vec![wide()], AT(902));
        assert_eq!(told(&ledger), [(2, 3, AT(890))]);
    }

    #[test]
    fn who_turned_gives_what_is_wider_now_neither_its_number_nor_its_age() {
        let mut ledger = Ledger::default();
        let turned = BTreeSet::from([EndpointId("a:443".into())]);
        let wide = || Incident {
            since: AT(890),
            component: "everything outside this network".to_owned(),
            ..situation(Cause::Dropped, &["a:443", "c:80", "d:80"], Scope::Egress)
        };
        update(&mut ledger, vec![situation(Cause::Dropped, &["a:443"], Scope::Endpoint)], AT(880));
        for second in [900, 901] {
            ledger.update(vec![wide()], &turned, (AT(second), AT(second)));
            let [incident] = &ledger.open[..] else { panic!("{:?}", ledger.open) };
            assert_eq!((incident.id, incident.since, incident.endpoints.len()), (2, AT(890), 3));
            assert_eq!(ledger.closed.iter().map(|closed| closed.incident.id).collect::<Vec<_>>(), [1]);
        }
    }

    #[test]
    fn what_ends_is_closed_and_another_cause_is_another_incident() {
        let mut ledger = Ledger::default();
        update(&mut ledger, vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(110));
        update(&mut ledger, vec![situation(Cause::Refused, &["a:1433"], Scope::Endpoint)], AT(120));
        assert_eq!((ledger.open.len(), ledger.open[0].id, ledger.closed.len()), (1, 2, 1));
        update(&mut ledger, Vec::new(), AT(130));
        assert!(ledger.open.is_empty());
        assert_eq!(ledger.closed.last().map(|closed| closed.ended), Some(AT(130)));
    }

    #[test]
    fn closed_incidents_are_bounded() {
        let mut ledger = Ledger::default();
        for turn in 0..300 {
            update(&mut ledger, vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(turn * 1000));
            update(&mut ledger, Vec::new(), AT(turn * 1000 + 1));
        }
        assert!(ledger.episodes.len() <= 1);
        assert_eq!(ledger.closed.len(), CLOSED_LIMIT);
        assert_eq!(ledger.opened[&Cause::Dropped], 300);
    }

    #[test]
    fn what_comes_and_goes_is_one_incident_that_says_how_often_and_ends_when_it_was_quiet() {
        let mut ledger = Ledger::default();
        let it = || vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)];
        let mut changes = Vec::new();
        for turn in 0..4 {
            changes.extend(update(&mut ledger, it(), AT(1000 + turn * 40)));
            changes.extend(update(&mut ledger, it(), AT(1010 + turn * 40)));
            changes.extend(update(&mut ledger, Vec::new(), AT(1020 + turn * 40)));
        }
        let [incident] = &ledger.open[..] else { panic!("{:?}", ledger.open) };
        assert_eq!((incident.id, ledger.opened[&Cause::Dropped]), (1, 1), "one incident");
        assert_eq!(incident.evidence, ["it comes and goes: it began 4 times within 2 min"]);
        let began = |change: &&Change| matches!(change, Change::Began(_));
        assert_eq!(changes.iter().filter(began).count(), 1);
        update(&mut ledger, Vec::new(), AT(1020 + 3 * 40 + 100));
        assert_eq!(ledger.open.len(), 1, "it may come back");
        update(&mut ledger, Vec::new(), AT(1020 + 3 * 40 + 130));
        assert!(ledger.open.is_empty() && ledger.closed.len() == 1);
        update(&mut ledger, it(), AT(2000));
        assert_eq!((ledger.open[0].id, ledger.open[0].evidence.len()), (2, 0), "long afterwards it is another one");
    }

    #[test]
    fn what_comes_back_to_others_than_those_who_were_left_at_its_end_is_the_same_incident() {
        let mut ledger = Ledger::default();
        let at = |ids: &[&str]| vec![situation(Cause::DnsNoReply, ids, Scope::Host)];
        let all = ["a:443", "b:443", "c:443", "d:443"];
        for turn in 0..4u64 {
            let first = turn as usize % 4;
            update(&mut ledger, at(&[all[first], all[(first + 1) % 4], all[(first + 2) % 4]]), AT(1000 + turn * 12));
            update(&mut ledger, at(&[all[first]]), AT(1005 + turn * 12));
            update(&mut ledger, Vec::new(), AT(1006 + turn * 12));
        }
        assert_eq!((ledger.open.len(), ledger.opened[&Cause::DnsNoReply]), (1, 1), "{:?}", ledger.open);
        let two = [at(&["a:443"]), at(&["e:443"])].concat();
        update(&mut ledger, two, AT(1048));
        assert_eq!(ledger.open.len(), 2, "somebody else is another incident");
        update(&mut ledger, at(&["b:443", "c:443"]), AT(1049));
        assert_eq!(ledger.open.len(), 1, "{:?}", ledger.open);
    }

    #[test]
    fn what_comes_and_goes_is_not_waited_for_where_it_is_known_that_flows_die() {
        let mut ledger = Ledger::default();
        for turn in 0..4 {
            let cut = situation(Cause::TlsBlocked, &["a:443", "b:443"], Scope::Endpoint);
            update(&mut ledger, vec![cut], AT(1000 + turn * 40));
            update(&mut ledger, Vec::new(), AT(1010 + turn * 40));
        }
        assert_eq!(ledger.open.len(), 1, "it may come back");
        update(&mut ledger, vec![situation(Cause::FlowHashLoss, &["b:443", "c:443"], Scope::Egress)], AT(1140));
        let open: Vec<Cause> = ledger.open.iter().map(|incident| incident.finding.cause).collect();
        assert_eq!(open, [Cause::FlowHashLoss]);
    }

    #[test]
    fn what_hits_those_whom_another_fault_only_hid_is_another_incident() {
        let at = |component: &str, ids: &[&str], hides: &[&str]| {
            let hides = hides.iter().map(|id| EndpointId((*id).into())).collect();
            vec![Incident { component: component.into(), hides, ..situation(Cause::Dropped, ids, Scope::Host) }]
        };
        let server = || at("the DNS server 10.0.0.4", &["10.0.0.4:53/udp", "a:443", "b:443"], &["a:443", "b:443"]);
        let way_out = || at("everything outside this network", &["a:443", "b:443"], &[]);
        for (first, second) in [(server(), way_out()), (way_out(), server())] {
            let mut ledger = Ledger::default();
            update(&mut ledger, first.clone(), AT(1000));
            update(&mut ledger, Vec::new(), AT(1060));
            update(&mut ledger, second, AT(1100));
            assert_eq!((ledger.open[0].id, ledger.opened[&Cause::Dropped]), (2, 2), "{:?}", ledger.open);
            update(&mut ledger, Vec::new(), AT(1160));
            update(&mut ledger, first, AT(1200));
            assert_eq!(ledger.open[0].id, 1, "each comes back as itself");
        }
    }

    #[test]
    fn what_comes_and_goes_as_a_part_of_a_wider_incident_is_not_waited_for_beside_it() {
        let mut ledger = Ledger::default();
        let part = || situation(Cause::Dropped, &["a:80"], Scope::Endpoint);
        let whole = || situation(Cause::Dropped, &["b:443", "a:80"], Scope::Egress);
        update(&mut ledger, vec![situation(Cause::Dropped, &["b:443"], Scope::Endpoint)], AT(990));
        for turn in 0..4 {
            update(
                &mut ledger,
                vec![situation(Cause::Dropped, &["b:443"], Scope::Endpoint), part()],
                AT(1000 + turn * 40),
            );
            update(&mut ledger, vec![situation(Cause::Dropped, &["b:443"], Scope::Endpoint)], AT(1010 + turn * 40));
        }
        assert_eq!(ledger.open.len(), 2, "it may come back");
        update(&mut ledger, vec![whole()], AT(1180));
        assert_eq!(ledger.open.len(), 1, "{:?}", ledger.open);
    }

    #[test]
    fn one_repair_ends_an_incident_at_once_and_a_relapse_is_the_same_one() {
        let mut ledger = Ledger::default();
        let it = || vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)];
        update(&mut ledger, it(), AT(1000));
        update(&mut ledger, Vec::new(), AT(1030));
        assert!(ledger.open.is_empty());
        let changes = update(&mut ledger, it(), AT(1060));
        assert!(matches!(&changes[..], [Change::Returned(incident)] if incident.id == 1), "{changes:?}");
        assert!(ledger.closed.is_empty());
        update(&mut ledger, Vec::new(), AT(1090));
        assert!(ledger.open.is_empty(), "twice is no pattern");
    }
}
