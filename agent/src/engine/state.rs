//! What the loop knows: settings, endpoints, durations, risk, names. It changes them and shows them as a snapshot.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    class::Class,
    clock,
    outcome::Protocol,
    probe::Probe,
    verdict::{Phase, Verdict},
};

use rand::rngs::StdRng;

use crate::{
    diagnosis::{cases::Wanted, neighbours::Neighbours, shell::Diagnosing},
    early::Early,
    engine::{
        machine::MachineWatch,
        snapshot::{ClassView, Histogram, SelfView, Snapshot},
    },
    model::{
        catalog::{Catalog, Endpoint, Host},
        endpoint::{EndpointView, Status},
        remap::Remap,
        rounds::Rounds,
        settings::Settings,
        visit::{Untested, Visit},
    },
    resolvers::{
        compare::Outcome,
        host_files::ResolverWatch,
        load::Loads,
        shell::{Comparing, Step},
        survey,
    },
    risk::{clock::RiskClock, hysteresis::Sample},
    store::keeping::Keeping,
};

/// Everything that a snapshot shows.
#[derive(Debug)]
pub struct Known {
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// The agent itself.
    pub agent: SelfView,
    /// Every endpoint, in the catalogue's order.
    pub views: Vec<Arc<EndpointView>>,
    /// The comparison of names.
    pub comparing: Comparing,
    /// What a single look did not ask, in plain words.
    pub left_out: Vec<String>,
    /// The diagnosis of what is lost.
    pub diagnosing: Diagnosing,
    durations: Arc<BTreeMap<(Class, Phase), Histogram>>,
    risk: Option<RiskClock>,
    early: Option<Early>,
    born: Instant,
    keeping: Keeping,
    resolver_watch: ResolverWatch,
    machine: MachineWatch,
    resolver_loads: Arc<Loads>,
}

impl Known {
    /// Nothing was visited yet.
    pub fn new(settings: Settings, rounds: Rounds, rng: StdRng) -> Self {
        let now = clock::wall();
        let agent = SelfView {
            vantage: settings.vantage.clone(),
            started: now,
            ready: settings.catalog.endpoints.is_empty(),
            schedule_lag: Duration::ZERO,
            schedule_wait: Duration::ZERO,
            schedule_delays: Histogram::default(),
            in_flight: 0,
            sockets: 0,
            budget_spent: 0,
            reload_ok: true,
            loaded: now,
            origin: settings.origin.clone(),
            warnings: settings.warnings.clone(),
        };
        let keeping = if has_past(rounds) { Keeping::open(&settings, now) } else { Keeping::nothing() };
        let risk = has_past(rounds).then(|| {
            let mut clock = RiskClock::new(&settings);
            keeping.recall(&mut clock, now);
            clock
        });
        Self {
            agent,
            views: views_of(&settings.catalog, &BTreeMap::new()),
            comparing: Comparing::new(&settings, rounds),
            diagnosing: Diagnosing::new(&settings, has_past(rounds), rng),
            durations: Arc::new(durations_of(&settings.catalog)),
            left_out: Vec::new(),
            risk,
            keeping,
            early: has_past(rounds).then(|| Early::new(&settings.catalog)),
            born: clock::now(),
            resolver_watch: ResolverWatch::start(),
            machine: MachineWatch::start(&settings),
            resolver_loads: Arc::new(Loads::new(servers_of(&settings))),
            settings: Arc::new(settings),
        }
    }

    /// Takes new settings in force. What stays as it was keeps what is known of it.
    pub fn reload(&mut self, settings: Settings, rounds: Rounds) {
        let known: BTreeMap<_, _> =
            self.views.iter().map(|view| (view.endpoint.id.clone(), Arc::clone(view))).collect();
        self.views = views_of(&settings.catalog, &known);
        let mut durations = durations_of(&settings.catalog);
        durations.extend(self.durations.iter().map(|(key, histogram)| (*key, *histogram)));
        self.durations = Arc::new(durations);
        self.comparing.reload(&settings, rounds);
        let remap = Remap::between(&self.settings.catalog.endpoints, &settings.catalog.endpoints);
        self.diagnosing.reload(&settings, &remap);
        let mut loads = Loads::new(servers_of(&settings));
        loads.inherit(&self.resolver_loads);
        self.resolver_loads = Arc::new(loads);
        if let Some(clock) = &mut self.risk {
            clock.reload(&settings);
        }
        if let Some(early) = &mut self.early {
            early.reload(&settings.catalog);
        }
        self.agent.vantage.clone_from(&settings.vantage);
        self.agent.origin.clone_from(&settings.origin);
        self.agent.warnings.clone_from(&settings.warnings);
        self.agent.loaded = clock::wall();
        self.agent.reload_ok = true;
        self.settings = Arc::new(settings);
    }

    /// Says what a visit means in the light of everything else that is known.
    pub fn judge(&mut self, task: usize, visit: &Visit) -> Result<Verdict, Untested> {
        let (names, platform) = (self.comparing.names(), self.settings.resolvers.azure.ip());
        let around = Neighbours { views: &self.views, names, platform, now: clock::wall() };
        self.diagnosing.judge(task, visit, &around)
    }

    /// Thinks over what is lost, and says what would tell more.
    pub fn review(&mut self) -> Wanted {
        let wanted = self.diagnosing.review(&mut self.views, self.comparing.names(), &self.settings);
        wanted.names.iter().for_each(|host| self.comparing.hurry(host));
        wanted
    }

    /// Takes a visit in. A bad sample that waits for its confirmation changes no status yet.
    pub fn record(&mut self, task: usize, visit: Visit, unconfirmed: bool) {
        let view = Arc::make_mut(&mut self.views[task]);
        observe(Arc::make_mut(&mut self.durations), view.endpoint.class, &visit);
        heard_in(&visit)
            .for_each(|(server, outcome)| Arc::make_mut(&mut self.resolver_loads).hear(server, outcome, visit.began));
        if let Some(early) = &mut self.early {
            early.observe(view, &visit, self.born.elapsed());
        }
        self.keeping.visited(view, &visit);
        if let Some(clock) = self.risk.as_mut().filter(|_| !unconfirmed) {
            clock.observe(&view.endpoint.id, Sample::of(&visit));
        }
        let before = view.status;
        absorb(view, visit, unconfirmed);
        if before.label() != view.status.label() {
            log_change(view, before);
        }
        if let Status::Failed(finding) = view.status
            && finding.phase == Phase::Dns
        {
            self.comparing.hurry(&view.endpoint.target.host);
        }
    }

    /// Takes a first failure as confirmed, since so many others failed again in the same way.
    pub fn confirm(&mut self, task: usize, others: usize) {
        let view = Arc::make_mut(&mut self.views[task]);
        let Some(last) = &mut view.last else { return };
        let visit = Arc::make_mut(last);
        visit.confirmed_by = others;
        let status = visit.result.map_or_else(Status::Unknown, Status::from);
        if view.status.label() != status.label() {
            view.since = visit.began;
        }
        view.status = status;
    }

    /// Says of every endpoint that failed once, and was not asked again before the look ended, that it is not confirmed.
    /// Returns how many were never visited, and how many these are.
    pub fn give_up(&mut self) -> (usize, usize) {
        let (mut unvisited, mut unconfirmed) = (0, 0);
        let pending = |view: &&mut Arc<EndpointView>| view.status == Status::Unknown(Untested::NotYet);
        for view in self.views.iter_mut().filter(pending) {
            match view.last.as_ref().and_then(|visit| visit.result.ok()).and_then(|verdict| verdict.finding()) {
                Some(finding) => {
                    unconfirmed += 1;
                    Arc::make_mut(view).status = Status::Unknown(Untested::Unconfirmed(finding));
                }
                None => unvisited += 1,
            }
        }
        (unvisited, unconfirmed)
    }

    /// Takes in how the DNS servers answered a comparison or a trial.
    pub fn hear(&mut self, step: Step) {
        match step {
            Step::Began => {}
            Step::Heard(heard) => {
                let (loads, now) = (Arc::make_mut(&mut self.resolver_loads), clock::wall());
                heard.into_iter().for_each(|(server, outcome)| loads.hear(server, outcome, now));
            }
        }
    }

    /// Lets time pass for what depends on it.
    pub fn advance(&mut self) {
        let visited = |view: &Arc<EndpointView>| view.status != Status::Unknown(Untested::NotYet);
        self.agent.ready = self.agent.ready || self.views.iter().all(visited);
        if let Some(clock) = &mut self.risk {
            if let (Some(step), Some(early)) = (clock.advance(&self.views, &self.settings), &mut self.early) {
                early.step(&step.losses, step.elapsed, self.born.elapsed());
                if step.moved_risk {
                    self.keeping.stepped(clock.memory(), clock::wall());
                }
            }
            self.keeping.diagnosed(self.diagnosing.ledger(), self.agent.ready, clock::wall());
            self.resolver_watch.look();
            self.machine.look(&self.settings);
        }
    }

    /// Remembers what there is to remember, at the end.
    pub fn close(&mut self) {
        self.keeping.close(self.risk.as_ref().map(RiskClock::memory), clock::wall());
    }

    /// When [`Known::advance`] wants to be called at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.risk.as_ref().map(RiskClock::due)
    }

    /// All of it at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: clock::wall(),
            agent: self.agent.clone(),
            machine: Arc::clone(self.machine.seen()),
            resolvers: self.settings.resolvers.clone(),
            host_dns: self.resolver_watch.seen().clone(),
            catalog: Arc::clone(&self.settings.catalog),
            endpoints: self.views.clone(),
            classes: classes_of(&self.settings.catalog, &self.views),
            resolver_loads: Arc::clone(&self.resolver_loads),
            trial: self.comparing.trial(),
            names: Arc::clone(self.comparing.views()),
            incidents: self.diagnosing.ledger().clone(),
            risk: self.risk.as_ref().map(RiskClock::estimate),
            early: self.early.as_ref().map(|early| early.view(self.born.elapsed())),
            store: self.keeping.view(),
            durations: Arc::clone(&self.durations),
            left_out: self.left_out.clone(),
        }
    }
}

/// A daemon has a past, a one-shot check has none.
fn has_past(rounds: Rounds) -> bool {
    match rounds {
        Rounds::Endless { .. } => true,
        Rounds::One => false,
    }
}

/// Every DNS server that is asked: for names, as the reference, and as an endpoint.
fn servers_of(settings: &Settings) -> Vec<SocketAddr> {
    let watched = settings.catalog.endpoints.iter().filter_map(|endpoint| {
        match (&endpoint.target.probe, &endpoint.target.host) {
            (Probe::Dns(_), Host::Address(address)) => Some(SocketAddr::new(*address, endpoint.target.port)),
            (_, _) => None,
        }
    });
    settings.resolvers.custom.iter().copied().chain([settings.resolvers.azure]).chain(watched).collect()
}

/// How DNS servers answered in a visit: each that was asked for the name, and the endpoint where it is one over UDP.
fn heard_in(visit: &Visit) -> impl Iterator<Item = (SocketAddr, Outcome)> {
    let failures = visit.resolution.iter().flat_map(|resolution| &resolution.failures);
    let exchanges = failures.chain(&visit.outcomes).filter_map(|outcome| match &outcome.protocol {
        Protocol::Dns(reply) => Some((outcome.address, survey::normal(&outcome.seen, reply).outcome)),
        Protocol::Nothing | Protocol::Ntp(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
    });
    let found = visit.resolution.iter().filter(|resolution| !resolution.addresses.is_empty());
    let found = found.filter_map(|resolution| Some((resolution.server?, Outcome::Answer)));
    exchanges.chain(found)
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
    view.last = Some(Arc::new(visit.shrunk()));
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
    known: &BTreeMap<crate::model::catalog::EndpointId, Arc<EndpointView>>,
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
            diagnosis: None,
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

/// Every class that has endpoints or slots, in order: one walk over all endpoints.
fn classes_of(catalog: &Catalog, views: &[Arc<EndpointView>]) -> Vec<ClassView> {
    let none = |class| ClassView { class, endpoints: 0, up: 0, failed: 0, unknown: 0, worst: None, not_configured: 0 };
    let mut classes = BTreeMap::new();
    for slot in &catalog.slots {
        classes.entry(slot.class).or_insert_with(|| none(slot.class)).not_configured += 1;
    }
    for view in views {
        let class = view.endpoint.class;
        classes.entry(class).or_insert_with(|| none(class)).count(view);
    }
    classes.into_values().collect()
}
