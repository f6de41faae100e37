//! What programs cost, as the kernel accounts for it: CPU and memory of a process, of a thread, of the whole machine.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Resident now.
    pub(super) resident: u64,
    /// The most that was ever resident.
    pub(super) peak: u64,
}

/// User and system time of a process with all its threads.
///
/// # Errors
/// When it is gone.
pub(super) fn of_process(id: u32) -> Result<Duration> {
    of_stat(&format!("/proc/{id}/stat"))
}

/// User and system time of one thread of this process.
///
/// # Errors
/// When it is gone.
pub(super) fn of_own_thread(id: i32) -> Result<Duration> {
    of_stat(&format!("/proc/self/task/{id}/stat"))
}

/// Busy and idle time of all cores since the machine started.
///
/// # Errors
/// When `/proc/stat` cannot be read.
pub(super) fn of_machine() -> Result<(Duration, Duration)> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    machine_ticks(&text)
        .context("/proc/stat has no line of all cores")
        .and_then(|(busy, idle)| Ok((time(busy)?, time(idle)?)))
}

/// The memory of a process.
///
/// # Errors
/// When it is gone.
pub(super) fn memory(id: u32) -> Result<Memory> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: the program has ended"))?;
    let of = |key: &str| status_value(&text, key).with_context(|| format!("{path} has no {key}"));
    Ok(Memory { resident: of("VmRSS:")?, peak: of("VmHWM:")? })
}

fn of_stat(path: &str) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}: the program has ended"))?;
    time(ticks(&text).with_context(|| format!("{path} has no times"))?)
}

/// `utime` and `stime` in clock ticks: the 14th and 15th field of proc_pid_stat(5). The second is a name in parentheses
/// that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Busy and idle ticks of all cores: proc_stat(5) names user, nice, system, idle, iowait, irq, softirq, steal.
fn machine_ticks(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace();
    let ticks: Vec<u64> = fields.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((ticks.iter().sum::<u64>() - idle, idle))
}

fn status_value(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn time(ticks: u64) -> Result<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel says how long a tick is")?;
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_blanks_and_parentheses() {
        assert_eq!(ticks("7 (a) b (c)) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 9 9 20 0 3 0 8 0"), Some(300));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn steal_is_busy_and_waiting_for_disks_is_idle() {
        assert_eq!(machine_ticks("cpu  1 2 3 40 5 6 7 8 9 9\ncpu0 1 1 1 1\n"), Some((27, 45)));
    }

    #[test]
    fn this_very_process_has_times_and_memory() {
        let id = std::process::id();
        let before = of_process(id).expect("it runs");
        let mut sum = 0u64;
        while of_process(id).expect("it runs") < before + Duration::from_millis(30) {
            sum = (0..100_000u64).fold(sum, u64::wrapping_add);
        }
        let memory = memory(id).expect("it runs");
        assert!(memory.resident > 0 && memory.peak >= memory.resident, "{memory:?}");
        assert!(of_machine().expect("/proc is there").0 > Duration::ZERO);
        assert!(of_own_thread(nix::unistd::gettid().as_raw()).is_ok());
    }
}
