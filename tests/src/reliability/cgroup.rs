//! A memory cgroup of version 1 or 2, whichever this machine offers: what a daemon in it may take, and what it took at most.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Result, bail};

use super::daemon::{Home, within};

/// Bytes in a mebibyte.
const MEBIBYTE: u64 = 1 << 20;
/// Where a memory cgroup is made, and its files: the limit, the limit with swap or of swap, the peak
/// (cgroups(7); the kernel's cgroup-v1/memory.rst and cgroup-v2.rst).
const OFFERS: [Offer; 2] = [
    Offer {
        place: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        swap: "memory.memsw.limit_in_bytes",
        peak: "memory.max_usage_in_bytes",
    },
    Offer { place: "/sys/fs/cgroup", limit: "memory.max", swap: "memory.swap.max", peak: "memory.peak" },
];

/// One version.
#[derive(Clone, Copy, Debug)]
struct Offer {
    place: &'static str,
    limit: &'static str,
    swap: &'static str,
    peak: &'static str,
}

/// A memory cgroup of this command's own, gone when it is dropped.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    offer: Offer,
    most: u64,
}

impl Group {
    /// Makes one that allows so many MiB, and no swap beyond them.
    ///
    /// # Errors
    /// Where none can be made.
    pub(super) fn new(mebibytes: u64) -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("ase-lab-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        for offer in OFFERS {
            let folder = Path::new(offer.place).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder, offer, most: mebibytes };
            let most = mebibytes * MEBIBYTE;
            if fs::write(group.folder.join(offer.limit), most.to_string()).is_ok() {
                // Swap that the kernel does not count cannot be taken away; the limit of memory holds all the same.
                let swap = if offer.swap.contains("memsw") { most } else { 0 };
                drop(fs::write(group.folder.join(offer.swap), swap.to_string()));
                return Ok(group);
            }
        }
        bail!(
            "no memory cgroup can be made here, neither of version 1 nor of version 2: it takes root and a writable /sys/fs/cgroup"
        )
    }

    /// The daemon's command, which enters the group before it becomes the daemon: what it takes at the start counts.
    ///
    /// # Errors
    /// When the agent is not built.
    pub(super) fn around(&self, home: &Home) -> Result<Command> {
        let mut command = entering(&self.folder.join("cgroup.procs"), &home.command()?);
        command.current_dir(home.folder.path());
        Ok(command)
    }

    /// The limit, in words.
    pub(super) fn limit(&self) -> String {
        format!("a memory cgroup of {} MiB: {}/{}", self.most, self.folder.display(), self.offer.limit)
    }

    /// The peak in MiB, where the kernel tells it.
    pub(super) fn peak(&self) -> Option<f64> {
        let text = fs::read_to_string(self.folder.join(self.offer.peak)).ok()?;
        Some(text.trim().parse::<f64>().ok()? / MEBIBYTE as f64)
    }

    /// The peak, in words.
    pub(super) fn told(&self) -> String {
        let peak = self.peak();
        peak.map_or("the peak is not told here".to_owned(), |peak| format!("peak of the cgroup {peak:.1} MiB"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.folder));
    }
}

/// A command that writes its process id to a file before it becomes the inner one, with the same variables.
fn entering(file: &Path, inner: &Command) -> Command {
    within(inner, "sh", &["-c", "echo $$ >\"$0\" && exec \"$@\"", &file.to_string_lossy()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_enters_a_group_keeps_its_variables() {
        let mut inner = Command::new("env");
        inner.env("ASE_LAB_SET", "x");
        let output = entering(Path::new("/dev/null"), &inner).output().expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("ASE_LAB_SET=x\n") && output.status.success(), "{text}");
    }
}
