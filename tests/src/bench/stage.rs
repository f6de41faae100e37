//! Where one program is measured: a guest namespace for it and for those that drive it, a path, and servers behind it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use ase_agent::{config, model::settings::Settings};
use ase_probes::clock;
use nix::unistd::geteuid;
use tokio::runtime::Runtime;

use super::{arrivals::Arrivals, path::Path, servers, spent};
use crate::{
    azure::{Authorities, Azure, Place, Stopped},
    guest::{Folder, Guest},
    loopback, namespace, programs, subnet,
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The longest wait for a page: a program under test may be too busy to give one soon, and that is a finding.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything around the programs.
#[derive(Debug)]
pub(super) struct Stage {
    /// Files that all can read, and where programs may write.
    pub(super) folder: Folder,
    /// The path between the guest and the servers.
    pub(super) path: Path,
    /// What arrived at the light servers.
    pub(super) arrivals: Arrivals,
    /// What is watched in the simulated Azure; `None` beside light servers.
    pub(super) profile: Option<Settings>,
    // In the order in which they end.
    programs: Vec<Program>,
    guest: Guest,
    _azure: Option<Azure>,
    _runtime: Runtime,
}

/// A program in the guest.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Stage {
    /// Lays everything out: with `is_azure` the servers of the whole built-in profile, else the light ones. It must come
    /// before the first thread is started.
    ///
    /// # Errors
    /// Without root, or when a part cannot be started.
    pub(super) fn set(is_azure: bool) -> Result<Self> {
        ensure!(geteuid().is_root(), "only root may open /dev/net/tun, which the path needs: run this as root");
        namespace::enter()?;
        let authorities = Authorities::new()?;
        let folder = Folder::new(&authorities.lab)?;
        let memory = format!("state_dir: \"{}\"\n", folder.path().join("state").display());
        let file = folder.write("ase-agent.yaml", &(subnet::filled_slots() + &memory))?;
        let profile = if is_azure { Some(config::load(Some(&file))?) } else { None };
        namespace::ip("link set lo up")?;
        let mut laid = None;
        let lay = |guest| {
            laid = Some(Path::lay(guest)?);
            Ok(())
        };
        // It only holds the namespace open; what is measured joins it.
        let holder = ["sleep".into(), "infinity".into()];
        let mut guest = Guest::start_on(lay, &holder, &folder, true, Stdio::null())?;
        namespace::make_local("198.18.0.0/15")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let arrivals = Arrivals::new();
        let azure = match &profile {
            Some(settings) => {
                namespace::make_fixed_addresses_local(settings)?;
                let none = Stopped::default();
                Some(runtime.block_on(Azure::start(settings, Place::OwnAddresses, &authorities, &none))?)
            }
            None => {
                runtime.block_on(servers::start(&Arc::clone(&authorities.lab), &arrivals))?;
                None
            }
        };
        guest.begin()?;
        let path = laid.context("the guest's path is laid")?;
        Ok(Self { folder, path, arrivals, profile, programs: Vec::new(), guest, _azure: azure, _runtime: runtime })
    }

    /// Copies a program to where the guest's user can read it.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn bring(&self, program: &std::path::Path) -> Result<PathBuf> {
        let name = program.file_name().context("a program has a name")?;
        let copy = self.folder.path().join(name);
        fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        Ok(copy)
    }

    /// Starts a program in the guest as an unprivileged user; it ends with this. `name` is what the report calls it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self, name: &'static str, words: &[&OsStr]) -> Result<()> {
        let log = File::create(self.folder.path().join(format!("{name}.log")))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["enter", &self.guest.id().to_string()])
            .arg(self.folder.path())
            .arg("--")
            .args(words)
            .envs(programs::environment_of_unit())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.programs.push(Program { name, child });
        Ok(())
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it takes too long or a program ends, with what the programs wrote.
    pub(super) fn until(
        &mut self,
        what: &str,
        patience: Duration,
        mut is_so: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let start = clock::now();
        while !is_so(self)? {
            self.check()?;
            ensure!(start.elapsed() < patience, "waited {patience:?} in vain: {what}: {}", self.logs());
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Fails if a program has ended.
    ///
    /// # Errors
    /// With its exit status and what it wrote.
    pub(super) fn check(&mut self) -> Result<()> {
        for program in &mut self.programs {
            if let Some(status) = program.child.try_wait()? {
                let name = program.name;
                bail!("{name} ended with {status}: {}", self.logs());
            }
        }
        Ok(())
    }

    /// A page of a program in the guest; `None` while nobody gives it.
    ///
    /// # Errors
    /// When the guest is gone.
    pub(super) fn page(&self, place: SocketAddr, path: &str) -> Result<Option<String>> {
        let path = path.to_owned();
        self.inside(move || Ok(loopback::get_within(PATIENCE, place, &path)))
    }

    /// The process that holds the guest's namespaces.
    pub(super) fn process(&self) -> u32 {
        self.guest.id()
    }

    /// Does something in the guest's network.
    ///
    /// # Errors
    /// When the guest is gone, or what the work says.
    pub(super) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        namespace::inside(self.guest.id(), work)
    }

    /// What each program has used of the CPU so far.
    ///
    /// # Errors
    /// When one has ended.
    pub(super) fn cpu(&self) -> Result<Vec<(&'static str, Duration)>> {
        self.programs.iter().map(|program| Ok((program.name, spent::of_process(program.child.id())?))).collect()
    }

    /// What each program has in memory.
    ///
    /// # Errors
    /// When one has ended.
    pub(super) fn memory(&self) -> Result<Vec<(&'static str, spent::Memory)>> {
        self.programs.iter().map(|program| Ok((program.name, spent::memory(program.child.id())?))).collect()
    }

    fn logs(&self) -> String {
        let log = |program: &Program| fs::read_to_string(self.folder.path().join(format!("{}.log", program.name)));
        self.programs.iter().filter_map(|program| log(program).ok()).collect()
    }
}
