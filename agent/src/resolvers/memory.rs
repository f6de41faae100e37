//! What is remembered of this host's DNS servers between processes: which they were, and when they changed. A file of a few
//! lines in the state directory.

use std::{net::IpAddr, path::Path, time::Duration};

use ase_probes::regular_file;

/// The file in the state directory.
pub const FILE: &str = "resolvers";
/// The first line: the name and version of the shape.
const HEAD: &str = "ase-agent/resolvers/1";
/// A larger file is none of ours, in bytes: a hundred servers are 4 kB.
const LARGEST: u64 = 1 << 14;
/// A change is remembered so long: environments are restarted by maintenance, at the latest, within some weeks.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The servers in the resolver files.
    pub servers: Vec<IpAddr>,
    /// Those that DHCP handed out; `None` where no lease could be read.
    pub leased: Option<Vec<IpAddr>>,
    /// When one of these changed last, since the Unix epoch, in whole seconds.
    pub changed: Option<Duration>,
}

impl Memory {
    /// As a file.
    pub fn to_text(&self) -> String {
        let list = |servers: &[IpAddr]| servers.iter().map(|server| format!(" {server}")).collect::<String>();
        let mut text = format!("{HEAD}\nservers{}\n", list(&self.servers));
        if let Some(leased) = &self.leased {
            text.push_str(&format!("leased{}\n", list(leased)));
        }
        if let Some(changed) = self.changed {
            text.push_str(&format!("changed {}\n", changed.as_secs()));
        }
        text
    }

    /// Reads [`Memory::to_text`]; `None` where it is something else. Lines of a later version are passed over.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|head| *head == HEAD)?;
        let mut memory = Self::default();
        for line in lines {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            let servers = || rest.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<IpAddr>>>();
            match key {
                "servers" => memory.servers = servers()?,
                "leased" => memory.leased = Some(servers()?),
                "changed" => memory.changed = Some(Duration::from_secs(rest.parse().ok()?)),
                _ => {}
            }
        }
        Some(memory)
    }

    /// What the state directory remembers; `None` where that is nothing, or may not be read.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = String::from_utf8(regular_file::read(&folder.join(FILE), LARGEST).ok()?).ok()?;
        Self::from_text(&text)
    }

    /// Writes it in one step.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        regular_file::replace(&folder.join(FILE), self.to_text().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn memory() -> Memory {
        let servers = ["10.0.0.4", "fd00::4"].map(|text| text.parse().expect("an address")).to_vec();
        Memory { leased: Some(servers.clone()), servers, changed: Some(Duration::from_secs(1_800_000_000)) }
    }

    #[test]
    fn what_is_remembered_reads_back_and_something_else_is_nothing() {
        for memory in [memory(), Memory::default(), Memory { leased: Some(Vec::new()), ..Memory::default() }] {
            assert_eq!(Memory::from_text(&memory.to_text()), Some(memory));
        }
        let later = memory().to_text() + "reason somebody said so\n";
        assert_eq!(Memory::from_text(&later), Some(memory()));
        for text in ["", "servers 10.0.0.4", "ase-agent/resolvers/2\n", "ase-agent/resolvers/1\nservers x\n"] {
            assert_eq!(Memory::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_state_directory_keeps_it() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Memory::read(folder.path()), None);
        memory().write(folder.path()).expect("it is writable");
        assert_eq!(Memory::read(folder.path()), Some(memory()));
        fs::write(folder.path().join(FILE), b"\xff\xfe").expect("it is writable");
        assert_eq!(Memory::read(folder.path()), None);
    }

    #[test]
    fn a_pipe_in_the_place_of_the_draft_holds_nobody_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("resolvers.new");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        // Whoever opens it here waits for nobody: a failure is no hang.
        let _other_end = File::options().read(true).write(true).open(&pipe).expect("both ends at once");
        memory().write(folder.path()).expect("the pipe goes");
        assert_eq!(Memory::read(folder.path()), Some(memory()));
    }
}
