//! One scenario, played: the world, the healthy agent in it, the fault, what the agent says until it says no more, and
//! what happens then.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ase_agent::net::duration::HumanDuration;
use ase_probes::clock;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    expect::Expect,
    file::{By, Deed, Flaps, Scenario, Step, Turn, World},
    judge::{self, Took},
    polite,
    stage::Stage,
    surroundings::EVERY,
    watch::Watch,
};

/// The longest time until the agent is healthy: a public time server that was missed once is asked again after 64 s.
const UNTIL_HEALTHY: Duration = Duration::from_secs(140);
/// How long it must be healthy before the fault: it learns what is usual.
const HEALTHY: Duration = Duration::from_secs(4);
/// How long incidents must not change to count as the last word.
const STABLE: Duration = Duration::from_secs(5);
/// How long a healthy world is watched.
const WATCH: Duration = Duration::from_secs(25);
/// The longest time from the fault to the last word, and from the repair to silence.
const LIMIT: Duration = Duration::from_secs(40);
/// Time between two steps where a file does not say more.
const BETWEEN: Duration = Duration::from_secs(2);
/// How long the agent is watched after a reload, and after the silence that follows a repair: longer than the endpoints'
/// interval, so that each was visited again.
const AFTER: Duration = Duration::from_secs(10);
/// The same at the built-in profile's own pace of 30 s; only its time servers are asked less often, every 64 s.
const AFTER_BUILTIN: Duration = Duration::from_secs(35);
/// Time between two looks at the status.
const LOOK: Duration = Duration::from_millis(250);
/// The same, where the status is long.
const LOOK_AT_MANY: Duration = Duration::from_millis(500);
/// The gauge that shows an open incident to Prometheus.
const OPEN: &str = "ase_incidents_open ";

/// What came of a scenario.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The status that is judged: the last one before a repair.
    pub(super) status: Value,
    /// What `check` printed, if it was asked, and how long it took.
    pub(super) check: Option<(String, Took)>,
    /// When the fault began.
    pub(super) began: Option<Timestamp>,
    /// What was seen on the way.
    pub(super) watch: Watch,
}

/// A scenario that is being played.
struct Play<'a> {
    scenario: &'a Scenario,
    stage: Stage,
    played: Played,
    /// The status before the fault became another one, which is what is judged in the end.
    judged: Option<Value>,
    /// When the fault began, or the agent's start into it.
    start: Instant,
    /// Who is visited less often is watched for longer.
    stretch: f64,
}

/// Plays a scenario.
///
/// # Errors
/// When the world cannot be built, or the agent does not become healthy in it.
pub(super) fn play(scenario: &Scenario, every: Duration) -> Result<Played> {
    let stretch = (every.as_secs_f64() / EVERY.as_secs_f64()).max(1.0);
    let stage = Stage::build(scenario, every)?;
    let mut play = Play { scenario, stage, played: Played::default(), judged: None, start: clock::now(), stretch };
    play.stage.inject(&scenario.before).context("before")?;
    play.stage.begin()?;
    play.start = clock::now();
    match scenario.by {
        By::Check => play.by_check()?,
        By::Daemon | By::Both => play.by_daemon()?,
    }
    Ok(play.played)
}

impl Play<'_> {
    /// Asks `check` alone: once as people read it, once as it is judged.
    fn by_check(&mut self) -> Result<()> {
        self.check()?;
        let output = self.stage.run("ase-agent check --output json --config \"$ASE_LAB_CONFIG\"")?;
        let error = || format!("check printed no JSON: {}", String::from_utf8_lossy(&output.stderr));
        let status: Value = serde_json::from_slice(&output.stdout).with_context(error)?;
        self.played.watch.look(self.scenario, &status, self.start.elapsed().as_secs_f64());
        self.played.status = status;
        Ok(())
    }

    fn by_daemon(&mut self) -> Result<()> {
        let scenario = self.scenario;
        if scenario.fault.is_some() || scenario.is_healthy() {
            self.until_healthy(scenario.healthy.map_or(HEALTHY, |healthy| healthy.0))?;
        }
        if let Some(keys) = &scenario.reloaded {
            self.stage.reload(keys)?;
            self.until_healthy(HEALTHY)?;
        }
        if let Some(fault) = &scenario.fault {
            self.played.began = Some(Timestamp::now());
            self.start = clock::now();
            if let Some(flaps) = scenario.flaps {
                self.flap(flaps)?;
            }
            if scenario.flaps.is_none() || matches!(scenario.expect, Expect::Incidents(_)) {
                self.stage.inject(&fault.during(&scenario.before)).context("fault")?;
            }
        }
        let limit = scenario.limit.map(|limit| limit.0.mul_f64(self.stretch));
        match scenario.expect {
            Expect::Silence => self.observe(limit.unwrap_or(WATCH.mul_f64(self.stretch)))?,
            Expect::Anything => self.observe(limit.unwrap_or(LIMIT.mul_f64(self.stretch)))?,
            Expect::Incidents(_) => self.until_said(limit.unwrap_or(LIMIT.mul_f64(self.stretch)))?,
        }
        if scenario.check.is_some() {
            self.check()?;
        }
        scenario.then.iter().try_for_each(|step| self.step(step))?;
        self.played.status = self.judged.take().unwrap_or_else(|| self.played.status.take());
        self.read_log();
        self.ask_who_was_polite()
    }

    /// Waits until every endpoint is healthy, and a while longer.
    fn until_healthy(&mut self, lasting: Duration) -> Result<()> {
        let start = clock::now();
        let mut healthy_since: Option<Instant> = None;
        loop {
            // Before the agent listens there is no status.
            let status = self.stage.status().unwrap_or_default();
            self.played.watch.look_early(self.scenario, &status);
            healthy_since = if is_healthy(&status) { healthy_since.or(Some(clock::now())) } else { None };
            if healthy_since.is_some_and(|since| since.elapsed() >= lasting) {
                return Ok(());
            }
            if start.elapsed() > UNTIL_HEALTHY + lasting {
                bail!("the agent is not healthy: {}{}", ailing(&status), self.stage.end_of_log());
            }
            thread::sleep(self.pause());
        }
    }

    fn pause(&self) -> Duration {
        match self.scenario.world {
            World::Small => LOOK,
            World::Builtin => LOOK_AT_MANY,
        }
    }

    /// Takes one look; whether there was something to see. An agent that reloads may miss one.
    fn look(&mut self) -> bool {
        let Ok(status) = self.stage.status() else { return false };
        if self.scenario.is_healthy() {
            self.played.watch.look_early(self.scenario, &status);
        }
        self.played.watch.look(self.scenario, &status, self.start.elapsed().as_secs_f64());
        if self.played.watch.is_steady() {
            self.look_at_gauge();
        }
        self.played.status = status;
        true
    }

    /// The gauge that pages must not say that nothing is open while an incident is.
    fn look_at_gauge(&mut self) {
        let Ok(page) = self.stage.get("/metrics") else { return };
        let page = String::from_utf8_lossy(&page);
        let open = page.lines().find_map(|line| line.strip_prefix(OPEN));
        if open.and_then(|open| open.parse().ok()).is_none_or(|open: f64| open < 1.0) {
            self.played.watch.unsteady(format!("{OPEN}is {}, though an incident is open", open.unwrap_or("missing")));
        }
    }

    /// Looks for so long.
    fn observe(&mut self, lasting: Duration) -> Result<()> {
        let start = clock::now();
        let mut has_seen = false;
        while start.elapsed() < lasting {
            has_seen |= self.look();
            thread::sleep(self.pause().min(lasting.saturating_sub(start.elapsed())));
        }
        if !has_seen && lasting > AFTER {
            bail!("the agent never told its status{}", self.stage.end_of_log());
        }
        Ok(())
    }

    /// Lets the fault come and go.
    fn flap(&mut self, flaps: Flaps) -> Result<()> {
        let scenario = self.scenario;
        let fault = scenario.fault.as_ref().context("flaps needs a fault")?;
        for _ in 0..flaps.times {
            self.stage.inject(&fault.during(&scenario.before)).context("fault")?;
            self.observe(flaps.on.0)?;
            self.stage.repair(&scenario.before)?;
            self.observe(flaps.off.0)?;
        }
        Ok(())
    }

    /// Waits until the agent has said the right thing for a while, or its time is over.
    fn until_said(&mut self, limit: Duration) -> Result<()> {
        self.until_right(self.scenario, limit)
    }

    /// The same, for what this scenario expects.
    fn until_right(&mut self, scenario: &Scenario, limit: Duration) -> Result<()> {
        let start = clock::now();
        let (mut before, mut changed) = (0, clock::now());
        while start.elapsed() < limit {
            self.look();
            let said = self.played.watch.course.len();
            if said != before {
                (before, changed) = (said, clock::now());
            }
            let is_right = judge::misses(scenario, &self.played.status).is_empty();
            if is_right && changed.elapsed() >= STABLE {
                return Ok(());
            }
            thread::sleep(self.pause());
        }
        if self.played.status.is_null() {
            bail!("the agent never told its status{}", self.stage.end_of_log());
        }
        Ok(())
    }

    /// What `ase-agent check` prints in the guest's place, as a person would run it.
    fn check(&mut self) -> Result<()> {
        let (start, waited) = (clock::now(), waited_for_processor());
        let command = "ase-agent check --config \"$ASE_LAB_CONFIG\"";
        let text = if self.scenario.check.as_ref().is_some_and(|check| check.screen) {
            self.stage.show(command)?
        } else {
            String::from_utf8_lossy(&self.stage.run(command)?.stdout).into_owned()
        };
        let took = Took { whole: start.elapsed(), starved: waited_for_processor().saturating_sub(waited) };
        self.played.check = Some((text, took));
        Ok(())
    }

    /// Lets something happen after the right thing was said.
    fn step(&mut self, step: &Step) -> Result<()> {
        self.observe(step.after.map_or(BETWEEN, |after| after.0))?;
        match &step.r#do {
            Deed::Wait => Ok(()),
            Deed::Reload(keys) => self.reload(keys, &step.visits),
            Deed::Turn(turn) => self.turn(turn, step.within),
            Deed::Repair => self.repair(step.within),
        }
    }

    /// Lets the fault become another one; what is said of the first is judged apart from what is said of the last.
    fn turn(&mut self, turn: &Turn, within: Option<HumanDuration>) -> Result<()> {
        self.judged.get_or_insert_with(|| self.played.status.clone());
        let (expect, statuses, causes) = (turn.expect.clone(), BTreeMap::new(), Vec::new());
        let scenario = Scenario { expect, statuses, causes, ..self.scenario.clone() };
        self.stage.turn(&turn.fault.during(&self.scenario.before))?;
        self.played.watch.note_turn(&self.played.status, Timestamp::now());
        let limit = within.or(self.scenario.limit).map_or(LIMIT, |limit| limit.0).mul_f64(self.stretch);
        self.until_right(&scenario, limit)?;
        let misses = judge::misses(&scenario, &self.played.status);
        misses.into_iter().for_each(|miss| self.played.watch.wrong(format!("after the turn: {miss}")));
        self.played.watch.end_turn(&self.played.status, turn.begin);
        Ok(())
    }

    fn reload(&mut self, keys: &Map<String, Value>, wanted: &BTreeMap<String, u64>) -> Result<()> {
        if let Some(incident) = judge::right(self.scenario, &self.played.status) {
            self.played.watch.hold_steady(&incident.clone());
        }
        let mut before = visits(&self.played.status);
        self.stage.reload(keys)?;
        let (start, mut made) = (clock::now(), BTreeMap::<&String, u64>::new());
        while start.elapsed() < self.after() {
            self.observe(Duration::from_secs(1))?;
            let now = visits(&self.played.status);
            for id in wanted.keys() {
                let of = |visits: &BTreeMap<String, u64>| visits.get(id).copied().unwrap_or_default();
                // An endpoint that is asked otherwise than before begins anew, and counts from nothing.
                *made.entry(id).or_default() += of(&now).checked_sub(of(&before)).unwrap_or(of(&now));
            }
            before = now;
        }
        for (id, least) in wanted.iter().filter(|(id, least)| made.get(id).is_none_or(|made| made < *least)) {
            let made = made.get(id).copied().unwrap_or_default();
            self.played.watch.wrong(format!("{id} was visited {made} times after the reload, not {least}"));
        }
        Ok(())
    }

    /// How long is watched after a reload or a repair.
    fn after(&self) -> Duration {
        match self.scenario.world {
            World::Small => AFTER.mul_f64(self.stretch),
            World::Builtin => AFTER_BUILTIN,
        }
    }

    /// Ends the fault and waits for silence; the status before it is what is judged.
    fn repair(&mut self, within: Option<HumanDuration>) -> Result<()> {
        let judged = self.played.status.clone();
        self.stage.repair(&self.scenario.before)?;
        self.played.watch.note_repair(Timestamp::now());
        let limit = within.or(self.scenario.limit).map_or(LIMIT, |limit| limit.0);
        let (start, limit) = (clock::now(), limit.mul_f64(self.stretch));
        while !(self.look() && judge::incidents(&self.played.status).is_empty()) {
            if start.elapsed() > limit {
                let still = judge::got(&self.played.status);
                self.played.watch.wrong(format!("{still} still stands {} s after the repair", limit.as_secs()));
                break;
            }
            thread::sleep(self.pause());
        }
        self.observe(self.after())?;
        self.played.status = judged;
        Ok(())
    }

    /// Notes what the log does not hold.
    fn read_log(&mut self) {
        let log = self.stage.log();
        for words in self.scenario.logs.iter().filter(|words| !log.contains(*words)) {
            self.played.watch.wrong(format!("the log does not say ({words})"));
        }
    }

    /// Notes every time server that was asked too often.
    fn ask_who_was_polite(&mut self) -> Result<()> {
        let Some(polite) = &self.scenario.polite else { return Ok(()) };
        for name in &polite.names {
            let server = self.stage.address(name)?;
            let asked = self.stage.fault_box.engine().asked(server).to_vec();
            if asked.is_empty() {
                self.played.watch.wrong(format!("{name} was never asked for the time"));
            }
            let told = polite::impolite(&asked, polite);
            told.into_iter().for_each(|told| self.played.watch.impolite(format!("{name} {told}")));
        }
        Ok(())
    }
}

/// For how long, since the machine's start, somebody waited for the processor (pressure stall information of the kernel);
/// nothing where the kernel does not tell.
fn waited_for_processor() -> Duration {
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = text.lines().find(|line| line.starts_with("some")).and_then(|line| line.split("total=").nth(1));
    Duration::from_micros(total.and_then(|total| total.trim().parse().ok()).unwrap_or_default())
}

fn endpoints(status: &Value) -> impl Iterator<Item = &Value> {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    endpoints.iter().filter(|endpoint| endpoint["status"] != "not_configured")
}

/// How many visits of each endpoint have begun.
fn visits(status: &Value) -> BTreeMap<String, u64> {
    let of = |endpoint: &Value| Some((endpoint["id"].as_str()?.to_owned(), endpoint["attempts"].as_u64()?));
    endpoints(status).filter_map(of).collect()
}

fn is_healthy(status: &Value) -> bool {
    status["agent"]["ready"] == true && endpoints(status).all(|endpoint| endpoint["status"] == "healthy")
}

/// What is not healthy yet.
fn ailing(status: &Value) -> String {
    let ill = endpoints(status).filter(|endpoint| endpoint["status"] != "healthy");
    let told = ill.map(|endpoint| format!("{} {} {}", endpoint["id"], endpoint["status"], endpoint["evidence"]));
    told.collect::<Vec<_>>().join("\n")
}
