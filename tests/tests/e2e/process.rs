//! Real programs under test: found or said to be missing, started on free ports, ready before they are used, ended
//! when they go out of scope.
#![allow(clippy::disallowed_methods, reason = "tests wait for other programs and need a clock for that")]

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use nix::unistd::geteuid;
use tempfile::TempDir;

/// The longest wait for a program to become ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a program is there. Where it is not: a failure, or a loud skip outside CI.
pub(crate) fn require(program: &str, package: &str) -> bool {
    let found = std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| Path::new(folder).join(program).is_file());
    if !found {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{program} is missing: install the package {package}");
        println!("SKIPPED for want of {program} (package {package})");
    }
    found
}

/// Whether this is root, who alone can do `what`. Where it is not: a failure, or a loud skip outside CI.
pub(crate) fn require_root(what: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "only root can {what}");
        println!("SKIPPED for want of root: only root can {what}");
    }
    is_root
}

/// A free TCP and UDP port on loopback, the same number for both.
pub(crate) fn free_port() -> u16 {
    ase_lab::free_port::free_port().expect("loopback has free ports")
}

/// The agent's binary, built from this very source.
pub(crate) fn agent() -> &'static Path {
    binary("ase-agent")
}

/// A binary of this workspace, built from this very source.
pub(crate) fn binary(name: &'static str) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    static LAB: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "ase-agent", "-p", "ase-lab", "--bins"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the binaries build");
        let test = std::env::current_exe().expect("a test knows its file");
        test.ancestors().nth(2).expect("tests live in target/PROFILE/deps").to_owned()
    });
    let cell = if name == "ase-agent" { &AGENT } else { &LAB };
    cell.get_or_init(|| folder.join(name))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?} starts: {error}"))
}

/// A program that runs until this is dropped.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    /// Its own folder, removed at the end.
    pub(crate) folder: TempDir,
}

impl Program {
    /// Starts a program in a folder of its own; what it prints goes to a log there.
    pub(crate) fn start(folder: TempDir, command: &mut Command) -> Self {
        let log = folder.path().join("log");
        let output = File::create(&log).expect("the folder is writable");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        Self { child, log, folder }
    }

    /// Waits until `ready` says yes, while the program lives.
    pub(crate) fn until(mut self, what: &str, mut ready: impl FnMut() -> bool) -> Self {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{what}: ended with {status}\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and returns the exit code; `None` if a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("a child can be waited for").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether someone accepts TCP connections there.
pub(crate) fn accepts(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// Waits until a condition holds; the clock is read here only.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE * 3, "{what}: not in {:?}", PATIENCE * 3);
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
