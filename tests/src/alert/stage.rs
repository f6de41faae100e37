//! The watched side: a guest namespace with the real agent, a fault box on its path, and the simulated Azure behind it.

use std::{ffi::OsString, fs, net::SocketAddr, process::Stdio};

use anyhow::{Context, Result, ensure};
use ase_agent::config;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tokio::runtime::Runtime;

use super::Timing;
use crate::{
    azure::{Authorities, Azure, Place, Stopped},
    fault::{
        Engine,
        rules::{Path, Rule},
    },
    fault_box::FaultBox,
    guest::{self, CUSTOM_DNS, Folder, Guest, ROUTER},
    loopback, namespace,
};

/// Where the agent listens: the guest's address.
const AGENT: &str = "10.53.1.4:10123";
/// The monitoring side's address towards the agent.
const MONITORING: &str = "10.53.9.1";
/// Starts the agent again when it ends, as the unit's `Restart=` does, and says which process it is.
const KEEPER: &str = "while :; do setpriv --pdeathsig KILL ase-agent run --config \"$ASE_LAB_CONFIG\" 2>>agent.log & \
    echo $! >agent.pid; wait $!; done";

/// Everything below the monitoring side.
#[derive(Debug)]
pub(super) struct Stage {
    /// Files that all can read.
    pub(super) folder: Folder,
    fault_box: FaultBox,
    agent: SocketAddr,
    // In the order in which they end.
    guest: Guest,
    _azure: Azure,
    _runtime: Runtime,
}

impl Stage {
    /// Sets everything up and starts the agent.
    ///
    /// # Errors
    /// Without root, or when a part cannot be started.
    pub(super) fn set(timing: Timing) -> Result<Self> {
        ensure!(geteuid().is_root(), "only root may put a fault box on the path: run this as root");
        namespace::enter()?;
        let authorities = Authorities::new()?;
        let folder = Folder::new(&authorities.lab)?;
        let settings_file = folder.write("ase-agent.yaml", &configuration(timing))?;
        let settings = config::load(Some(&settings_file))?;
        namespace::ip("link set lo up")?;
        // A box has no address on this side: what talks to the agent needs one to talk from.
        namespace::ip(&format!("addr add {MONITORING}/32 dev lo"))?;
        let engine = Engine::new(Path::default(), &[], &|_| None)?;
        let mut laid = None;
        let lay = |process| {
            laid = Some(guest::lay_box(process, engine)?);
            Ok(())
        };
        let keeper = format!("cd {} && {KEEPER}", folder.path().display());
        let command: Vec<OsString> = ["sh", "-c", &keeper].map(OsString::from).into();
        let mut guest = Guest::start_on(lay, &command, &folder, true, Stdio::null())?;
        namespace::make_fixed_addresses_local(&settings)?;
        namespace::make_local("198.18.0.0/15")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let azure =
            runtime.block_on(Azure::start(&settings, Place::OwnAddresses, &authorities, &Stopped::default()))?;
        // The monitoring side must reach the agent also when its machine has lost the default route.
        namespace::ip_in(guest.id(), &format!("route add {MONITORING}/32 via {ROUTER}"))?;
        guest.begin()?;
        Ok(Self {
            folder,
            fault_box: laid.context("the guest's wire is laid")?,
            agent: AGENT.parse().context("a constant is an address")?,
            guest,
            _azure: azure,
            _runtime: runtime,
        })
    }

    /// Where the agent listens.
    pub(super) fn agent(&self) -> SocketAddr {
        self.agent
    }

    /// Puts faults on the path, in the place of those before; written as in a file for `ase-lab subnet --fault`.
    ///
    /// # Errors
    /// When a rule makes no sense.
    pub(super) fn fault(&self, rules: &str) -> Result<()> {
        let rules: Vec<Rule> = serde_saphyr::from_str(rules)?;
        self.fault_box.set_rules(&rules, &|_| None)
    }

    /// Takes the default route from the agent's machine.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub(super) fn lose_route(&self) -> Result<()> {
        namespace::ip_in(self.guest.id(), "route del default")
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub(super) fn restore_route(&self) -> Result<()> {
        namespace::ip_in(self.guest.id(), &format!("route add default via {ROUTER}"))
    }

    /// The sum of the agent's series that begin like this; `None` while it does not answer or has none.
    pub(super) fn metric(&self, start: &str) -> Option<f64> {
        let page = loopback::get(self.agent, "/metrics")?;
        let values = page.lines().filter(|line| line.starts_with(start));
        let values = values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// Whether every endpoint was visited.
    pub(super) fn is_ready(&self) -> bool {
        loopback::get(self.agent, "/-/ready").is_some()
    }

    /// Asks the agent to end; it is started again.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn restart_agent(&self) -> Result<()> {
        self.signal(Signal::SIGTERM).context("cannot restart the agent")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let number = fs::read_to_string(self.folder.path().join("agent.pid"))?;
        Ok(kill(Pid::from_raw(number.trim().parse()?), signal)?)
    }
}

/// A dozen endpoints of all classes, so that every contrast has a partner. With [`Timing::Shipped`] the rhythm is the
/// built-in one; the quick one has no time servers, because nobody may ask one more often than every 64 s.
fn configuration(timing: Timing) -> String {
    let time_servers = match timing {
        Timing::Quick => "",
        Timing::Shipped => {
            "    - {class: ntp, host: time-a.lab.example, purpose: time}
    - {class: ntp, host: time-b.lab.example, purpose: time}
"
        }
    };
    let rhythm = match timing {
        Timing::Shipped => "",
        Timing::Quick => {
            "intervals: {dns: 2s, http: 2s, https: 2s, sql: 2s, monitoring: 2s}
timeouts: {dns: 1500ms, http: 1500ms, https: 1500ms, sql: 1500ms, monitoring: 1500ms}
pace: {failing_interval: 1s, drain: 1s, flows_per_destination: 240}
"
        }
    };
    format!(
        "vantage: ase-lab alert
listen: {AGENT}
resolvers: {{custom: [{CUSTOM_DNS}]}}
{rhythm}slots: {{monitoring: [lab-monitoring.example]}}
endpoints:
  remove: [\"*:80\", \"*:443\", \"*:123\", \"*:11371\"]
  add:
    - {{class: https, host: login.lab.example, purpose: identity}}
    - {{class: https, host: management.lab.example, purpose: management}}
    - {{class: http, host: crl.lab.example, path: /lab.crl, expect: crl, purpose: cert-revocation}}
    - {{class: http, host: connect.lab.example, path: /connecttest.txt, expect: {{contains: Microsoft Connect Test}}, purpose: general, severity: warning}}
    - {{class: sql, host: a.database.windows.net, purpose: sql}}
    - {{class: sql, host: b.database.windows.net, purpose: sql}}
{time_servers}"
    )
}
