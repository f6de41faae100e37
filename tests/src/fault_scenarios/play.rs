//! One scenario, played: the world, the healthy agent in it, the fault, and what the agent says until it says no more.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, TcpStream},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ase_agent::{config, model::catalog::Host};
use ase_probes::clock;
use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    file::{Faults, Scenario},
    judge,
    surroundings::{EVERY, configuration},
};
use crate::{
    azure::{Authorities, Azure, Place, Stopped, zone_of},
    fault::Engine,
    fault_box::{DEVICE, FaultBox},
    guest::{self, Folder, Guest},
    guest_fault::{Lasting, Victim},
    namespace,
    sim::dns::{self, Zone},
};

/// Where the agent listens in the guest's namespace.
const PORT: u16 = 10123;
/// The longest time until the agent is healthy.
const UNTIL_HEALTHY: Duration = Duration::from_secs(40);
/// How long it must be healthy before the fault: it learns what is usual.
const HEALTHY: Duration = Duration::from_secs(4);
/// How long incidents must not change to count as the last word.
const STABLE: Duration = Duration::from_secs(5);
/// How long a healthy world is watched.
const WATCH: Duration = Duration::from_secs(25);
/// The longest time from the fault to the last word.
const LIMIT: Duration = Duration::from_secs(40);
/// Time between two looks at the status.
const LOOK: Duration = Duration::from_millis(250);
/// The longest status document, in bytes.
const LONGEST: u64 = 4 << 20;

/// What came of a scenario.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The last status.
    pub(super) status: Value,
    /// What `check` printed, if it was asked.
    pub(super) check: Option<String>,
    /// When the fault began.
    pub(super) began: Option<Timestamp>,
    /// What was said at which time, in seconds from the fault.
    pub(super) course: Vec<(f64, String)>,
    /// Causes that were named on the way and are wrong.
    pub(super) in_passing: BTreeSet<String>,
    /// Whether at any time a fault of the machine itself was blamed on others.
    pub(super) has_blamed: bool,
    /// Incidents that were seen where none may be.
    pub(super) early: Vec<String>,
}

/// Everything that runs for a scenario.
pub(super) struct Stage {
    guest: Guest,
    /// The box on the path.
    pub(super) fault_box: FaultBox,
    azure: Azure,
    zone: Zone,
    folder: Folder,
    /// Faults of the guest that last while they are held.
    lasting: Vec<Lasting>,
    /// The connection to the agent's status.
    line: Mutex<Option<BufReader<TcpStream>>>,
    _runtime: Runtime,
}

/// Plays a scenario.
///
/// # Errors
/// When the world cannot be built, or the agent does not become healthy in it.
pub(super) fn play(scenario: &Scenario, every: Duration) -> Result<Played> {
    // Who is visited less often is watched for longer.
    let stretched = |time: Duration| time.mul_f64((every.as_secs_f64() / EVERY.as_secs_f64()).max(1.0));
    let mut stage = Stage::build(scenario, every)?;
    stage.inject(&scenario.before).context("before")?;
    stage.begin()?;
    let mut played = Played::default();
    if scenario.fault.is_some() || scenario.is_healthy() {
        stage.until_healthy(scenario.healthy.map_or(HEALTHY, |healthy| healthy.0), &mut played)?;
    }
    if let Some(fault) = &scenario.fault {
        // What happens comes before what was there: a rule may take another's place.
        let rules = fault.r#box.iter().chain(&scenario.before.r#box).cloned().collect();
        played.began = Some(Timestamp::now());
        stage.inject(&Faults { r#box: rules, ..fault.clone() }).context("fault")?;
    }
    if scenario.is_healthy() {
        stage.watch(stretched(WATCH), &mut played)?;
    } else {
        let limit = scenario.limit.map_or(LIMIT, |limit| limit.0);
        stage.until_said(stretched(limit), scenario, &mut played)?;
    }
    if !scenario.check.is_empty() {
        played.check = Some(stage.check()?);
    }
    Ok(played)
}

impl Stage {
    /// Builds the world; the agent waits at its door.
    pub(super) fn build(scenario: &Scenario, every: Duration) -> Result<Self> {
        namespace::enter()?;
        let authorities = Authorities::new()?;
        let folder = Folder::new(&authorities.lab)?;
        let file = folder.write("ase-agent.yaml", &configuration(&scenario.config, PORT, every))?;
        let settings = config::load(Some(&file))?;
        namespace::ip("link set lo up")?;
        let zone = zone_of(&settings.catalog, Place::OwnAddresses);
        let engine = Engine::new(scenario.path, &[], &|name| dns::first_v4(&zone, name))?;
        let words = ["sh", "-c", "exec ase-agent run --config \"$ASE_LAB_CONFIG\" 2>\"$HOME/agent.log\""];
        let mut fault_box = None;
        let lay = |guest| guest::lay_box(guest, engine).map(|laid| fault_box = Some(laid));
        let guest = Guest::start_on(lay, &words.map(OsString::from), &folder, true, Stdio::null())?;
        let fixed = settings.catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        });
        let mut fixed: Vec<IpAddr> = fixed.collect();
        fixed.sort();
        fixed.dedup();
        fixed.into_iter().try_for_each(namespace::make_address_local)?;
        namespace::make_local("198.18.0.0/15")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let azure =
            runtime.block_on(Azure::start(&settings, Place::OwnAddresses, &authorities, &Stopped::default()))?;
        let fault_box = fault_box.context("the box was laid with the wire")?;
        Ok(Self {
            guest,
            fault_box,
            azure,
            zone,
            folder,
            lasting: Vec::new(),
            line: Mutex::default(),
            _runtime: runtime,
        })
    }

    /// Lets the agent start.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.guest.begin()
    }

    /// Lets faults happen.
    fn inject(&mut self, faults: &Faults) -> Result<()> {
        self.fault_box.set_rules(&faults.r#box, &|name| dns::first_v4(&self.zone, name))?;
        faults.servers.iter().try_for_each(|(server, mood)| self.azure.switches.set(server, mood))?;
        let victim = Victim { process: self.guest.id(), device: DEVICE, folder: self.folder.path() };
        for fault in &faults.guest {
            self.lasting.push(fault.befall(victim)?);
        }
        Ok(())
    }

    /// The agent's status, asked on its own loopback: nothing of it passes the box. One connection is kept, because a
    /// guest without files or ports could not make another.
    pub(super) fn status(&self) -> Result<Value> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = match line.take() {
            Some(stream) => stream,
            None => BufReader::new(namespace::inside(self.guest.id(), || {
                let stream = TcpStream::connect(("127.0.0.1", PORT))?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                Ok(stream)
            })?),
        };
        let status = ask(&mut stream)?;
        *line = Some(stream);
        Ok(status)
    }

    /// Waits until every endpoint is healthy, and a while longer.
    fn until_healthy(&self, lasting: Duration, played: &mut Played) -> Result<()> {
        let start = clock::now();
        let mut healthy_since: Option<Instant> = None;
        loop {
            // Before the agent listens there is no status.
            let status = self.status().unwrap_or_default();
            played.note_early(&status);
            healthy_since = if is_healthy(&status) { healthy_since.or(Some(clock::now())) } else { None };
            if healthy_since.is_some_and(|since| since.elapsed() >= lasting) {
                return Ok(());
            }
            if start.elapsed() > UNTIL_HEALTHY + lasting {
                bail!("the agent is not healthy: {}{}", ailing(&status), self.log());
            }
            thread::sleep(LOOK);
        }
    }

    /// Watches a world in which nothing may be said.
    fn watch(&self, lasting: Duration, played: &mut Played) -> Result<()> {
        let start = clock::now();
        while start.elapsed() < lasting {
            played.status = self.status().with_context(|| self.log())?;
            let status = played.status.clone();
            played.note_early(&status);
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until the agent has said the right thing for a while, or its time is over.
    fn until_said(&self, limit: Duration, scenario: &Scenario, played: &mut Played) -> Result<()> {
        let start = clock::now();
        let (mut before, mut changed) = (String::new(), clock::now());
        while start.elapsed() < limit {
            if let Ok(status) = self.status() {
                let said = judge::incidents(&status).into_iter().map(judge::told).collect::<Vec<_>>().join("; ");
                if said != before {
                    changed = clock::now();
                    played.course.push((start.elapsed().as_secs_f64(), said.clone()));
                    before = said;
                }
                played.in_passing.extend(judge::strangers(scenario, &status));
                played.has_blamed |= judge::blames_others(scenario, &status);
                let is_right = judge::misses(scenario, &status).is_empty();
                played.status = status;
                if is_right && changed.elapsed() >= STABLE {
                    return Ok(());
                }
            }
            thread::sleep(LOOK);
        }
        if played.status.is_null() {
            bail!("the agent never told its status{}", self.log());
        }
        Ok(())
    }

    /// What `ase-agent check` prints in the guest's place, as a person would run it.
    fn check(&self) -> Result<String> {
        let output = Command::new(std::env::current_exe()?)
            .arg("enter")
            .arg(self.guest.id().to_string())
            .arg(self.folder.path())
            .args(["--", "sh", "-c", "ase-agent check --config \"$ASE_LAB_CONFIG\""])
            .output()
            .context("cannot run check")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The end of the agent's log.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("\n{}", lines[lines.len().saturating_sub(6)..].join("\n"))
    }
}

impl Played {
    /// Notes incidents where none may be.
    fn note_early(&mut self, status: &Value) {
        for incident in judge::incidents(status) {
            let told = format!("{}: {}", judge::told(incident), incident["evidence"]);
            if self.early.len() < 8 && !self.early.contains(&told) {
                self.early.push(told);
            }
        }
    }
}

/// Asks for the status on a connection that stays open.
fn ask(stream: &mut BufReader<TcpStream>) -> Result<Value> {
    stream.get_mut().write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut length = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = Some(value.trim().parse()?),
            Some(_) => {}
            None if line.starts_with("HTTP/") => {}
            None => break,
        }
    }
    let length: u64 = length.context("the answer has no length")?;
    ensure!(length <= LONGEST, "the status has {length} bytes");
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    serde_json::from_slice(&body).context("the status is no JSON")
}

fn endpoints(status: &Value) -> impl Iterator<Item = &Value> {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    endpoints.iter().filter(|endpoint| endpoint["status"] != "not_configured")
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
