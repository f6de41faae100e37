//! The state of the whole agent and what follows from an event or from the time: which visits begin, and whether readers
//! are to be told. It is given the time and what others learned; it opens no socket.

#[cfg(test)]
mod peers;
mod single_look;
#[cfg(test)]
mod world;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::verdict::{Phase, Verdict};
use rand::rngs::StdRng;

use crate::{
    diagnosis::{cases::Moment, neighbours::Neighbours, shell::Diagnosing},
    engine::{
        announce::{self, Slowness},
        endpoints::Endpoints,
        events::{Begin, Commands, Event, Tell},
        judging::{hindrance, is_hidden, judge_stalled},
        look::{Look, Shown},
        outlook::Outlook,
        plan,
        pulse::{Clocks, Pulse},
        room::VisitNumber,
        schedule::{Ended, Rhythm, Schedule, Upshot},
        snapshot::{SelfView, Snapshot},
        sums::Sums,
        surroundings::Surroundings,
    },
    exports::view::{ExportsView, Joined, Now},
    model::{
        catalog::ResolvedBy,
        diagnosis::Incident,
        endpoint::Status,
        remap::Remap,
        rounds::Rounds,
        settings::Settings,
        visit::{Judgement, Untested, Visit},
    },
    resolvers::shell::{Comparing, Step},
    store::Closing,
    visit::visitor::Occasion,
};

/// All that changes in time.
#[derive(Debug)]
pub struct State {
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// The comparison of names.
    pub comparing: Comparing,
    /// The diagnosis of what is lost.
    pub diagnosing: Diagnosing,
    rounds: Rounds,
    files: usize,
    agent: SelfView,
    schedule: Schedule,
    pulse: Pulse,
    endpoints: Endpoints,
    sums: Sums,
    outlook: Outlook,
    slowness: Slowness,
    look: Option<Look>,
    /// What a single look did not ask, in plain words.
    left_out: Vec<String>,
    /// The open incidents that readers were told of last.
    told: Vec<Arc<Incident>>,
    /// What exports say of them.
    joined: Joined,
}

impl State {
    /// Nothing was visited yet. The process may have so many `files` open.
    pub fn new(settings: Settings, rounds: Rounds, files: usize, rng: StdRng, at: Clocks) -> Self {
        let has_past = matches!(rounds, Rounds::Endless { .. });
        let bounds = plan::bounds(&settings.pace, files);
        Self {
            comparing: Comparing::new(&settings, rounds),
            diagnosing: Diagnosing::new(&settings, has_past, rng),
            agent: SelfView::new(&settings, at.wall),
            schedule: Schedule::new(rhythms(&settings), bounds, rounds, at.now),
            pulse: Pulse::new(at),
            endpoints: Endpoints::new(&settings.catalog, at.wall),
            sums: Sums::new(&settings),
            outlook: if has_past { Outlook::of_daemon(&settings, at) } else { Outlook::none(at) },
            slowness: Slowness::default(),
            look: None,
            left_out: Vec::new(),
            told: Vec::new(),
            joined: Joined::default(),
            settings: Arc::new(settings),
            rounds,
            files,
        }
    }

    /// Takes in what happened, and says what is to be done.
    pub fn take_in(&mut self, event: Event, at: Clocks) -> Commands {
        let tell = self.note(event, at);
        self.proceed(tell, at)
    }

    /// Takes in what happened, where nothing is to be done any more.
    pub fn note(&mut self, event: Event, at: Clocks) -> Tell {
        self.beat(at);
        match event {
            Event::Visited(number, visit) => {
                self.visited(number, visit, at);
                self.steer_look(at);
                Tell::Soon
            }
            Event::Compared(Step::Began) | Event::Measured => Tell::Soon,
            Event::Compared(Step::Heard(heard)) => {
                self.sums.heard(heard, at.wall);
                Tell::Soon
            }
            Event::Reloaded(settings) => {
                self.reload(*settings, at);
                Tell::Now
            }
            Event::ReloadFailed => {
                self.agent.reload_ok = false;
                Tell::Now
            }
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, at: Clocks) -> Commands {
        self.beat(at);
        let is_due = self.outlook.due().is_some_and(|due| due <= at.now);
        self.proceed(if is_due { Tell::Soon } else { Tell::Nothing }, at)
    }

    /// When [`State::tick`] wants to be called at the latest, without what waits for the next snapshot.
    pub fn due(&self) -> Instant {
        self.schedule.next_due().map_or_else(|| self.pulse.due(), |due| due.min(self.pulse.due()))
    }

    /// When a snapshot is due although nothing happened: what depends on time moves then.
    pub fn snapshot_due(&self) -> Option<Instant> {
        self.outlook.due()
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Lets time pass for what depends on it, and shows everything at this moment.
    pub fn snapshot(&mut self, around: &Surroundings, at: Clocks) -> Snapshot {
        self.advance(at);
        Snapshot {
            number: 0,
            at: at.wall,
            agent: self.agent.clone(),
            machine: Arc::clone(around.machine()),
            resolvers: self.settings.resolvers.clone(),
            host_dns: around.host_dns().clone(),
            catalog: Arc::clone(&self.settings.catalog),
            endpoints: self.endpoints.views().to_vec(),
            classes: self.endpoints.classes(&self.settings.catalog),
            resolver_loads: Arc::clone(&self.sums.loads),
            trial: self.comparing.trial(),
            names: Arc::clone(self.comparing.views()),
            incidents: self.diagnosing.ledger().clone(),
            risk: self.outlook.risk(),
            early: self.outlook.early(at.now),
            store: self.outlook.store(),
            environment: around.environment(),
            durations: Arc::clone(&self.sums.durations),
            left_out: self.left_out.clone(),
            exports: self.exports(around, at),
        }
    }

    /// What exports say of the open incidents; `None` where the configuration names none.
    fn exports(&mut self, around: &Surroundings, at: Clocks) -> Option<ExportsView> {
        let (reading, exports) = (around.exports()?, self.settings.exports.as_ref()?);
        let now = Now {
            open: &self.diagnosing.ledger().open,
            views: self.endpoints.views(),
            source: around.stands(&self.settings),
            at: at.wall,
            is_single_look: self.look.is_some(),
        };
        Some(self.joined.view(reading, exports, now))
    }

    /// Remembers what there is to remember, at the end; the result tells when it is on the disk.
    pub fn close(&mut self, at: Clocks) -> Option<Closing> {
        self.outlook.close(at.wall)
    }

    /// Looks at the clocks: whatever is concluded from silence afterwards knows whether this machine stood still.
    fn beat(&mut self, at: Clocks) {
        if let Some(stall) = self.pulse.beat(at) {
            announce::stall(stall);
        }
    }

    fn visited(&mut self, number: VisitNumber, visit: Option<Box<Visit>>, at: Clocks) {
        let task = self.schedule.task_of(number);
        let mut visit = visit.unwrap_or_else(|| self.died(number, at));
        self.schedule.led_to(number, &plan::led_to(&visit));
        // A reload has dropped its endpoint: only its peer's rest matters.
        let Some(task) = task else {
            self.schedule.finished(number, plan::ended(&visit, visit.result), at.now);
            return;
        };
        let shown = Shown::by(&visit, &self.endpoints.views()[task].endpoint);
        let was_confirming = self.schedule.is_confirming(task);
        let judged = self.judge(task, &mut visit, at);
        let mut ended = plan::ended(&visit, judged);
        let may_ask = !self.endpoints.views()[task].endpoint.is_public_time_server();
        let is_calm = ended.upshot == Upshot::Good && may_ask && !was_confirming;
        if is_calm && plan::is_to_confirm(&visit, judged, self.endpoints.views()[task].status) {
            ended.upshot = Upshot::Bad;
        }
        // Who works and was asked for more tells nothing more: what was seen before stands.
        let looks_closer = self.look.as_ref().is_some_and(|look| look.looks_closer_at(task));
        let tells_more = matches!(judged, Ok(Verdict::Healthy | Verdict::Degraded(_) | Verdict::Failed(_)));
        if looks_closer && !was_confirming && (!tells_more || is_hidden(judged)) {
            self.schedule.finished(number, Ended { upshot: Upshot::Unknown, ..ended }, at.now);
            return;
        }
        // A single look would end with what a stall of the agent hid: it asks again instead.
        if is_hidden(judged) && may_ask && self.look.as_mut().is_some_and(|look| look.asks_again(task, at.now)) {
            self.schedule.finished(number, Ended { upshot: Upshot::PutOff(plan::STALL_PAUSE), ..ended }, at.now);
            return;
        }
        if let Upshot::PutOff(pause) = ended.upshot {
            self.agent.budget_spent += u64::from(judged == Err(Untested::BudgetSpent));
            if self.look.as_ref().is_none_or(|look| look.left(at.now) > pause) {
                self.schedule.finished(number, ended, at.now);
                return self.put_off(task, *visit, judged, at);
            }
            // It would come after the end of the look: it is not made at all.
            ended.upshot = Upshot::Unknown;
        }
        self.schedule.finished(number, ended, at.now);
        if let Some(why) = hindrance(judged).filter(|_| was_confirming && self.look.is_some()) {
            return self.hold_up(task, why, at.now);
        }
        self.record(task, *visit, judged, at);
        let counts = ended.upshot == Upshot::Bad && (was_confirming || self.schedule.is_confirming(task));
        let shown = if counts { shown } else { shown.without_failure() };
        let orders = self.look.as_mut().map(|look| look.hear(task, shown));
        self.obey(orders.into_iter().flatten(), at.now);
    }

    /// What a visit showed that died: nothing, and that is no word for its endpoint.
    fn died(&self, number: VisitNumber, at: Clocks) -> Box<Visit> {
        announce::died(self.schedule.task_of(number).map(|task| &*self.endpoints.views()[task].endpoint));
        let took = self.schedule.room().began(number).map_or(Duration::ZERO, |began| at.now - began);
        Box::new(Visit { took, result: Err(Untested::Died), ..Visit::nothing_yet(at.wall.saturating_sub(took)) })
    }

    /// What a visit means, in the light of what this machine did meanwhile and of everything else that is known.
    fn judge(&mut self, task: usize, visit: &mut Visit, at: Clocks) -> Judgement {
        let began = at.now.checked_sub(visit.took).unwrap_or(at.now);
        let stall = self.pulse.stalled_since(began);
        if let Some(judged) = judge_stalled(visit, stall) {
            visit.remarks.extend(stall.map(|stall| stall.remark()));
            return judged;
        }
        let (names, platform) = (self.comparing.names(), self.settings.resolvers.azure.ip());
        let around = Neighbours { views: self.endpoints.views(), names, platform, now: at.wall };
        self.diagnosing.judge(task, visit, &around, moment(at))
    }

    /// Takes in a visit that is to be made again. Whatever it saw before that stays.
    fn put_off(&mut self, task: usize, visit: Visit, judged: Judgement, at: Clocks) {
        if visit.outcomes.is_empty() {
            self.hear(task, &visit, at.now);
        } else {
            self.observe(task, &visit, judged, false, at.now);
        }
        let is_confirming = self.schedule.is_confirming(task);
        let before = self.endpoints.put_off(task, visit, is_confirming, at);
        before.into_iter().for_each(|before| announce::change(&self.endpoints.views()[task], before));
    }

    /// Takes in what a visit saw, whatever follows from it for its endpoint.
    fn observe(&mut self, task: usize, visit: &Visit, judged: Judgement, is_confirmed: bool, now: Instant) {
        let view = &self.endpoints.views()[task];
        self.sums.visited(view.endpoint.class, visit);
        let handed_over = self.outlook.visited(view, visit, judged, is_confirmed, now);
        self.endpoints.hand_over(task, handed_over);
        self.hear(task, visit, now);
    }

    /// Takes in where the name of an endpoint led, and how DNS servers answered.
    fn hear(&mut self, task: usize, visit: &Visit, now: Instant) {
        self.sums.asked(visit);
        let resolved_by = self.endpoints.views()[task].endpoint.target.resolved_by;
        if let (Some(resolution), ResolvedBy::Custom) = (&visit.resolution, resolved_by) {
            self.comparing.hear(resolution, now);
        }
    }

    fn record(&mut self, task: usize, visit: Visit, judged: Judgement, at: Clocks) {
        let is_confirmed = !self.schedule.is_confirming(task);
        self.observe(task, &visit, judged, is_confirmed, at.now);
        let before = self.endpoints.take_in(task, visit, judged, is_confirmed);
        let view = &self.endpoints.views()[task];
        announce::change(view, before);
        if let Status::Failed(finding) = view.status
            && finding.phase == Phase::Dns
        {
            self.comparing.hurry(&view.endpoint.target.host);
        }
    }

    /// Thinks over what is known, and begins what is due. An incident that begins, changes or ends is told at once.
    fn proceed(&mut self, tell: Tell, at: Clocks) -> Commands {
        let is_news = self.think(at);
        let begin = self.begin(at);
        let tell = match (is_news, begin.is_empty()) {
            (true, _) => Tell::Now,
            (false, true) => tell,
            (false, false) => tell.max(Tell::Soon),
        };
        Commands { begin, tell }
    }

    /// Thinks over what is known, and says whether other incidents are open than readers were told of.
    fn think(&mut self, at: Clocks) -> bool {
        let compared = self.comparing.take_news();
        let (views, names) = (self.endpoints.views(), self.comparing.names());
        let around = Neighbours { views, names, platform: self.settings.resolvers.azure.ip(), now: at.wall };
        for task in self.diagnosing.hear_compared(&compared, &around, moment(at)) {
            self.schedule.bring_forward(task, at.now);
        }
        let (views, names) = (self.endpoints.views_mut(), self.comparing.names());
        let wanted = self.diagnosing.review(views, names, &self.settings, moment(at));
        for (task, before) in wanted.restated {
            announce::change(&self.endpoints.views()[task], before);
        }
        wanted.names.iter().for_each(|host| self.comparing.hurry(host));
        wanted.visits.iter().for_each(|task| self.schedule.bring_forward(*task, at.now));
        let open = &self.diagnosing.ledger().open;
        let is_news = !same(open, &self.told);
        if is_news {
            self.told.clone_from(open);
        }
        is_news
    }

    fn begin(&mut self, at: Clocks) -> Vec<Begin> {
        let mut begin = Vec::new();
        for due in self.schedule.take_due(at.now) {
            let confirms = self.schedule.is_confirming(due.task);
            let confirm = if confirms { self.endpoints.failed(due.task) } else { Vec::new() };
            let within = self.look.as_ref().map(|look| look.left(at.now));
            let occasion = Occasion { confirm, within, led_to: self.endpoints.led_to(due.task, at.now) };
            begin.push(Begin { visit: due.visit, endpoint: self.endpoints.begin(due.task), occasion });
        }
        self.steer_look(at);
        begin
    }

    /// Endpoints that stay keep what is known of them, their place in the schedule and the visit under way.
    fn reload(&mut self, settings: Settings, at: Clocks) {
        let remap = Remap::between(&self.settings.catalog.endpoints, &settings.catalog.endpoints);
        let bounds = plan::bounds(&settings.pace, self.files);
        self.schedule.reload(rhythms(&settings).collect(), bounds, &remap, at.now);
        self.endpoints.reload(&settings.catalog, &remap, at.wall);
        self.sums.reload(&settings);
        self.outlook.reload(&settings);
        self.comparing.reload(&settings, self.rounds);
        self.diagnosing.reload(&settings, &remap);
        self.agent.reload(&settings, at.wall);
        self.settings = Arc::new(settings);
    }

    fn advance(&mut self, at: Clocks) {
        let lateness = self.schedule.lateness();
        (self.agent.schedule_lag, self.agent.schedule_wait) = (lateness.lag(at.now), lateness.wait(at.now));
        self.agent.schedule_delays = *lateness.lags();
        self.agent.in_flight = self.schedule.room().in_flight();
        self.agent.sockets = self.schedule.room().bounds().sockets;
        self.slowness.look(self.agent.schedule_wait, self.schedule.room().bounds());
        self.agent.ready = self.agent.ready || self.endpoints.are_visited();
        let (views, ledger) = (self.endpoints.views(), self.diagnosing.ledger_mut());
        self.outlook.advance(views, &self.settings, ledger, self.agent.ready, at);
    }
}

/// Whether these are the same incidents, and none of them changed: the ledger makes a new one for every change.
fn same(open: &[Arc<Incident>], told: &[Arc<Incident>]) -> bool {
    open.len() == told.len() && open.iter().zip(told).all(|(one, other)| Arc::ptr_eq(one, other))
}

fn moment(at: Clocks) -> Moment {
    Moment { now: at.now, wall: at.wall }
}

fn rhythms(settings: &Settings) -> impl Iterator<Item = Rhythm> {
    settings.catalog.endpoints.iter().map(|endpoint| plan::rhythm(endpoint, &settings.pace))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "names_tests.rs"]
mod names_tests;

#[cfg(test)]
#[path = "put_off_tests.rs"]
mod put_off_tests;

#[cfg(test)]
#[path = "look_tests.rs"]
mod look_tests;
