//! One measurement in a process of its own: a program, what it watches, a window of time, and what it cost.

use std::{collections::BTreeMap, path::PathBuf, process::Command, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use ase_probes::clock;
use serde::{Deserialize, Serialize};

use super::{
    arrivals::{Window, quantile},
    endpoints::{AGENT, BLACKBOX, Endpoints, PROMETHEUS},
    page::{self, Lag},
    spent::{self, Memory},
    stage::{self, Stage},
};
use crate::loopback;

/// How often the agent's page is read where no Prometheus does: the interval of the shipped scrape configuration.
const SCRAPE: Duration = Duration::from_secs(15);
/// How long pages are read and timed at the end, at most.
const READING: Duration = Duration::from_secs(5);
/// The pause between two timed readings.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for a program to become ready, beside two intervals.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the agent in a report.
pub(super) const AGENT_NAME: &str = "agent";
/// The name of blackbox_exporter in a report.
pub(super) const BLACKBOX_NAME: &str = "blackbox";
/// The name of Prometheus in a report.
pub(super) const PROMETHEUS_NAME: &str = "prometheus";

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    /// The agent, nobody else.
    AgentAlone,
    /// The agent, and a Prometheus that reads its one page.
    Agent,
    /// The exporter, and the Prometheus that drives it.
    Blackbox,
}

/// One measurement to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The case's label.
    pub(super) case: String,
    /// Who.
    pub(super) subject: Subject,
    /// What is watched; `None`: the whole built-in profile.
    pub(super) endpoints: Option<Endpoints>,
    /// The time between being ready and the window.
    pub(super) warm_up: Duration,
    /// The window.
    pub(super) lasting: Duration,
    /// The agent's binary.
    pub(super) agent: PathBuf,
}

/// What one program cost in the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Spent {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: f64,
    /// Memory at the end of the window, and its peak.
    pub(super) memory: Memory,
}

/// A page of the agent, read while it probes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reading {
    /// Its length in bytes.
    pub(super) bytes: usize,
    /// The median time from connecting to its end, in milliseconds.
    pub(super) median_ms: f64,
    /// The longest time, in milliseconds.
    pub(super) longest_ms: f64,
}

/// What the bench itself did to the machine in the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lab {
    /// CPU of the path's thread, in seconds.
    pub(super) path_cpu_seconds: f64,
    /// CPU of the simulated servers, in seconds.
    pub(super) servers_cpu_seconds: f64,
    /// CPU of everything else on this machine, in seconds.
    pub(super) others_cpu_seconds: f64,
    /// The idle share of all cores.
    pub(super) idle: f64,
    /// How late packets left the path, median and 99th percentile, in milliseconds.
    pub(super) path_late_ms: Quantiles,
}

/// Median and 99th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// What was to be measured.
    pub(super) plan: Plan,
    /// Endpoints that were watched: less than planned where the agent allows less.
    pub(super) watched: usize,
    /// The window's length in seconds, as it was.
    pub(super) seconds: f64,
    /// Probes that the rhythm asks for in the window.
    pub(super) expected: f64,
    /// Probes that the program says it made in the window.
    pub(super) reported: u64,
    /// Connections and questions at the light servers in the window.
    pub(super) arrived: Option<u64>,
    /// How long it took to read all counters, at both ends of the window together, in seconds: by what is asked in this
    /// time the two counts may differ.
    pub(super) counting_seconds: f64,
    /// Endpoints that are healthy at the end.
    pub(super) healthy: u64,
    /// By program.
    pub(super) spent: BTreeMap<String, Spent>,
    /// How far gaps between two probes of one endpoint are from the interval, in milliseconds; at the light servers.
    pub(super) gap_error_ms: Option<Quantiles>,
    /// The same while pages are read and timed.
    pub(super) gap_error_reading_ms: Option<Quantiles>,
    /// What the agent says about its own lateness.
    pub(super) lag: Option<Lag>,
    /// By path.
    pub(super) readings: BTreeMap<String, Reading>,
    /// The bench's own part.
    pub(super) lab: Lab,
}

impl Measurement {
    /// Probes that were made: what the program says, or less where less arrived.
    pub(super) fn made(&self) -> u64 {
        self.arrived.map_or(self.reported, |arrived| arrived.min(self.reported))
    }

    /// CPU of a program for each probe, in milliseconds; `None` if it took no part or no probe was made.
    pub(super) fn cpu_per_probe(&self, program: &str) -> Option<f64> {
        let spent = self.spent.get(program)?;
        (self.made() > 0).then(|| spent.cpu_seconds * 1000.0 / self.made() as f64)
    }

    /// The share of the expected probes that was not made.
    pub(super) fn missing(&self) -> f64 {
        (1.0 - self.made() as f64 / self.expected).max(0.0)
    }
}

/// Makes one measurement in this process.
///
/// # Errors
/// When a part cannot be started, or a program ends early.
pub(super) fn play(mut plan: Plan) -> Result<Measurement> {
    let mut stage = Stage::set(plan.endpoints.is_none())?;
    let asked = plan.clone();
    let agent = stage.bring(&plan.agent)?;
    if let Some(endpoints) = &mut plan.endpoints {
        fit(endpoints, &stage, &agent)?;
    }
    start(&mut stage, &plan, &agent)?;
    thread::sleep(plan.warm_up);
    let before = Account::of(&stage, &plan)?;
    stage.path.take_late();
    wait(&stage, &plan)?;
    let after = Account::of(&stage, &plan)?;
    let late = stage.path.take_late();
    stage.check()?;
    let (readings, reading) = if plan.subject == Subject::Blackbox { Default::default() } else { read(&stage, &plan)? };
    let memory: BTreeMap<&str, Memory> = stage.memory()?.into_iter().collect();
    let window = before.at..after.at;
    let seen = plan.endpoints.as_ref().map(|endpoints| stage.arrivals.within(&window, endpoints.interval));
    let seen_reading = plan.endpoints.as_ref().map(|endpoints| stage.arrivals.within(&reading, endpoints.interval));
    let spent = after.spent_since(&before, &memory);
    let per_second = per_second(&stage, &plan);
    Ok(Measurement {
        watched: watched(&stage, &plan),
        seconds: (after.at - before.at).as_secs_f64(),
        expected: per_second * (after.at - before.at).as_secs_f64(),
        reported: after.reported.saturating_sub(before.reported),
        arrived: seen.as_ref().map(|seen| seen.count),
        counting_seconds: (before.took + after.took).as_secs_f64(),
        healthy: after.healthy,
        gap_error_ms: seen.and_then(|seen| millis(&seen.gap_errors)),
        gap_error_reading_ms: seen_reading.and_then(|seen| millis(&seen.gap_errors)),
        lab: after.lab_since(&before, &spent, late),
        lag: after.lag.map(|lag| lag.since(before.lag.as_ref())),
        readings,
        spent,
        plan: asked,
    })
}

fn watched(stage: &Stage, plan: &Plan) -> usize {
    let of_profile = stage.profile.as_ref().map(|settings| settings.catalog.endpoints.len());
    plan.endpoints.as_ref().map(|endpoints| endpoints.count).or(of_profile).unwrap_or_default()
}

/// Probes a second that the rhythm asks for.
fn per_second(stage: &Stage, plan: &Plan) -> f64 {
    let of_profile = stage.profile.iter().flat_map(|settings| &settings.catalog.endpoints);
    let of_profile: f64 = of_profile.map(|endpoint| endpoint.interval.as_secs_f64().recip()).sum();
    plan.endpoints.as_ref().map_or(of_profile, |endpoints| endpoints.count as f64 / endpoints.interval.as_secs_f64())
}

/// Takes endpoints away until the agent takes the configuration.
fn fit(endpoints: &mut Endpoints, stage: &Stage, agent: &std::path::Path) -> Result<()> {
    let file = stage.folder.write("ase-agent.yaml", &endpoints.for_agent(stage.folder.path()))?;
    let output = Command::new(agent).args(["config", "check"]).arg(&file).output().context("cannot run the agent")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let limit = said.rsplit_once("must be at most ").and_then(|(_, limit)| limit.trim().parse().ok());
    endpoints.count = limit.with_context(|| format!("the agent refuses the configuration: {said}"))?;
    ensure!(endpoints.count > 0, "the agent takes no endpoints: {said}");
    stage.folder.write("ase-agent.yaml", &endpoints.for_agent(stage.folder.path())).map(drop)
}

/// Starts the programs and waits until every endpoint was asked once.
fn start(stage: &mut Stage, plan: &Plan, agent: &std::path::Path) -> Result<()> {
    let patience = PATIENCE + plan.endpoints.as_ref().map_or(PATIENCE, |endpoints| 2 * endpoints.interval);
    let targets = match (plan.subject, &plan.endpoints) {
        (Subject::Blackbox, Some(endpoints)) => {
            start_blackbox(stage, endpoints)?;
            start_prometheus(stage, &endpoints.for_prometheus_with_blackbox())?;
            endpoints.count
        }
        (Subject::Blackbox, None) => bail!("the built-in profile is the agent's own"),
        (Subject::Agent, Some(endpoints)) => {
            start_agent(stage, agent)?;
            start_prometheus(stage, &endpoints.for_prometheus_with_agent())?;
            1
        }
        (Subject::Agent, None) | (Subject::AgentAlone, _) => {
            start_agent(stage, agent)?;
            0
        }
    };
    if plan.subject != Subject::Blackbox {
        stage.until("the agent is ready", patience, |stage| Ok(stage.page(AGENT, "/-/ready")?.is_some()))?;
    }
    // Prometheus begins to scrape some seconds after it says that it is ready.
    stage.until("Prometheus has scraped every target", patience, |stage| {
        Ok(targets == 0 || asked_of_prometheus(stage, "count(up)")?.is_some_and(|count| count as usize >= targets))
    })
}

/// Starts the agent by the configuration that lies in the stage's folder.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start_agent(stage: &mut Stage, agent: &std::path::Path) -> Result<()> {
    let config = stage.folder.path().join("ase-agent.yaml");
    let words = [agent.as_os_str(), "run".as_ref(), "--config".as_ref(), config.as_ref()];
    stage.start(AGENT_NAME, &[&words[..], &["--log-level".as_ref(), "warn".as_ref()]].concat())
}

fn start_blackbox(stage: &mut Stage, endpoints: &Endpoints) -> Result<()> {
    let config = stage.folder.write("blackbox.yml", &endpoints.for_blackbox(stage.folder.path()))?;
    let config = format!("--config.file={}", config.display());
    let listen = format!("--web.listen-address={BLACKBOX}");
    let words = ["prometheus-blackbox-exporter", &config, &listen, "--log.level=error"];
    stage.start(BLACKBOX_NAME, &words.map(AsRef::as_ref))
}

fn start_prometheus(stage: &mut Stage, config: &str) -> Result<()> {
    let config = format!("--config.file={}", stage.folder.write("prometheus.yml", config)?.display());
    let storage = format!("--storage.tsdb.path={}", stage.folder.path().join("data").display());
    let listen = format!("--web.listen-address={PROMETHEUS}");
    let words = ["prometheus", &config, &storage, &listen, "--log.level=warn"];
    stage.start(PROMETHEUS_NAME, &words.map(AsRef::as_ref))
}

/// The only value of an expression; `None` while nobody answers or there is no series.
fn asked_of_prometheus(stage: &Stage, expression: &str) -> Result<Option<f64>> {
    let answer = stage.page(PROMETHEUS, &format!("/api/v1/query?query={}", loopback::escaped(expression)))?;
    Ok(answer.and_then(|answer| page::value(&answer)))
}

/// Lets the window pass.
fn wait(stage: &Stage, plan: &Plan) -> Result<()> {
    let start = clock::now();
    loop {
        let rest = plan.lasting.saturating_sub(start.elapsed());
        if rest.is_zero() {
            return Ok(());
        }
        thread::sleep(rest.min(SCRAPE));
        if plan.subject == Subject::AgentAlone && rest > SCRAPE {
            stage.page(AGENT, "/metrics")?.context("the agent gives its page")?;
        }
    }
}

/// Reads the agent's pages again and again while it probes, and says when that was.
fn read(stage: &Stage, plan: &Plan) -> Result<(BTreeMap<String, Reading>, Window)> {
    let from = stage.arrivals.now();
    let lasting = READING.min(plan.lasting);
    let times = stage.inside(move || {
        let mut times: BTreeMap<&str, (usize, Vec<Duration>)> = BTreeMap::new();
        let start = clock::now();
        while start.elapsed() < lasting {
            for path in ["/metrics", "/api/v1/status"] {
                let asked = clock::now();
                let page = loopback::get_within(stage::PATIENCE, AGENT, path);
                let page = page.with_context(|| format!("the agent gives no {path}"))?;
                let (bytes, times) = times.entry(path).or_default();
                times.push(asked.elapsed());
                *bytes = page.len();
                thread::sleep(PAUSE);
            }
        }
        Ok(times)
    })?;
    let reading = |(path, (bytes, mut times)): (&str, (usize, Vec<Duration>))| {
        times.sort();
        let of = |share| quantile(&times, share).unwrap_or_default().as_secs_f64() * 1000.0;
        (path.to_owned(), Reading { bytes, median_ms: of(0.5), longest_ms: of(1.0) })
    };
    Ok((times.into_iter().map(reading).collect(), from..stage.arrivals.now()))
}

fn millis(sorted: &[Duration]) -> Option<Quantiles> {
    let of = |share| quantile(sorted, share).map(|time| time.as_secs_f64() * 1000.0);
    Some(Quantiles { p50: of(0.5)?, p99: of(0.99)? })
}

/// All counters at one moment.
struct Account {
    at: Duration,
    took: Duration,
    cpu: BTreeMap<&'static str, Duration>,
    lab: Duration,
    path: Duration,
    machine: (Duration, Duration),
    reported: u64,
    healthy: u64,
    lag: Option<Lag>,
}

impl Account {
    fn of(stage: &Stage, plan: &Plan) -> Result<Self> {
        let at = stage.arrivals.now();
        let cpu = stage.cpu()?.into_iter().collect();
        let (lab, path) = (spent::of_process(std::process::id())?, spent::of_own_thread(stage.path.thread)?);
        let machine = spent::of_machine()?;
        let (reported, healthy, lag) = if plan.subject == Subject::Blackbox {
            let page = stage.page(PROMETHEUS, "/metrics")?.context("Prometheus gives its page")?;
            let good = asked_of_prometheus(stage, "sum(probe_success)")?.unwrap_or_default();
            // One interval for each scrape but a target's first.
            (page::sum(&page, "prometheus_target_interval_length_seconds_count"), good, None)
        } else {
            let page = stage.page(AGENT, "/metrics")?.context("the agent gives its page")?;
            let [made, good] = ["ase_probe_attempts_total{", "ase_probe_success{"].map(|name| page::sum(&page, name));
            (made, good, Some(Lag::of(&page)))
        };
        let took = stage.arrivals.now() - at;
        Ok(Self { at, took, cpu, lab, path, machine, reported: reported as u64, healthy: healthy as u64, lag })
    }

    fn spent_since(&self, before: &Self, memory: &BTreeMap<&str, Memory>) -> BTreeMap<String, Spent> {
        let spent = |(name, cpu): (&&'static str, &Duration)| {
            let since = cpu.saturating_sub(before.cpu.get(name).copied().unwrap_or_default());
            let memory = memory.get(name).copied().unwrap_or_default();
            ((*name).to_owned(), Spent { cpu_seconds: since.as_secs_f64(), memory })
        };
        self.cpu.iter().map(spent).collect()
    }

    fn lab_since(&self, before: &Self, spent: &BTreeMap<String, Spent>, mut late: Vec<u32>) -> Lab {
        let path = (self.path - before.path).as_secs_f64();
        let lab = (self.lab - before.lab).as_secs_f64();
        let (busy, idle) = (self.machine.0 - before.machine.0, self.machine.1 - before.machine.1);
        let measured: f64 = spent.values().map(|spent| spent.cpu_seconds).sum();
        late.sort_unstable();
        let of = |share| quantile(&late, share).map_or(0.0, |micros| f64::from(micros) / 1000.0);
        Lab {
            path_cpu_seconds: path,
            servers_cpu_seconds: (lab - path).max(0.0),
            others_cpu_seconds: (busy.as_secs_f64() - lab - measured).max(0.0),
            idle: idle.as_secs_f64() / (idle + busy).as_secs_f64().max(f64::EPSILON),
            path_late_ms: Quantiles { p50: of(0.5), p99: of(0.99) },
        }
    }
}
