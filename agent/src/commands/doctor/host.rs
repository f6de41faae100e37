//! What the files of this machine say of it as a place to look from: whether its chassis is Azure's, whether the daemon's unit is
//! there and runs, where the daemon remembers. Nothing is sent and nothing is changed.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::readers::doctor::{StateDirectory, Unit};

/// The asset tag of every chassis of Azure's (azure.com, "Azure Linux VM Agent"; cloud-init knows Azure by it, too).
const CHASSIS: &str = "7783-7084-3265-9085-8269-3286-77";
/// Where the firmware's tables show it.
const TAG: &str = "sys/class/dmi/id/chassis_asset_tag";
/// Where units are, those of the administrator first (systemd.unit(5)).
const UNITS: [&str; 4] = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
const UNIT: &str = "ase-agent.service";
/// The control group of a unit is there while it runs.
const GROUPS: [&str; 2] = ["sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice"];
/// The state directory of the unit, where the configuration names none.
const STATE: &str = "/var/lib/ase-agent";
/// Bytes that are read of a tag.
const LONGEST: u64 = 256;

/// Whether this is a machine of Azure's, by its chassis.
pub(super) fn is_azure(root: &Path) -> bool {
    let mut tag = String::new();
    let read = fs::File::open(root.join(TAG)).and_then(|file| file.take(LONGEST).read_to_string(&mut tag));
    read.is_ok() && tag.trim() == CHASSIS
}

/// The unit of the daemon.
pub(super) fn unit(root: &Path) -> Unit {
    let file = UNITS.iter().map(|folder| root.join(folder).join(UNIT)).find(|file| file.exists());
    let is_running = GROUPS.iter().any(|group| root.join(group).join(UNIT).is_dir());
    Unit { file, is_running }
}

/// The directory in which the daemon remembers.
pub(super) fn state(configured: Option<&Path>) -> StateDirectory {
    let path = configured.map_or_else(|| PathBuf::from(STATE), Path::to_owned);
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => StateDirectory::Missing(path),
        Err(_) => StateDirectory::Closed(path),
        Ok(known) if !known.is_dir() => StateDirectory::Other(path),
        Ok(known) => StateDirectory::There(path, known.permissions().mode() & 0o002 != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder is writable");
            fs::write(file, text).expect("the folder is writable");
        }
        root
    }

    #[test]
    fn a_machine_of_azure_s_is_known_by_its_chassis_alone() {
        for (tag, expected) in [
            ("7783-7084-3265-9085-8269-3286-77\n", true),
            ("7783-7084-3265-9085-8269-3286-78\n", false),
            ("", false),
            ("No Asset Tag\n", false),
        ] {
            assert_eq!(is_azure(root(&[(TAG, tag)]).path()), expected, "{tag}");
        }
        assert!(!is_azure(root(&[]).path()), "a machine without such a file");
    }

    #[test]
    fn a_unit_is_found_where_systemd_looks_and_runs_while_it_has_a_group() {
        let empty = root(&[]);
        assert_eq!(unit(empty.path()), Unit::default());
        let installed = root(&[("usr/lib/systemd/system/ase-agent.service", "[Unit]\n")]);
        let found = unit(installed.path());
        assert!(found.file.is_some_and(|file| file.ends_with("usr/lib/systemd/system/ase-agent.service")));
        assert!(!found.is_running);
        let running = root(&[("sys/fs/cgroup/system.slice/ase-agent.service/cgroup.procs", "7\n")]);
        assert!(unit(running.path()).is_running);
    }

    #[test]
    fn a_state_directory_is_there_or_it_is_said_what_is_wrong() {
        let folder = root(&[("file", "")]);
        let path = folder.path().join("state");
        assert_eq!(state(Some(&path)), StateDirectory::Missing(path.clone()));
        fs::create_dir(&path).expect("the folder is writable");
        assert_eq!(state(Some(&path)), StateDirectory::There(path.clone(), false));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert_eq!(state(Some(&path)), StateDirectory::There(path, true));
        let file = folder.path().join("file");
        assert_eq!(state(Some(&file)), StateDirectory::Other(file));
    }
}
