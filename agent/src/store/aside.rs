//! Sets a store aside that cannot be used, under a name that says why and when. At most five remain.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Remains that are kept; the oldest goes first.
const KEPT: usize = 5;
/// The files that a store consists of.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Renames the store at `path` and what belongs to it, and returns its new name.
///
/// # Errors
/// When the store itself cannot be renamed.
pub(super) fn set_aside(path: &Path, why: &str, now: Duration) -> io::Result<PathBuf> {
    let mut name = with_suffix(path, &format!(".{why}-{}", now.as_secs()));
    let mut number = 1;
    while name.exists() {
        number += 1;
        name = with_suffix(path, &format!(".{why}-{}-{number}", now.as_secs()));
    }
    for part in PARTS {
        match fs::rename(with_suffix(path, part), with_suffix(&name, part)) {
            Err(error) if part.is_empty() => return Err(error),
            // The journal is not always there.
            Ok(()) | Err(_) => {}
        }
    }
    if let Some(folder) = path.parent() {
        prune(folder);
    }
    Ok(name)
}

/// How many stores were set aside in this directory, as far as their remains are still there.
pub(super) fn remains(folder: &Path) -> u64 {
    stores(folder).len() as u64
}

fn prune(folder: &Path) {
    let stores = stores(folder);
    for path in stores.iter().take(stores.len().saturating_sub(KEPT)) {
        PARTS.iter().for_each(|part| drop(fs::remove_file(with_suffix(path, part))));
    }
}

/// The remains, the oldest first.
fn stores(folder: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mine = [".damaged-", ".newer-"].iter().any(|why| name.starts_with(&format!("{}{why}", super::FILE)));
        mine && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_one)
        .collect();
    let age = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    found.sort_by_key(|path| (age(path), path.clone()));
    found
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
