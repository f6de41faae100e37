//! What follows from the endpoints' states as time passes: the risk, the early warnings, and the memory of both.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::cause::Cause;

use crate::{
    diagnosis::rules,
    early::{Early, EarlyView},
    engine::pulse::Clocks,
    model::{
        diagnosis::Ledger,
        endpoint::{EndpointView, StoreView},
        settings::Settings,
        visit::{Judgement, Visit},
    },
    risk::{estimate::Estimate, hysteresis::Sample, steps::RiskClock},
    store::{Closing, keeping::Keeping, rows::IncidentRow},
};

/// The risk, the early warnings and the memory.
#[derive(Debug)]
pub struct Outlook {
    clocks: Option<(RiskClock, Early)>,
    keeping: Keeping,
    born: Instant,
}

impl Outlook {
    /// The outlook of a daemon, which takes up where an earlier process ended.
    pub fn of_daemon(settings: &Settings, at: Clocks) -> Self {
        let keeping = Keeping::open(settings, shows_late, at.wall);
        let mut risk = RiskClock::new(settings, at.now);
        keeping.recall(&mut risk, at.wall);
        Self { clocks: Some((risk, Early::new(&settings.catalog))), keeping, born: at.now }
    }

    /// A one-shot check has no past and no outlook.
    pub fn none(at: Clocks) -> Self {
        Self { clocks: None, keeping: Keeping::nothing(), born: at.now }
    }

    /// Takes new settings in force; clocks of what stays keep their time.
    pub fn reload(&mut self, settings: &Settings) {
        if let Some((risk, early)) = &mut self.clocks {
            risk.reload(settings);
            early.reload(&settings.catalog);
        }
    }

    /// Takes in a visit to an endpoint and what it means. What waits for its confirmation moves no risk. Returns the number of
    /// the last outcome that this hands to the store.
    pub fn visited(
        &mut self,
        view: &EndpointView,
        visit: &Visit,
        judged: Judgement,
        is_confirmed: bool,
        now: Instant,
    ) -> Option<u64> {
        let handed_over = self.keeping.visited(view, visit, judged);
        let Some((risk, early)) = &mut self.clocks else { return handed_over };
        early.observe(view, visit, judged, now.duration_since(self.born));
        if is_confirmed {
            risk.observe(&view.endpoint.id, Sample::of(judged));
        }
        handed_over
    }

    /// Lets time pass. `ready` says whether every endpoint was visited once.
    pub fn advance(
        &mut self,
        views: &[Arc<EndpointView>],
        settings: &Settings,
        ledger: &mut Ledger,
        ready: bool,
        at: Clocks,
    ) {
        let Some((risk, early)) = &mut self.clocks else { return };
        self.keeping.recall_late(risk, at.now, at.wall);
        if let Some(step) = risk.advance(views, settings, at.now) {
            early.step(&step.losses, step.elapsed, at.now.duration_since(self.born));
            if step.moved_risk {
                self.keeping.stepped(risk.memory(), at.wall);
            }
        }
        self.keeping.diagnosed(ledger, ready, at.now, at.wall);
    }

    /// When [`Outlook::advance`] wants to be called at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.clocks.as_ref().map(|(risk, _)| risk.due())
    }

    /// Remembers what there is to remember, at the end. `now` is the time since the Unix epoch. The result tells when it
    /// is on the disk.
    pub fn close(&mut self, now: Duration) -> Option<Closing> {
        self.keeping.close(self.clocks.as_ref().map(|(risk, _)| risk.memory()), now)
    }

    /// How close the environment is to suspension.
    pub fn risk(&self) -> Option<Estimate> {
        self.clocks.as_ref().map(|(risk, _)| risk.estimate())
    }

    /// What moves before a class is lost.
    pub fn early(&self, now: Instant) -> Option<EarlyView> {
        self.clocks.as_ref().map(|(_, early)| early.view(now.duration_since(self.born)))
    }

    /// How the memory does.
    pub fn store(&self) -> StoreView {
        self.keeping.view()
    }
}

/// Whether what an earlier process knew of an incident says that it may show late.
fn shows_late(row: &IncidentRow) -> bool {
    let rules = row.account.judged.iter().map(|judged| &*judged.rule);
    Cause::from_label(&row.cause).is_some_and(|cause| rules::shows_late(cause, rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::tests::settings,
        model::diagnosis::{Incident, Scope},
        risk::steps::ClockMemory,
        sample,
        store::{
            CLOSE_WITHIN, Store,
            account::{Account, Judged},
            history::{self, Wanted},
            rows::StateRow,
        },
    };
    use ase_probes::{
        clock,
        verdict::{Confidence, Finding, Phase, Verdict},
    };
    use std::{fs, path::Path};

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn row(id: &str, (cause, rule): (Cause, &str), endpoint: &str) -> IncidentRow {
        let judged = Judged { rule: rule.to_owned(), ..Judged::default() };
        IncidentRow {
            id: id.to_owned(),
            cause: cause.label().to_owned(),
            endpoints: vec![endpoint.to_owned()],
            since: NOW - Duration::from_secs(900),
            published: NOW - Duration::from_secs(896),
            account: Account { judged: vec![judged], ..Account::default() },
            ..IncidentRow::default()
        }
    }

    /// A store in which an earlier process left these open.
    fn left(folder: &Path, rows: &[IncidentRow]) {
        let mut store = Store::open(folder, NOW).expect("the folder is writable");
        store.save(StateRow { saved: NOW, memory: ClockMemory::default() });
        rows.iter().for_each(|row| store.report(row.clone()));
        assert!(store.flush());
    }

    fn remembered(folder: &Path) -> Vec<IncidentRow> {
        history::incidents(folder, Wanted::Since(Duration::ZERO)).expect("the store can be read")
    }

    fn with_store(folder: &Path) -> Settings {
        let mut settings = settings("profile: custom\nresolvers: {custom: [192.0.2.53]}\n").expect("it is good");
        settings.state_dir = Some(folder.to_owned());
        settings
    }

    #[tokio::test]
    async fn an_outage_that_was_seen_before_the_store_opened_is_the_one_that_an_earlier_process_left_open() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let (folder, away) = (root.path().join("state"), root.path().join("away"));
        left(&folder, &[row("7-1", (Cause::Dropped, "R64"), "db:1433")]);
        fs::rename(&folder, &away).expect("it is not mounted yet");
        fs::write(&folder, "a file in its place").expect("it can be written");
        let (settings, begun) = (with_store(&folder), clock::now());
        let at = || {
            let passed = clock::now() - begun;
            Clocks { now: begun + passed, since_boot: passed, wall: NOW + passed }
        };
        let mut outlook = Outlook::of_daemon(&settings, at());
        let incident = Incident {
            id: 1,
            component: "port 1433".to_owned(),
            finding: Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible),
            scope: Scope::Port,
            hint: None,
            endpoints: vec![crate::model::catalog::EndpointId("db:1433".into())],
            hides: Vec::new(),
            evidence: Vec::new(),
            alternatives: Vec::new(),
            judged: Vec::new(),
            since: NOW,
            published: NOW,
        };
        let mut ledger = Ledger { open: vec![Arc::new(incident)], ..Ledger::default() };
        outlook.advance(&[], &settings, &mut ledger, true, at());
        fs::remove_file(&folder).and_then(|()| fs::rename(&away, &folder)).expect("it is mounted now");
        while outlook.store().recalled.is_none() {
            assert!(clock::now() - begun < Duration::from_secs(60), "a store that can be used is used");
            tokio::time::sleep(Duration::from_millis(20)).await;
            outlook.advance(&[], &settings, &mut ledger, true, at());
        }
        assert_eq!(ledger.open[0].since, NOW - Duration::from_secs(900), "it began before this process did");
        assert!(outlook.close(at().wall).expect("there is a store").wait(CLOSE_WITHIN).await);
        let known: Vec<_> = remembered(&folder).into_iter().map(|row| (row.id, row.since, row.closed)).collect();
        assert_eq!(known, [("7-1".to_owned(), NOW - Duration::from_secs(900), None)], "it is one incident");
    }

    #[tokio::test]
    async fn what_an_earlier_process_left_open_is_waited_for_where_its_endpoints_may_work_meanwhile() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let snapshot = sample::snapshot();
        let is_there = |view: &&Arc<EndpointView>| view.last.is_some();
        let view = snapshot.endpoints.iter().find(is_there).expect("the sample has one");
        let endpoint = &*view.endpoint.id.0;
        let rows = [
            row("7-1", (Cause::DnsNoReply, "R63m"), endpoint),
            row("7-2", (Cause::Reset, "R43t"), endpoint),
            row("7-3", (Cause::Reset, "R43"), endpoint),
        ];
        left(folder.path(), &rows);
        let (settings, now) = (with_store(folder.path()), clock::now());
        let at = Clocks { now, since_boot: Duration::ZERO, wall: NOW };
        let mut outlook = Outlook::of_daemon(&settings, at);
        let visit = view.last.as_ref().expect("it was visited");
        let _number = outlook.visited(view, visit, Ok(Verdict::Healthy), true, now);
        outlook.advance(&[], &settings, &mut Ledger::default(), true, at);
        assert!(outlook.close(NOW).expect("there is a store").wait(CLOSE_WITHIN).await);
        let open: Vec<_> = remembered(folder.path()).into_iter().filter(|row| row.closed.is_none()).collect();
        let open: Vec<_> = open.into_iter().map(|row| row.id).collect();
        assert_eq!(open, ["7-1", "7-2"], "it may come again, and what was met at every visit is over");
    }
}
