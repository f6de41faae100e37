//! The machine and the programs that a figure belongs to.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde::Serialize;

/// What stands over a table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Facts {
    /// Cores of the machine and their name.
    pub(super) cores: usize,
    processor: String,
    kernel: String,
    /// Runnable tasks in the last minute, before the bench: the machine should be quiet.
    load: f64,
    agent: String,
    build: &'static str,
    blackbox: String,
    prometheus: String,
}

impl Facts {
    /// Looks at this machine. What cannot be found is said to be unknown.
    pub(super) fn gather(agent: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor(&read("/proc/cpuinfo")).unwrap_or("unknown").to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
            agent: version(agent),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            blackbox: version(Path::new("prometheus-blackbox-exporter")),
            prometheus: version(Path::new("prometheus")),
        }
    }

    /// Two lines for people.
    pub(super) fn lines(&self) -> String {
        format!(
            "{} cores ({}), Linux {}, load {:.2} before\n{} (lab: {} build); {}; {}",
            self.cores, self.processor, self.kernel, self.load, self.agent, self.build, self.blackbox, self.prometheus
        )
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name)
}

/// The first words of what a program says about its version; older Go programs say it on the error output.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default();
    if first.is_empty() { format!("{}: unknown", program.display()) } else { first.replace(", version", "") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_has_an_unknown_version() {
        assert_eq!(version(Path::new("/nowhere/at-all")), "/nowhere/at-all: unknown");
    }

    #[test]
    fn the_processor_is_named_as_the_kernel_names_it() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Some CPU\n"), Some("Some CPU"));
        assert_eq!(processor(""), None);
    }
}
