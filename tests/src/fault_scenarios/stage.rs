//! Everything that runs for a scenario: the world, the box on the path, the guest with the agent, and the ways to ask it.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpStream},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ase_agent::{config, model::catalog::Host};
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::{
    file::{By, Faults, Scenario},
    surroundings::{configuration, in_v6, put_over},
};
use crate::{
    azure::{Authorities, Azure, Place, Stopped, zone_of},
    fault::Engine,
    fault_box::{self, DEVICE, FaultBox},
    guest::{self, Folder, Guest},
    guest_fault::{Lasting, Victim},
    namespace,
    sim::dns::{self, Zone},
};

/// Where the agent listens in the guest's namespace.
pub(super) const PORT: u16 = 10123;
/// The longest answer of the agent, in bytes.
const LONGEST: u64 = 4 << 20;
/// Where the further addresses of a name lie, in the benchmarking space of RFC 2544.
const FURTHER: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 0);
/// The file of the agent's configuration, in the guest's folder.
const CONFIG: &str = "ase-agent.yaml";

/// The usual terminal, that of a VT100.
const SCREEN: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Everything that runs for a scenario.
pub(super) struct Stage {
    guest: Guest,
    /// The box on the path.
    pub(super) fault_box: FaultBox,
    azure: Azure,
    zone: Zone,
    folder: Folder,
    config: Value,
    /// Faults of the guest that last while they are held.
    lasting: Vec<Lasting>,
    /// What the shell does before it runs anything in the guest's place.
    shell: String,
    /// The connection to the agent.
    line: Mutex<Option<BufReader<TcpStream>>>,
    _runtime: Runtime,
}

impl Stage {
    /// Builds the world; the agent waits at its door.
    pub(super) fn build(scenario: &Scenario, every: Duration) -> Result<Self> {
        namespace::enter()?;
        let authorities = Authorities::new()?;
        let folder = Folder::new(&authorities.lab)?;
        let mut config = configuration(scenario, PORT, every);
        if let Some(exports) = &scenario.exports {
            config["exports"] = exports.write(&folder)?;
        }
        let settings = config::load(Some(&folder.write(CONFIG, &format!("{config:#}"))?))?;
        if let servers @ [_, _, ..] = &settings.resolvers.custom[..] {
            let lines = servers.iter().map(|server| format!("nameserver {}\n", server.ip()));
            folder.write("resolv.conf", &lines.collect::<String>())?;
        }
        namespace::ip("link set lo up")?;
        let mut zone = zone_of(&settings.catalog, Place::OwnAddresses);
        give_addresses(&mut zone, scenario)?;
        if scenario.ipv6 {
            zone.values_mut().for_each(|entry| {
                let v6: Vec<_> = entry.addresses.iter().copied().map(in_v6).collect();
                entry.addresses.retain(|_| scenario.with_ipv4);
                entry.addresses.extend(v6);
            });
        }
        let engine = Engine::new(scenario.path, &[], &|name| dns::first(&zone, name))?;
        let shell = scenario.files.map(|files| format!("ulimit -n {files}; ")).unwrap_or_default();
        let words = ["sh".to_owned(), "-c".to_owned(), format!("{shell}{}", command(scenario))];
        let mut fault_box = None;
        let lay = |guest| guest::lay_box(guest, engine).map(|laid| fault_box = Some(laid));
        let guest = Guest::start_on(lay, &words.map(OsString::from), &folder, true, Stdio::null())?;
        if scenario.ipv6 {
            fault_box::configure_v6(guest.id())?;
            namespace::make_local("2001:2::/48")?;
        }
        let fixed = settings.catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.target.host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        });
        let mut fixed: Vec<IpAddr> = fixed.collect();
        fixed.sort();
        fixed.dedup();
        fixed.into_iter().try_for_each(namespace::make_address_local)?;
        namespace::make_local("198.18.0.0/15")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let none = Stopped::default();
        let azure = runtime.block_on(Azure::start_with(&settings, zone.clone(), &authorities, &none))?;
        let fault_box = fault_box.context("the box was laid with the wire")?;
        Ok(Self {
            guest,
            fault_box,
            azure,
            zone,
            folder,
            config,
            lasting: Vec::new(),
            shell,
            line: Mutex::default(),
            _runtime: runtime,
        })
    }

    /// Lets the agent start.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.guest.begin()
    }

    /// Lets faults happen; those of the box take the place of the former ones.
    pub(super) fn inject(&mut self, faults: &Faults) -> Result<()> {
        self.fault_box.set_rules(&faults.r#box, &|name| dns::first(&self.zone, name))?;
        faults.servers.iter().try_for_each(|(server, mood)| self.azure.switches.set(server, mood))?;
        let victim = Victim { process: self.guest.id(), device: DEVICE, folder: self.folder.path() };
        for fault in &faults.guest {
            self.lasting.push(fault.befall(victim)?);
        }
        Ok(())
    }

    /// Ends every fault but those that were there from the start.
    pub(super) fn repair(&mut self, before: &Faults) -> Result<()> {
        self.azure.switches.reset();
        self.inject(&Faults { guest: Vec::new(), ..before.clone() })
    }

    /// Ends every fault, and lets these happen instead.
    pub(super) fn turn(&mut self, faults: &Faults) -> Result<()> {
        self.azure.switches.reset();
        self.inject(faults).context("turn")
    }

    /// Puts keys over the agent's configuration and lets it read the file again; endpoints are added to those before.
    pub(super) fn reload(&mut self, keys: &Map<String, Value>) -> Result<()> {
        let added = keys.get("endpoints").and_then(|endpoints| endpoints["add"].as_array());
        let before = self.config["endpoints"]["add"].clone();
        put_over(&mut self.config, &Value::Object(keys.clone()));
        if let (Some(added), Value::Array(mut all)) = (added, before) {
            all.extend(added.iter().cloned());
            self.config["endpoints"]["add"] = all.into();
        }
        self.folder.write(CONFIG, &format!("{:#}", self.config))?;
        let agent = Pid::from_raw(i32::try_from(self.guest.id())?);
        kill(agent, Signal::SIGHUP).context("cannot tell the agent to reload")
    }

    /// The agent's status, asked on its own loopback: nothing of it passes the box.
    pub(super) fn status(&self) -> Result<Value> {
        serde_json::from_slice(&self.get("/api/v1/status")?).context("the status is no JSON")
    }

    /// What the agent answers to a request. One connection is kept, because a guest without files or ports could not
    /// make another.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = match line.take() {
            Some(stream) => stream,
            None => BufReader::new(namespace::inside(self.guest.id(), || {
                let stream = TcpStream::connect(("127.0.0.1", PORT))?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                Ok(stream)
            })?),
        };
        let answer = ask(&mut stream, path)?;
        *line = Some(stream);
        Ok(answer)
    }

    /// Runs a script in the guest's place, as a person there would.
    pub(super) fn run(&self, script: &str) -> Result<Output> {
        self.command(script)?.output().with_context(|| format!("cannot run {script}"))
    }

    /// What a command shows on a terminal of the usual size in the guest's place, without its colours.
    pub(super) fn show(&self, script: &str) -> Result<String> {
        let pair = openpty(Some(&SCREEN), None).context("cannot open a terminal")?;
        let mut command = self.command(&format!("unset COLUMNS; NO_COLOR=1 exec {script}"))?;
        let child = command.stdin(Stdio::null()).stdout(pair.slave).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| format!("cannot run {script}"))?;
        // The terminal ends for its reader when nobody else holds it.
        drop(command);
        let (mut shown, mut terminal) = (Vec::new(), fs::File::from(pair.master));
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = terminal.read(&mut some) {
            shown.extend_from_slice(&some[..length]);
        }
        child.wait()?;
        Ok(String::from_utf8_lossy(&shown).replace("\r\n", "\n"))
    }

    /// A command that runs a script in the guest's place.
    pub(super) fn command(&self, script: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("enter").arg(self.guest.id().to_string()).arg(self.folder.path());
        command.args(["--", "sh", "-c", &format!("{}{script}", self.shell)]);
        Ok(command)
    }

    /// The process in whose namespaces the agent is.
    pub(super) fn process(&self) -> u32 {
        self.guest.id()
    }

    /// The agent's log.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// The end of the agent's log.
    pub(super) fn end_of_log(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        format!("\n{}", lines[lines.len().saturating_sub(6)..].join("\n"))
    }

    /// The address of a name that the lab serves.
    pub(super) fn address(&self, name: &str) -> Result<IpAddr> {
        dns::first(&self.zone, name).with_context(|| format!("the lab serves no name ({name})"))
    }
}

/// What the guest becomes: the daemon, or a place in which `check` can be run.
fn command(scenario: &Scenario) -> &'static str {
    match scenario.by {
        By::Daemon | By::Both => "exec ase-agent run --config \"$ASE_LAB_CONFIG\" 2>\"$HOME/agent.log\"",
        By::Check => "exec sleep 3600",
    }
}

/// Gives names their further addresses.
fn give_addresses(zone: &mut Zone, scenario: &Scenario) -> Result<()> {
    let mut next = u32::from(FURTHER);
    for (name, count) in &scenario.addresses {
        let entry =
            zone.get_mut(name).with_context(|| format!("addresses ({name}) must name a host of an endpoint"))?;
        for _ in 1..*count {
            next += 1;
            entry.addresses.push(IpAddr::V4(next.into()));
        }
    }
    Ok(())
}

/// Asks on a connection that stays open.
fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> Result<Vec<u8>> {
    write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "the agent closed the connection");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = Some(value.trim().parse()?),
            Some(_) => {}
            None if line.starts_with("HTTP/") => {}
            None => break,
        }
    }
    let length: u64 = length.context("the answer has no length")?;
    ensure!(length <= LONGEST, "the answer has {length} bytes");
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    Ok(body)
}
