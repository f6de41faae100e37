//! A systemd of one's own: this machine's `/usr`, or a fresh Debian, in a container without any wire, where a unit file or a
//! package is run as on a real machine. Whatever it starts ends with it. Not enforced there: limits of memory, tasks and
//! processor (no controllers).

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ase_lab::namespace;

use crate::process::{agent, require, require_root, run, wait_for};

/// Enters the control groups (`$2`), puts a writable layer in memory over `/usr`, so that the agent can be bound to its
/// place in it, and becomes the container. It is process 1 of its own process namespace: whatever ends it ends all.
const CONTAINER: &str = r#"
set -e
folder=$1; groups=$2; agent=$3
for group in $groups; do echo 0 >"$group/cgroup.procs"; done
mount -t tmpfs -o size=64m tmpfs "$folder/memory"
mkdir "$folder/memory/usr"
exec systemd-nspawn --directory=/ --volatile=yes --overlay="/usr:$folder/memory/usr:/usr" \
  --bind-ro="$agent:/usr/bin/ase-agent" --bind-ro="$folder/unit:/etc/systemd/system/ase-agent.service" \
  --bind="$folder/etc:/etc/ase-agent" $4
"#;
/// The same for an archive (`$3`) with a whole Debian, which is unpacked into memory.
const DEBIAN: &str = r#"
set -e
folder=$1; groups=$2; archive=$3
for group in $groups; do echo 0 >"$group/cgroup.procs"; done
mount -t tmpfs -o size=1g,mode=755 tmpfs "$folder/memory"
tar --extract --file="$archive" --directory="$folder/memory"
exec systemd-nspawn --directory="$folder/memory" --bind-ro="$folder/given:/given" $4
"#;
/// What both are: no wire, nothing of this machine's name service, clock zone or journal, nothing written to its screen.
const OPTIONS: &str = "--quiet --register=no --keep-unit --boot --private-network --resolv-conf=off --timezone=off \
    --link-journal=no --console=pipe systemd.unit=basic.target systemd.mask=systemd-networkd.service \
    systemd.firstboot=no systemd.show_status=no";
/// Where the agent listens by default.
pub(crate) const PAGE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10123);
/// Looks for the end of the last process of a control group.
const MAX_LOOKS: usize = 100;

/// The unit file that is shipped.
pub(crate) fn shipped() -> String {
    fs::read_to_string(shipped_file("ase-agent.service")).expect("the unit file is there")
}

/// A file of the folder `systemd`.
pub(crate) fn shipped_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name)
}

/// A booted systemd with the unit in it, not yet started.
pub(crate) struct PrivateSystemd {
    container: Child,
    first: u32,
    groups: Vec<PathBuf>,
    folder: tempfile::TempDir,
}

impl PrivateSystemd {
    /// Boots; `None` with a loud skip where the tools or the rights are missing.
    pub(crate) fn boot(unit: &str, configuration: &str) -> Option<Self> {
        let folder = folder_if_possible()?;
        fs::create_dir(folder.path().join("etc")).expect("the folder is writable");
        fs::write(folder.path().join("unit"), unit).expect("the folder is writable");
        fs::write(folder.path().join("etc/ase-agent.yaml"), configuration).expect("the folder is writable");
        Some(Self::booted(folder, CONTAINER, agent()))
    }

    /// Boots the Debian of an archive; the files that are given lie in its folder `/given`.
    pub(crate) fn boot_debian(archive: &Path, given: &[&Path]) -> Option<Self> {
        let folder = folder_if_possible()?;
        let to = folder.path().join("given");
        fs::create_dir(&to).expect("the folder is writable");
        for file in given {
            fs::copy(file, to.join(file.file_name().expect("a file has a name"))).expect("the file can be copied");
        }
        Some(Self::booted(folder, DEBIAN, archive))
    }

    fn booted(folder: tempfile::TempDir, script: &str, given: &Path) -> Self {
        let groups = control_groups(folder.path());
        let container = start(folder.path(), &groups, script, given);
        let mut booted = Self { container, first: 0, groups, folder };
        booted.first = wait_for("the container's first process", || booted.find_first());
        wait_for("basic.target", || (booted.says("systemctl is-active basic.target").trim() == "active").then_some(()));
        booted
    }

    /// What a root shell in the container prints.
    pub(crate) fn says(&self, script: &str) -> String {
        let process = self.first.to_string();
        let script = format!("({script}) 2>&1");
        let output = run(Command::new("nsenter").args(["-t", &process, "-a", "/bin/sh", "-c", &script]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a root shell in the container that must succeed.
    pub(crate) fn does(&self, script: &str) {
        let text = self.says(&format!("set -e; {script}; echo and all is done"));
        assert!(text.ends_with("and all is done\n"), "{script}: {text}");
    }

    /// Does something in the container's network namespace.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        namespace::inside(self.first, move || Ok(work())).expect("the container's namespace can be entered")
    }

    /// What the unit and its systemd wrote.
    pub(crate) fn journal(&self) -> String {
        self.says("systemctl status --no-pager --full --lines=50 ase-agent; journalctl --no-pager --lines=50")
    }

    /// The process that is the first in the innermost of three process namespaces: this one's, the container's guard's,
    /// the container's.
    fn find_first(&self) -> Option<u32> {
        let console = || fs::read_to_string(self.folder.path().join("console")).unwrap_or_default();
        let guard = children(self.container.id());
        assert!(Path::new(&format!("/proc/{}/exe", self.container.id())).exists(), "{}", console());
        let found = guard.into_iter().flat_map(children).find(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            ids.split_whitespace().count() == 3 && ids.split_whitespace().last() == Some("1")
        });
        // Before it becomes systemd it has not entered all of its namespaces.
        found.filter(|process| {
            fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "systemd")
        })
    }
}

impl Drop for PrivateSystemd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.journal());
        }
        drop(self.container.kill());
        drop(self.container.wait());
        for _ in 0..MAX_LOOKS {
            self.groups.retain(|group| !removed(group));
            if self.groups.is_empty() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// A folder for the container; `None` with a loud skip where the tools or the rights are missing.
fn folder_if_possible() -> Option<tempfile::TempDir> {
    let tools = [("systemd-nspawn", "systemd-container"), ("nft", "nftables"), ("ip", "iproute2")];
    if !(tools.into_iter().all(|(tool, package)| require(tool, package)) && require_root("boot a private systemd")) {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("memory")).expect("the folder is writable");
    Some(folder)
}

fn start(folder: &Path, groups: &[PathBuf], script: &str, given: &Path) -> Child {
    let console = File::create(folder.join("console")).expect("the folder is writable");
    let groups: Vec<_> = groups.iter().map(|group| group.to_string_lossy()).collect();
    // The guard dies with this thread, and the container with its guard.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "/bin/sh", "-c", script, "sh"])
        .arg(folder)
        .arg(groups.join(" "))
        .arg(given)
        .arg(OPTIONS)
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(console.try_clone().expect("a file can be shared"))
        .stderr(console)
        .process_group(0);
    command.spawn().expect("setpriv starts")
}

/// A control group of one's own in each hierarchy that systemd uses, named after the folder.
fn control_groups(folder: &Path) -> Vec<PathBuf> {
    let name = folder.file_name().expect("a temporary folder has a name");
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].map(Path::new);
    let used = hierarchies.into_iter().filter(|hierarchy| hierarchy.join("cgroup.procs").exists());
    let group = |hierarchy: &Path| hierarchy.join(format!("ase-lab-{}", name.to_string_lossy().trim_matches('.')));
    let groups: Vec<_> = used.map(group).collect();
    groups.iter().for_each(|group| fs::create_dir(group).expect("root may make control groups"));
    groups
}

/// Removes a control group and those below it. `false` while a process is in one.
fn removed(group: &Path) -> bool {
    for below in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        removed(&below.path());
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

/// The children of a process's first thread.
fn children(process: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
