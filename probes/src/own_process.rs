//! What this process itself costs, as the kernel accounts for it: processor time, memory, descriptors and threads. The names
//! and meanings are those that Prometheus's own clients use for their `process_` metrics.

use std::{fs, path::Path, time::Duration};

use nix::sys::resource::{UsageWho, getrusage};

use crate::{local_facts, regular_file};

/// A file of the kernel about one process is at most so long, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;
/// The kernel's kB (proc_pid_status(5)).
const KB: u64 = 1024;

/// The costs; what cannot be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProcess {
    /// Processor time, user's and system's.
    pub cpu: Option<Duration>,
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Virtual memory in bytes.
    pub virtual_memory: Option<u64>,
    /// Open descriptors.
    pub open_files: Option<u64>,
    /// The most descriptors that may be open.
    pub most_files: u64,
    /// Threads.
    pub threads: Option<u64>,
}

/// Looks at the costs so far.
pub fn read() -> OwnProcess {
    let status = regular_file::read(Path::new("/proc/self/status"), FILE_LIMIT).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let used = getrusage(UsageWho::RUSAGE_SELF).ok();
    let time = |time: nix::sys::time::TimeVal| {
        Duration::new(u64::try_from(time.tv_sec()).unwrap_or_default(), 0)
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or_default())
    };
    OwnProcess {
        cpu: used.map(|used| time(used.user_time()) + time(used.system_time())),
        resident: number(&status, "VmRSS:").map(|kb| kb * KB),
        virtual_memory: number(&status, "VmSize:").map(|kb| kb * KB),
        open_files: open_files(),
        most_files: local_facts::file_limit() as u64,
        threads: number(&status, "Threads:"),
    }
}

/// Linux 6.2 and later say the count as the folder's size; else its entries count, without the folder itself.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        0 => Some(fs::read_dir(folder).ok()?.count().saturating_sub(1) as u64),
        count => Some(count),
    }
}

/// The number behind a key.
fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_costs_something() {
        let seen = read();
        assert!(seen.resident.is_some_and(|bytes| bytes > 1 << 20), "{seen:?}");
        assert!(seen.virtual_memory >= seen.resident && seen.threads >= Some(1), "{seen:?}");
        assert!(seen.open_files.is_some_and(|files| files >= 3 && files <= seen.most_files), "{seen:?}");
        assert!(seen.cpu.is_some(), "{seen:?}");
    }

    #[test]
    fn a_line_that_is_missing_or_odd_is_no_number() {
        assert_eq!(number("VmRSS:\t  1234 kB\nThreads:\t3\n", "VmRSS:"), Some(1234));
        assert_eq!((number("VmRSS:\n", "VmRSS:"), number("", "VmRSS:")), (None, None));
    }
}
