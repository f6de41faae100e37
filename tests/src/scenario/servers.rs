//! The servers of one scenario: unbound as the custom DNS, knot as Azure DNS, and web front ends. They end with it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    dns::{Question, Transport},
    egress::{Egress, Shape},
    seen::Seen,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Absent, Present, Scenario, Side};
use crate::{
    azure::Authorities,
    guest::{CUSTOM_DNS, Folder},
    namespace,
    sim::{
        Behaviour, Running,
        dns::{self, Entry, Zone},
        web::{self, Front},
    },
};

/// Azure DNS.
const AZURE_DNS: &str = "168.63.129.16";
/// The server that the custom DNS asks, where a scenario cuts it off.
const UPSTREAM: &str = "198.18.53.1";
/// An address where no server can be (RFC 5737).
const CANARY: &str = "192.0.2.1";
/// Looks at whether a server has started.
const LOOKS: u32 = 200;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// A running program that ends with this handle.
pub(super) struct Program(Child);

impl Program {
    /// Lets it read its files again.
    fn reload(&self) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.0.id()).context("process ids are small")?);
        kill(process, Signal::SIGHUP).context("cannot reload")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Everything that runs for one scenario.
pub(super) struct Servers {
    _programs: Vec<Program>,
    _simulators: Vec<Running>,
    azure: Option<Program>,
    upstream: Option<Program>,
    serial: u32,
    has_canary: bool,
}

impl Drop for Servers {
    fn drop(&mut self) {
        if self.has_canary {
            drop(namespace::ip(&format!("route del local {CANARY}/32 dev lo")));
        }
    }
}

impl Servers {
    /// Starts what a scenario needs and waits until it answers.
    pub(super) async fn start(scenario: &Scenario, folder: &Folder, authorities: &Authorities) -> Result<Self> {
        let mut servers = Self {
            _programs: Vec::new(),
            _simulators: Vec::new(),
            azure: None,
            upstream: None,
            serial: 1,
            has_canary: scenario.intercepted,
        };
        if let Side::Present(custom) = &scenario.custom {
            servers._programs.push(unbound(custom, folder.path())?);
        }
        if let Side::Absent(Absent::Raced) = &scenario.custom {
            let zone = Zone::from([(scenario.ask.clone(), Entry::at([IpAddr::from([198, 18, 50, 1])]))]);
            let (at, zone) = (SocketAddr::new(CUSTOM_DNS.parse()?, 53), Behaviour::new(Arc::new(zone)));
            servers._simulators.extend(dns::start(at, zone, Behaviour::new(dns::Mood::Raced)).await?);
        }
        if let Side::Present(azure) = &scenario.azure {
            servers.azure = Some(knot("azure", AZURE_DNS, azure, folder.path())?);
            if scenario.rounds.as_ref().is_some_and(|rounds| rounds.cut_upstream) {
                servers.upstream = Some(knot("upstream", UPSTREAM, azure, folder.path())?);
                until_listening(UPSTREAM).await?;
            }
        }
        for (addresses, authority) in
            [(&scenario.web.proves, &authorities.lab), (&scenario.web.fails, &authorities.inspector)]
        {
            for address in addresses {
                let front = Front {
                    authority: Arc::clone(authority),
                    inspector: Arc::clone(authority),
                    name: scenario.ask.clone(),
                };
                let at = SocketAddr::new(*address, 443);
                servers._simulators.push(web::start_https(at, front, Behaviour::default()).await?);
            }
        }
        if scenario.intercepted {
            namespace::make_address_local(CANARY.parse()?)?;
            let zone = Zone::from([("www.microsoft.com".to_owned(), Entry::at([IpAddr::from([198, 18, 50, 99])]))]);
            let at = SocketAddr::new(CANARY.parse()?, 53);
            servers._simulators.extend(dns::start(at, Behaviour::new(Arc::new(zone)), Behaviour::default()).await?);
        }
        for (side, address) in [(&scenario.custom, CUSTOM_DNS), (&scenario.azure, AZURE_DNS)] {
            if let Side::Present(_) = side {
                until_listening(address).await?;
            }
        }
        Ok(servers)
    }

    /// Gives Azure DNS other records.
    pub(super) fn change_azure(&mut self, records: &str, folder: &Folder) -> Result<()> {
        self.serial += 1;
        fs::write(folder.path().join("azure.zone"), root_zone(records, self.serial))?;
        self.azure.as_ref().map_or(Ok(()), Program::reload)
    }

    /// Ends the server that the custom DNS asks.
    pub(super) fn cut_upstream(&mut self) {
        self.upstream = None;
    }
}

/// A root zone with these records. One zone for everything lets a server follow every chain.
fn root_zone(records: &str, serial: u32) -> String {
    format!(
        "$TTL 60\n. 60 SOA ns.lab. hostmaster.lab. {serial} 3600 600 86400 60\n. 60 NS ns.lab.\nns.lab. 60 A 127.0.0.1\n{records}\n"
    )
}

fn unbound(side: &Present, folder: &Path) -> Result<Program> {
    let path = folder.display();
    fs::write(folder.join("custom.zone"), root_zone(&side.records, 1))?;
    let (own, other): (Vec<&str>, Vec<&str>) = split(&side.options);
    let zone = if side.records.is_empty() {
        String::new()
    } else {
        format!(
            "auth-zone:\n  name: \".\"\n  zonefile: \"{path}/custom.zone\"\n  for-downstream: no\n  for-upstream: yes\n  fallback-enabled: no\n"
        )
    };
    let access = if side.options.contains("access-control") { "" } else { "  access-control: 0.0.0.0/0 allow\n" };
    let config = format!(
        "server:\n  interface: {CUSTOM_DNS}\n  port: 53\n  username: \"\"\n  chroot: \"\"\n  directory: \"{path}\"\n  pidfile: \"\"\n  \
         do-daemonize: no\n  use-syslog: no\n  module-config: \"iterator\"\n  qname-minimisation: no\n  num-threads: 1\n  \
         do-not-query-localhost: no\n  edns-buffer-size: 1232\n  max-udp-size: 1232\n{access}{}{zone}{}remote-control:\n  control-enable: no\n",
        own.iter().map(|line| format!("  {line}\n")).collect::<String>(),
        other.iter().map(|line| format!("{line}\n")).collect::<String>(),
    );
    fs::write(folder.join("unbound.conf"), config)?;
    start("unbound", &["-d", "-c", "unbound.conf"], folder)
}

/// Options of the server section, and those from the first section of their own on.
fn split(options: &str) -> (Vec<&str>, Vec<&str>) {
    let lines: Vec<&str> = options.lines().collect();
    let sections = lines.iter().position(|line| line.ends_with("-zone:")).unwrap_or(lines.len());
    (lines[..sections].to_vec(), lines[sections..].to_vec())
}

fn knot(name: &str, address: &str, side: &Present, folder: &Path) -> Result<Program> {
    let path = folder.display();
    fs::write(folder.join(format!("{name}.zone")), root_zone(&side.records, 1))?;
    let config = format!(
        "server:\n  listen: {address}@53\n  rundir: {path}/knot-{name}\n  udp-max-payload: 1232\ndatabase:\n  storage: {path}/knot-{name}\nlog:\n  \
         - target: stderr\n    any: warning\nzone:\n  - domain: .\n    storage: {path}\n    file: {name}.zone\n"
    );
    // Every scenario begins with an empty database: knot would else refuse a zone whose serial did not grow.
    let database = folder.join(format!("knot-{name}"));
    drop(fs::remove_dir_all(&database));
    fs::create_dir_all(&database)?;
    let file = format!("knot-{name}.conf");
    fs::write(folder.join(&file), config)?;
    start("knotd", &["-c", &file], folder)
}

fn start(program: &str, arguments: &[&str], folder: &Path) -> Result<Program> {
    let log = fs::File::create(folder.join(format!("{program}.log")))?;
    let child = Command::new(format!("/usr/sbin/{program}"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run /usr/sbin/{program}: install unbound and knot"))?;
    Ok(Program(child))
}

/// Waits until a server has its port: a closed port answers with ICMP at once, everything else means that it is there.
async fn until_listening(server: &str) -> Result<()> {
    let egress = Egress::default();
    let address = SocketAddr::new(server.parse()?, 53);
    for nonce in 0..LOOKS {
        let deadline = Deadline::within(LOOK * 8);
        let attempt = Attempt { address, deadline, egress: &egress, nonce: u64::from(nonce), shape: Shape::default() };
        let exchange = Question::liveness("ready.lab".to_owned(), Transport::Udp).run(&attempt).await;
        if !is_closed(&exchange.seen) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("{server} did not open port 53 within {:?}", LOOK * LOOKS)
}

fn is_closed(seen: &Seen) -> bool {
    seen.icmp.is_some()
}
