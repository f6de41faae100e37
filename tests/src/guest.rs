//! The guest: a process that lives in a namespace of its own, joined to this one by a wire, and becomes a command.
//!
//! The way to do it without names and leaks: this program starts itself again; the new process enters its namespace and
//! waits on its standard input until the wire is laid.

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    authority::Authority,
    fault::Engine,
    fault_box::{self, FaultBox},
    namespace, programs, sandbox,
};

/// The custom DNS of the guest.
pub const CUSTOM_DNS: &str = "10.53.0.4";
/// The guest's address.
pub(crate) const GUEST: &str = "10.53.1.4";
/// Its router.
pub(crate) const ROUTER: &str = "10.53.1.1";
/// Time between two looks at whether the guest is ready.
const LOOK: Duration = Duration::from_millis(5);
/// Looks before the guest is given up.
const MAX_LOOKS: u32 = 4000;

/// Joins this namespace and the guest's by a virtual wire and routes everything over it. A wire of an earlier guest goes.
pub(crate) fn lay_wire(guest: u32) -> Result<()> {
    drop(namespace::ip("link del wire0"));
    namespace::ip("link add wire0 type veth peer name wire1")?;
    namespace::ip(&format!("link set wire1 netns {guest}"))?;
    namespace::ip(&format!("addr add {ROUTER}/24 dev wire0"))?;
    namespace::ip("link set wire0 up")?;
    namespace::ip_in(guest, "link set lo up")?;
    namespace::ip_in(guest, &format!("addr add {GUEST}/24 dev wire1"))?;
    namespace::ip_in(guest, "link set wire1 up")?;
    namespace::ip_in(guest, &format!("route add default via {ROUTER}"))
}

/// Lays a wire through a fault box instead.
///
/// # Errors
/// Without root, or when a device cannot be made.
pub fn lay_box(guest: u32, engine: Engine) -> Result<FaultBox> {
    let fault_box = FaultBox::lay(guest, engine)?;
    fault_box::configure(guest, GUEST, ROUTER, "10.53.1.0/24")?;
    Ok(fault_box)
}

/// Files for the guest, readable by everybody, gone at the end.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// A folder with the authority's certificate and the guest's resolver file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(authority: &Authority) -> Result<Self> {
        let folder = Self(programs::open_folder()?);
        folder.write("ca.pem", &authority.pem())?;
        folder.write("resolv.conf", &format!("nameserver {CUSTOM_DNS}\n"))?;
        Ok(folder)
    }

    /// Writes a file that everybody may read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The process that becomes the command.
#[derive(Debug)]
pub struct Guest {
    child: Child,
}

impl Guest {
    /// Starts this program again as the guest, waits until it lives in its own namespace, and lays the wire.
    ///
    /// # Errors
    /// When the guest cannot be started, or does not become ready.
    pub fn start(command: &[OsString], folder: &Folder, is_root: bool, output: Stdio) -> Result<Self> {
        Self::start_on(lay_wire, command, folder, is_root, output)
    }

    /// Does the same with another wire, which `lay` lays to the process that it is given.
    ///
    /// # Errors
    /// When the guest cannot be started or does not become ready, or when the wire cannot be laid.
    pub fn start_on(
        lay: impl FnOnce(u32) -> Result<()>,
        command: &[OsString],
        folder: &Folder,
        is_root: bool,
        output: Stdio,
    ) -> Result<Self> {
        let ready = folder.path().join("ready");
        drop(fs::remove_file(&ready));
        let program = std::env::current_exe()?;
        let mut child = Command::new(&program)
            .arg("guest")
            .arg(folder.path())
            .arg(if is_root { "root" } else { "rootless" })
            .arg("--")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(output)
            .spawn()
            .context("cannot start the guest")?;
        for _ in 0..MAX_LOOKS {
            if ready.exists() {
                let guest = Self { child };
                lay(guest.id())?;
                return Ok(guest);
            }
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the guest ended with {status} before its namespace was ready");
            }
            std::thread::park_timeout(LOOK);
        }
        drop(child.kill());
        anyhow::bail!("the guest's namespace was not ready within {:?}", LOOK * MAX_LOOKS)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets the guest run its command.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin(&mut self) -> Result<()> {
        let mut stdin = self.child.stdin.take().context("the guest listens on its standard input")?;
        stdin.write_all(b"go").context("the guest is gone")
    }

    /// What the command prints while it runs, where `output` was piped; once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the command's end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("cannot wait for the command")
    }

    /// Waits for the command's end and returns what it printed, where `output` was piped.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn output(mut self) -> Result<Output> {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout).context("cannot read what the command prints")?;
        }
        Ok(Output { status: self.wait()?, stdout, stderr: Vec::new() })
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
pub fn become_command(folder: &Path, is_root: bool, words: &[OsString]) -> Result<()> {
    namespace::die_with_parent()?;
    namespace::enter()?;
    namespace::put_over(&folder.join("resolv.conf"), Path::new("/etc/resolv.conf"))?;
    programs::bring_own(folder)?;
    let words = programs::bring_named(folder, words)?;
    fs::write(folder.join("ready"), "").context("cannot say that the guest is ready")?;
    let mut go = [0; 2];
    std::io::stdin().read_exact(&mut go).context("the lab ended before it was ready")?;
    sandbox::enter(folder)?;
    namespace::exec_unprivileged(&mut command_in(folder, &words)?, is_root)
}

/// Enters the namespaces of a guest and becomes a command there, with the guest's rights.
///
/// # Errors
/// When a step fails; a command that runs never returns.
pub fn join(guest: u32, folder: &Path, words: &[OsString]) -> Result<()> {
    namespace::die_with_parent()?;
    namespace::join(guest)?;
    namespace::exec_unprivileged(&mut command_in(folder, words)?, true)
}

/// A command with the guest's environment.
fn command_in(folder: &Path, words: &[OsString]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("COMMAND is missing")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("PATH", programs::search_path(folder))
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("SSL_CERT_FILE", folder.join("ca.pem"))
        .env("CURL_CA_BUNDLE", folder.join("ca.pem"))
        .env("ASE_LAB_CA", folder.join("ca.pem"))
        .env("ASE_LAB_CONFIG", folder.join("ase-agent.yaml"))
        .env_remove("SSL_CERT_DIR")
        .env_remove("ASE_AGENT_CONFIG");
    Ok(command)
}
