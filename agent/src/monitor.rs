//! The one loop that owns all mutable state: it begins visits when they are due, takes in what they learned
//! and publishes snapshots. It judges nothing and formats nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    class::Class,
    clock,
    verdict::{Phase, Verdict},
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
};

use crate::{
    catalog::{Catalog, Endpoint},
    quorum,
    risk::Risk,
    schedule::{Rhythm, Rounds, Sample, Schedule},
    settings::{Pace, Resolvers, Settings},
    snapshot::{ClassView, EndpointView, Histogram, SelfView, Snapshot, Status},
    visit::{Untested, Visit, Visitor},
};

/// RFC 8633 practice: one time server is not asked more often than this in the steady state.
const NTP_INTERVAL: Duration = Duration::from_secs(64);
/// Bursts to one time server keep this distance.
const NTP_CONFIRM_AFTER: Duration = Duration::from_secs(2);
/// Time between two steps of the risk's clocks: the default interval.
const RISK_STEP: Duration = Duration::from_secs(30);
/// Pause before a visit is tried again whose destination's flow budget was spent.
const BUDGET_PAUSE: Duration = Duration::from_secs(15);

/// A visit that ended, with the task it ran in; an error if it died.
type Ended = Result<(task::Id, Visit), JoinError>;

/// Everything the agent knows and does.
#[derive(Debug)]
pub struct Monitor {
    settings: Arc<Settings>,
    visitor: Arc<Visitor>,
    schedule: Schedule,
    views: Vec<Arc<EndpointView>>,
    durations: Arc<BTreeMap<(Class, Phase), Histogram>>,
    visits: JoinSet<Visit>,
    under_way: BTreeMap<task::Id, usize>,
    rng: StdRng,
    agent: SelfView,
    risk: Option<RiskClock>,
    publish: watch::Sender<Arc<Snapshot>>,
}

impl Monitor {
    /// Prepares the loop and publishes a first snapshot in which nothing was visited yet.
    pub fn new(settings: Settings, rounds: Rounds, seed: [u8; 32]) -> Self {
        let settings = Arc::new(settings);
        let agent = SelfView {
            vantage: settings.vantage.clone(),
            started: clock::wall(),
            ready: settings.catalog.endpoints.is_empty(),
            schedule_lag: Duration::ZERO,
            in_flight: 0,
            budget_spent: 0,
            reload_ok: true,
            loaded: clock::wall(),
            origin: settings.origin.clone(),
            warnings: settings.warnings.clone(),
        };
        let views = views_of(&settings.catalog, &BTreeMap::new());
        let durations = Arc::new(durations_of(&settings.catalog));
        let risk = match rounds {
            Rounds::Endless { .. } => Some(RiskClock::new(&settings)),
            Rounds::One => None,
        };
        let first = snapshot(&settings, &agent, &views, &durations, risk.as_ref());
        Self {
            visitor: Arc::new(Visitor::new(&settings)),
            schedule: plan(&settings, rounds),
            views,
            durations,
            visits: JoinSet::new(),
            under_way: BTreeMap::new(),
            rng: StdRng::from_seed(seed),
            agent,
            risk,
            publish: watch::Sender::new(Arc::new(first)),
            settings,
        }
    }

    /// A receiver of every snapshot to come; it holds the latest one already.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.publish.subscribe()
    }

    /// Does the next thing there is to do: begins what is due, or takes in what ended. Cancel safe.
    pub async fn step(&mut self) {
        let due = self.schedule.next_due();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => self.begin(),
            Some(ended) = self.visits.join_next_with_id() => self.take_in(ended),
        }
    }

    /// Whether every endpoint was visited and no bad sample waits for its confirmation.
    pub fn is_settled(&self) -> bool {
        self.visits.is_empty() && self.schedule.next_due().is_none()
    }

    /// How many endpoints have a confirmed status.
    pub fn settled(&self) -> usize {
        self.views.iter().filter(|view| view.status != Status::Unknown(Untested::NotYet)).count()
    }

    /// Takes new settings in force. Endpoints that stay as they were keep what is known of them.
    pub fn reload(&mut self, settings: Settings) {
        let known: BTreeMap<_, _> =
            self.views.iter().map(|view| (view.endpoint.id.clone(), Arc::clone(view))).collect();
        let settings = Arc::new(settings);
        self.visits = JoinSet::new();
        self.under_way.clear();
        self.visitor = Arc::new(Visitor::new(&settings));
        self.views = views_of(&settings.catalog, &known);
        let mut durations = durations_of(&settings.catalog);
        durations.extend(self.durations.iter().map(|(key, histogram)| (*key, *histogram)));
        self.durations = Arc::new(durations);
        self.schedule = plan(&settings, FIRST_ROUND);
        if let Some(clock) = &mut self.risk {
            clock.risk.reconfigure(settings.assumptions.clone(), classes_of(&settings));
        }
        self.agent.vantage.clone_from(&settings.vantage);
        self.agent.origin.clone_from(&settings.origin);
        self.agent.warnings.clone_from(&settings.warnings);
        self.agent.loaded = clock::wall();
        self.agent.reload_ok = true;
        self.settings = settings;
        self.publish();
    }

    /// Notes that new settings were bad and the old ones stay in force.
    pub fn reload_failed(&mut self) {
        self.agent.reload_ok = false;
        self.publish();
    }

    /// Begins no more visits and waits for those under way, at most for the drain time.
    pub async fn drain(&mut self) {
        let drain = self.settings.pace.drain;
        let wait = async {
            while let Some(ended) = self.visits.join_next_with_id().await {
                self.settle(ended);
            }
        };
        if tokio::time::timeout(drain, wait).await.is_err() {
            tracing::warn!(cut = self.visits.len(), "visits were cut off at the end of the drain time");
            self.visits.abort_all();
        }
    }

    fn begin(&mut self) {
        let now = clock::now();
        for due in self.schedule.take_due(now) {
            let view = Arc::make_mut(&mut self.views[due.task]);
            view.attempts += 1;
            let endpoint = Arc::clone(&view.endpoint);
            let visitor = Arc::clone(&self.visitor);
            let rng = StdRng::from_rng(&mut self.rng);
            let visit = self.visits.spawn(async move { visitor.visit(&endpoint, rng).await });
            self.under_way.insert(visit.id(), due.task);
        }
        self.publish();
    }

    /// Takes in this visit and every other one that ended meanwhile, then publishes once.
    fn take_in(&mut self, ended: Ended) {
        self.settle(ended);
        while let Some(ended) = self.visits.try_join_next_with_id() {
            self.settle(ended);
        }
        self.publish();
    }

    fn settle(&mut self, ended: Ended) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(task) = self.under_way.remove(&id) else { return };
        match ended {
            Ok((_, visit)) => self.record(task, visit),
            Err(error) => {
                tracing::error!(%error, endpoint = %self.views[task].endpoint.id, "a visit died; this is a defect of the agent");
                self.schedule.finished(task, Sample::Unknown, clock::now());
            }
        }
    }

    fn record(&mut self, task: usize, visit: Visit) {
        let now = clock::now();
        if visit.result == Err(Untested::BudgetSpent) && visit.outcomes.is_empty() {
            self.agent.budget_spent += 1;
            self.schedule.put_off(task, BUDGET_PAUSE, now);
            return;
        }
        self.schedule.finished(task, sample(&visit), now);
        let unconfirmed = self.schedule.is_confirming(task);
        let view = Arc::make_mut(&mut self.views[task]);
        observe(Arc::make_mut(&mut self.durations), view.endpoint.class, &visit);
        let before = view.status;
        absorb(view, visit, unconfirmed);
        if before.label() != view.status.label() {
            log_change(view, before);
        }
    }

    fn publish(&mut self) {
        self.agent.schedule_lag = self.schedule.lag();
        self.agent.in_flight = self.visits.len();
        self.agent.ready |= self.views.iter().all(|view| view.status != Status::Unknown(Untested::NotYet));
        if let Some(clock) = &mut self.risk {
            clock.advance(&self.views, &self.settings.resolvers);
        }
        let risk = self.risk.as_ref();
        let now = snapshot(&self.settings, &self.agent, &self.views, &self.durations, risk);
        self.publish.send_replace(Arc::new(now));
    }
}

/// The risk and when it was last told of time.
#[derive(Debug)]
struct RiskClock {
    risk: Risk,
    told: Instant,
}

impl RiskClock {
    fn new(settings: &Settings) -> Self {
        Self { risk: Risk::new(settings.assumptions.clone(), classes_of(settings)), told: clock::now() }
    }

    /// Lets the time since the last step pass. A pause of the machine counts for three steps at most.
    fn advance(&mut self, views: &[Arc<EndpointView>], resolvers: &Resolvers) {
        let now = clock::now();
        let elapsed = now.duration_since(self.told);
        if elapsed >= RISK_STEP {
            self.told = now;
            let losses = quorum::losses(views.iter().map(|view| &**view), resolvers);
            self.risk.step(&losses, elapsed.min(RISK_STEP * 3));
        }
    }
}

fn classes_of(settings: &Settings) -> BTreeSet<Class> {
    settings.catalog.endpoints.iter().map(|endpoint| endpoint.class).collect()
}

/// The first visits of a daemon are spread over this time.
pub const FIRST_ROUND: Rounds = Rounds::Endless { spread: Duration::from_secs(5) };

fn plan(settings: &Settings, rounds: Rounds) -> Schedule {
    let pace = &settings.pace;
    let rhythms = settings.catalog.endpoints.iter().map(|endpoint| rhythm(endpoint, pace));
    Schedule::new(rhythms, pace.concurrency, rounds, clock::now())
}

fn rhythm(endpoint: &Endpoint, pace: &Pace) -> Rhythm {
    let interval = endpoint.interval;
    match endpoint.class {
        Class::Ntp => Rhythm {
            interval,
            confirm_after: pace.confirm_after.max(NTP_CONFIRM_AFTER),
            failing_interval: pace.failing_interval.max(NTP_INTERVAL),
        },
        Class::Dns | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => {
            Rhythm { interval, confirm_after: pace.confirm_after, failing_interval: pace.failing_interval }
        }
    }
}

fn sample(visit: &Visit) -> Sample {
    match visit.result {
        Ok(Verdict::Failed(finding)) if finding.cause == Cause::NtpDenied => Sample::AskedToSlowDown,
        Ok(Verdict::Failed(_)) => Sample::Bad,
        Ok(Verdict::Healthy | Verdict::Degraded(_)) => Sample::Good,
        Ok(Verdict::Inconclusive(_)) | Err(_) => Sample::Unknown,
    }
}

/// Takes a visit into an endpoint's view. A bad sample that waits for its confirmation changes no status yet.
fn absorb(view: &mut EndpointView, visit: Visit, unconfirmed: bool) {
    let good = matches!(visit.result, Ok(Verdict::Healthy | Verdict::Degraded(_)));
    let tested = good || matches!(visit.result, Ok(Verdict::Failed(_)));
    if tested {
        view.reach = view.reach << 1 | u8::from(good);
    }
    if let Ok(Verdict::Failed(finding)) = visit.result {
        *view.failures.entry(finding.cause).or_default() += 1;
    }
    if good {
        view.last_success = Some(visit.began + visit.took);
    }
    let status = match visit.result {
        Ok(verdict) => Status::from(verdict),
        Err(untested) => Status::Unknown(untested),
    };
    if !unconfirmed {
        if view.status.label() != status.label() {
            view.since = visit.began;
        }
        view.status = status;
    }
    view.last = Some(Arc::new(visit));
}

fn log_change(view: &EndpointView, before: Status) {
    let (endpoint, class) = (&view.endpoint.id, view.endpoint.class);
    let (from, to) = (before.label(), view.status.label());
    match view.status {
        Status::Healthy => tracing::info!(%endpoint, %class, from, to, "the endpoint proved itself"),
        Status::Degraded(finding) | Status::Failed(finding) => {
            let (cause, phase) = (finding.cause.label(), finding.phase.label());
            let evidence = view.last.as_ref().and_then(|visit| visit.evidence().into_iter().next());
            tracing::warn!(%endpoint, %class, from, to, cause, phase, evidence, "the endpoint changed");
        }
        Status::Unknown(untested) => {
            tracing::warn!(%endpoint, %class, from, to, reason = untested.reason(), "the endpoint was not tested");
        }
    }
}

fn observe(durations: &mut BTreeMap<(Class, Phase), Histogram>, class: Class, visit: &Visit) {
    for (phase, elapsed) in visit.phases.iter() {
        durations.entry((class, phase)).or_default().observe(elapsed);
    }
    durations.entry((class, Phase::None)).or_default().observe(visit.took);
}

fn views_of(
    catalog: &Catalog,
    known: &BTreeMap<crate::catalog::EndpointId, Arc<EndpointView>>,
) -> Vec<Arc<EndpointView>> {
    let view = |endpoint: &Arc<Endpoint>| match known.get(&endpoint.id).filter(|view| view.endpoint == *endpoint) {
        Some(view) => Arc::clone(view),
        None => Arc::new(EndpointView {
            endpoint: Arc::clone(endpoint),
            status: Status::Unknown(Untested::NotYet),
            since: clock::wall(),
            last: None,
            attempts: 0,
            failures: BTreeMap::new(),
            last_success: None,
            reach: 0,
        }),
    };
    catalog.endpoints.iter().map(view).collect()
}

/// The phases that a class can pass through; their histograms exist from the start.
fn phases_of(class: Class) -> &'static [Phase] {
    match class {
        Class::Dns => &[Phase::Dns, Phase::Connect, Phase::None],
        Class::Ntp => &[Phase::Dns, Phase::Ntp, Phase::None],
        Class::Http => &[Phase::Dns, Phase::Connect, Phase::Request, Phase::Response, Phase::None],
        Class::Https | Class::Monitoring => {
            &[Phase::Dns, Phase::Connect, Phase::Tls, Phase::Request, Phase::Response, Phase::None]
        }
        Class::Sql => &[Phase::Dns, Phase::Connect, Phase::Tds, Phase::Tls, Phase::None],
        Class::Tcp => &[Phase::Dns, Phase::Connect, Phase::None],
    }
}

fn durations_of(catalog: &Catalog) -> BTreeMap<(Class, Phase), Histogram> {
    let classes = catalog.endpoints.iter().map(|endpoint| endpoint.class);
    let keys = classes.flat_map(|class| phases_of(class).iter().map(move |phase| (class, *phase)));
    keys.map(|key| (key, Histogram::default())).collect()
}

fn snapshot(
    settings: &Settings,
    agent: &SelfView,
    views: &[Arc<EndpointView>],
    durations: &Arc<BTreeMap<(Class, Phase), Histogram>>,
    risk: Option<&RiskClock>,
) -> Snapshot {
    Snapshot {
        at: clock::wall(),
        agent: agent.clone(),
        resolvers: settings.resolvers.clone(),
        catalog: Arc::clone(&settings.catalog),
        endpoints: views.to_vec(),
        classes: Class::ALL.into_iter().filter_map(|class| class_view(class, settings, views)).collect(),
        risk: risk.map(|clock| clock.risk.estimate()),
        durations: Arc::clone(durations),
    }
}

fn class_view(class: Class, settings: &Settings, views: &[Arc<EndpointView>]) -> Option<ClassView> {
    let not_configured = settings.catalog.slots.iter().filter(|slot| slot.class == class).count();
    let mut sum = ClassView { class, endpoints: 0, up: 0, failed: 0, unknown: 0, worst: None, not_configured };
    for view in views.iter().filter(|view| view.endpoint.class == class) {
        sum.endpoints += 1;
        match view.status {
            Status::Healthy | Status::Degraded(_) => sum.up += 1,
            Status::Unknown(_) => sum.unknown += 1,
            Status::Failed(_) => {
                sum.failed += 1;
                sum.worst = sum.worst.max(Some(view.endpoint.severity));
            }
        }
    }
    (sum.endpoints + not_configured > 0).then_some(sum)
}
