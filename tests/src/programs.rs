//! What the lab hands to an unprivileged process, in a place where that user can read it: this checkout may lie in a
//! private home (0700), or be built under a private umask.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::namespace;

/// The program under test.
pub const AGENT: &str = "ase-agent";
/// The programs of this workspace, which lie beside each other in cargo's folder.
const OWN: [&str; 2] = [AGENT, "ase-lab"];
/// The folder of programs in the guest's folder.
const BIN: &str = "bin";
/// The folder of other files that came along, in the guest's folder.
const BROUGHT: &str = "brought";
/// What others need on a folder on the way to a file: the right to pass.
const MAY_PASS: u32 = 0o001;
/// What others need on a file: the right to read.
const MAY_READ: u32 = 0o004;

/// The folder of the running program, where cargo puts the agent too.
fn own_folder() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    Ok(program.parent().context("a file lies in a folder")?.to_owned())
}

/// Builds the agent beside this program, with cargo and in the same profile.
///
/// # Errors
/// When cargo is missing or the agent does not build.
pub fn build_agent() -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Beside the lab, since for the agent alone dependencies would be compiled anew with fewer features.
    let lab = env!("CARGO_PKG_NAME");
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "-p", lab, "-p", AGENT, "--bin", AGENT]);
    // `cargo run` tells the lab of its package; a build script that looks at this would run again, back and forth.
    let is_told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_told)) {
        cargo.env_remove(name);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().context("cannot run cargo, which builds the agent")?;
    ensure!(status.success(), "the agent does not build");
    Ok(())
}

/// The variables that the shipped unit sets (`Environment=NAME=VALUE`): what is measured is what runs.
pub(crate) fn environment_of_unit() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../systemd/ase-agent.service");
    unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}

/// Makes sure that the agent is there before a world is built for it.
///
/// # Errors
/// When it is not, with what to do.
pub fn need_agent() -> Result<()> {
    let file = own_folder()?.join(AGENT);
    if !file.is_file() {
        bail!("{} is missing: run `cargo build`, or start the lab as `cargo lab`, which builds it", file.display());
    }
    Ok(())
}

/// Whether a command speaks of the agent, as its program or in a script.
pub fn names_agent(words: &[OsString]) -> bool {
    words.iter().any(|word| word.to_string_lossy().contains(AGENT))
}

/// A folder in which everybody may write, where everybody can reach it; gone when it is dropped.
///
/// # Errors
/// When there is no such place.
pub fn open_folder() -> Result<tempfile::TempDir> {
    let places = [env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let place = places.iter().find(|place| may_pass(place));
    let place = place.context("the lab needs a temporary folder that everybody may enter: set TMPDIR to one")?;
    let folder = tempfile::Builder::new().prefix("ase-lab-").tempdir_in(place)?;
    for path in [folder.path().to_owned(), folder.path().join(BIN), folder.path().join(BROUGHT)] {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    }
    Ok(folder)
}

/// Whether everybody may pass a folder and all above it.
fn may_pass(folder: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else { return false };
    folder.ancestors().all(|above| has(above, MAY_PASS))
}

fn has(path: &Path, right: u32) -> bool {
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & right == right)
}

/// Brings the programs of this workspace into the guest's folder. It must be called in the guest's own mount namespace,
/// before its rights are dropped.
///
/// # Errors
/// When one that is there cannot be brought.
pub fn bring_own(folder: &Path) -> Result<()> {
    let own = own_folder()?;
    for file in OWN.map(|name| own.join(name)).iter().filter(|file| file.is_file()) {
        bring(file, &folder.join(BIN))?;
    }
    Ok(())
}

/// Brings every file that a command names and that others cannot read, and returns the command with the new paths.
///
/// # Errors
/// When one cannot be brought.
pub fn bring_named(folder: &Path, words: &[OsString]) -> Result<Vec<OsString>> {
    let mut brought = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let file = Path::new(word);
        // A program without a path is searched for; what lies in the guest's folder is there for everybody.
        let is_path = index > 0 || file.components().count() > 1;
        if is_path && file.is_file() && !file.starts_with(folder) && !is_open(file) {
            let place = folder.join(BROUGHT).join(index.to_string());
            fs::create_dir(&place).with_context(|| format!("cannot make {}", place.display()))?;
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
            brought.push(bring(file, &place)?.into_os_string());
        } else {
            brought.push(word.clone());
        }
    }
    Ok(brought)
}

/// Whether everybody can reach and read a file.
fn is_open(file: &Path) -> bool {
    let folder = fs::canonicalize(file).ok().and_then(|file| file.parent().map(Path::to_owned));
    has(file, MAY_READ) && folder.is_some_and(|folder| may_pass(&folder))
}

/// Puts a file into a folder: the file itself where others may read it, so that nothing is copied, else a copy.
fn bring(file: &Path, folder: &Path) -> Result<PathBuf> {
    let target = folder.join(file.file_name().context("a file has a name")?);
    if has(file, MAY_READ) {
        fs::write(&target, "").with_context(|| format!("cannot write {}", target.display()))?;
        namespace::put_over(file, &target)?;
    } else {
        fs::copy(file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
        let mode = fs::metadata(file)?.permissions().mode();
        let rights = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(&target, fs::Permissions::from_mode(rights))?;
    }
    Ok(target)
}

/// The search path of the guest: the programs that were brought, then the system's.
pub fn search_path(folder: &Path) -> OsString {
    let mut path = folder.join(BIN).into_os_string();
    path.push(":/usr/sbin:/sbin:");
    path.push(env::var_os("PATH").as_deref().unwrap_or(OsStr::new("/usr/bin:/bin")));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_closes_what_is_in_it() {
        let folder = open_folder().expect("a temporary folder");
        let (inner, file) = (folder.path().join("home"), folder.path().join("home/file"));
        fs::create_dir(&inner).expect("the folder is writable");
        fs::write(&file, "text").expect("the folder is writable");
        let rights = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        for (of_folder, of_file, open) in
            [(0o755, 0o644, true), (0o711, 0o644, true), (0o700, 0o644, false), (0o755, 0o600, false)]
        {
            rights(&inner, of_folder);
            rights(&file, of_file);
            assert_eq!(is_open(&file), open, "{of_folder:o} {of_file:o}");
        }
    }

    #[test]
    fn a_command_names_the_agent_as_its_program_or_in_a_script() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(names_agent(&words(&["ase-agent", "check"])));
        assert!(names_agent(&words(&["sh", "-c", "sleep 1; ase-agent check"])));
        assert!(!names_agent(&words(&["dig", "management.azure.com"])));
    }
}
