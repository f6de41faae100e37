//! A subnet with a whole Azure around it: two network namespaces joined by one wire. In one live the simulated servers,
//! in the other a command runs as an unprivileged user, with the lab's resolver and authority in place.
//!
//! The way to do it without names and leaks: this process enters the first namespace and starts itself again as the
//! guest; the guest enters the second and waits on its standard input until the wire is laid.

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use ase_agent::{catalog::Host, config};
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{
    azure::{Authorities, Azure, Place, SLOTS, Stopped},
    namespace,
};

/// The custom DNS of the subnet.
const CUSTOM_DNS: &str = "10.53.0.4";
/// The address of the machine that the command runs on.
const GUEST: &str = "10.53.1.4";
/// Its router.
const ROUTER: &str = "10.53.1.1";

/// Time between two looks at whether the guest is ready.
const LOOK: Duration = Duration::from_millis(5);
/// Looks before the guest is given up.
const MAX_LOOKS: u32 = 4000;

/// What to run, and with which servers missing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Hosts (`HOST` or `HOST:PORT`) whose servers are not started.
    pub stopped: Vec<String>,
}

/// Runs a plan and returns the command's exit code.
///
/// # Errors
/// When the namespaces, the servers or the command cannot be started.
pub fn run(plan: &Plan) -> Result<ExitCode> {
    let is_root = geteuid().is_root();
    namespace::enter()?;
    let folder = Folder::new()?;
    let authorities = Authorities::new()?;
    folder.write("ca.pem", &authorities.lab.pem())?;
    folder.write("resolv.conf", &format!("nameserver {CUSTOM_DNS}\n"))?;
    let settings_file = folder.write("ase-agent.yaml", &filled_slots())?;
    let settings = config::load(Some(&settings_file))?;
    let mut guest = Guest::start(plan, &folder, is_root)?;
    lay_wire(guest.child.id())?;
    let addresses = settings.catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.host {
        Host::Address(address) => Some(*address),
        Host::Name(_) => None,
    });
    let mut fixed: Vec<IpAddr> = addresses.collect();
    fixed.sort();
    fixed.dedup();
    fixed.into_iter().try_for_each(namespace::make_address_local)?;
    namespace::make_local("198.18.0.0/15")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stopped = Stopped(plan.stopped.clone());
    let azure = runtime.block_on(Azure::start(&settings, Place::OwnAddresses, &authorities, &stopped))?;
    guest.begin()?;
    let status = guest.child.wait().context("cannot wait for the command")?;
    drop(azure);
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1))))
}

/// The configuration that fills every slot with a simulated host.
fn filled_slots() -> String {
    let rows: String = SLOTS.iter().map(|(slot, host)| format!("  {slot}: [{host}]\n")).collect();
    format!("vantage: ase-lab subnet\nresolvers:\n  custom: [{CUSTOM_DNS}]\nslots:\n{rows}")
}

/// Joins this namespace and the guest's by a virtual wire and routes everything over it.
fn lay_wire(guest: u32) -> Result<()> {
    namespace::ip("link set lo up")?;
    namespace::ip("link add wire0 type veth peer name wire1")?;
    namespace::ip(&format!("link set wire1 netns {guest}"))?;
    namespace::ip(&format!("addr add {ROUTER}/24 dev wire0"))?;
    namespace::ip("link set wire0 up")?;
    namespace::ip_in(guest, "link set lo up")?;
    namespace::ip_in(guest, &format!("addr add {GUEST}/24 dev wire1"))?;
    namespace::ip_in(guest, "link set wire1 up")?;
    namespace::ip_in(guest, &format!("route add default via {ROUTER}"))
}

/// Files for the guest, readable by everybody, gone at the end.
struct Folder(TempDir);

impl Folder {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ase-lab-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        Ok(Self(folder))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The process that becomes the command.
struct Guest {
    child: Child,
}

impl Guest {
    /// Starts this program again as the guest and waits until it lives in its own namespace.
    fn start(plan: &Plan, folder: &Folder, is_root: bool) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(&program)
            .arg("guest")
            .arg(folder.path())
            .arg(if is_root { "root" } else { "rootless" })
            .arg("--")
            .args(&plan.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::inherit())
            .spawn()
            .context("cannot start the guest")?;
        let ready = folder.path().join("ready");
        for _ in 0..MAX_LOOKS {
            if ready.exists() {
                return Ok(Self { child });
            }
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the guest ended with {status} before its namespace was ready");
            }
            std::thread::park_timeout(LOOK);
        }
        drop(child.kill());
        anyhow::bail!("the guest's namespace was not ready within {:?}", LOOK * MAX_LOOKS)
    }

    /// Lets the guest run its command.
    fn begin(&mut self) -> Result<()> {
        let mut stdin = self.child.stdin.take().context("the guest listens on its standard input")?;
        stdin.write_all(b"go").context("the guest is gone")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The guest's side: enters its namespace, waits for the wire, becomes the command.
///
/// # Errors
/// When a step fails; a command that runs never returns.
pub fn guest(folder: &Path, is_root: bool, words: &[OsString]) -> Result<()> {
    namespace::die_with_parent()?;
    namespace::enter()?;
    namespace::put_over(&folder.join("resolv.conf"), Path::new("/etc/resolv.conf"))?;
    fs::write(folder.join("ready"), "").context("cannot say that the guest is ready")?;
    let mut go = [0; 2];
    std::io::stdin().read_exact(&mut go).context("the lab ended before it was ready")?;
    let (program, arguments) = words.split_first().context("COMMAND is missing")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("PATH", own_path())
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("SSL_CERT_FILE", folder.join("ca.pem"))
        .env("CURL_CA_BUNDLE", folder.join("ca.pem"))
        .env("ASE_LAB_CA", folder.join("ca.pem"))
        .env("ASE_LAB_CONFIG", folder.join("ase-agent.yaml"))
        .env_remove("SSL_CERT_DIR")
        .env_remove("ASE_AGENT_CONFIG");
    namespace::exec_unprivileged(&mut command, is_root)
}

/// The search path with this program's own folder first, where `ase-agent` lies too.
fn own_path() -> OsString {
    let folder = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let mut path = folder.unwrap_or_default().into_os_string();
    path.push(":/usr/sbin:/sbin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
