//! A store that is open: its directory, the lock in it, the database, what was damaged there and is set aside, and whether the
//! directory still leads to these very files. Whoever removes a directory takes nothing from a program that has its files open, so
//! only a look can tell.

use std::{
    fs::{self, File},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    FILE, LOCK, StoreError,
    addresses::Addresses,
    aside,
    database::Database,
    rows::{IncidentRow, StateRow},
};

/// By what a file is known to be the same one: device and inode.
type Identity = (u64, u64);

/// What an earlier process left in a store.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    pub(super) state: Option<StateRow>,
    pub(super) incidents: Vec<IncidentRow>,
    pub(super) addresses: Addresses,
}

/// The open files.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) database: Database,
    _lock: File,
    files: [(PathBuf, Option<Identity>); 2],
}

impl Place {
    /// Opens the store below `folder`, which is made where it is missing. `now` is the wall clock, for the name of what
    /// is set aside.
    pub(super) fn open(folder: &Path, now: Duration) -> Result<(Self, Recalled), StoreError> {
        fs::create_dir_all(folder).map_err(io("make", folder))?;
        let (lock_path, path) = (folder.join(LOCK), folder.join(FILE));
        for path in [&lock_path, &path] {
            // A pipe would be waited for.
            if fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo()) {
                return Err(io("open", path)(std::io::Error::other("it is a pipe")));
            }
        }
        let lock = File::options().create(true).append(true).open(&lock_path).map_err(io("open", &lock_path))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => StoreError::Locked { path: lock_path.clone() },
            fs::TryLockError::Error(source) => io("lock", &lock_path)(source),
        })?;
        let opened = open_or_set_aside(&path, now)?;
        let files = [lock_path, path].map(|path| (path.clone(), identity(&path)));
        let recalled =
            Recalled { state: opened.state, incidents: opened.incidents, addresses: Addresses::read(folder) };
        Ok((Self { database: opened.database, _lock: lock, files }, recalled))
    }

    /// Whether the paths still lead to the files that are open.
    pub(super) fn is_there(&self) -> bool {
        self.files.iter().all(|(path, was)| was.is_some() && identity(path) == *was)
    }
}

/// A store that was checked, and what an earlier process left in it.
#[derive(Debug)]
struct Opened {
    database: Database,
    state: Option<StateRow>,
    incidents: Vec<IncidentRow>,
}

/// Opens the store, or sets aside what is there and opens an empty one.
fn open_or_set_aside(path: &Path, now: Duration) -> Result<Opened, StoreError> {
    let why = match open(path) {
        Ok(opened) => return Ok(opened),
        Err(StoreError::Damaged { path, what }) => {
            tracing::warn!(path = %path.display(), what, "the store is damaged; clocks and history begin anew");
            "damaged"
        }
        Err(StoreError::Newer { path, found, known }) => {
            tracing::warn!(path = %path.display(), found, known, "a newer agent wrote the store; clocks and history begin anew");
            "newer"
        }
        Err(error) => return Err(error),
    };
    let moved = aside::set_aside(path, why, now);
    let moved = moved.map_err(|source| StoreError::Io { operation: "set aside", path: path.to_owned(), source })?;
    tracing::warn!(path = %moved.display(), "the old store was set aside");
    open(path)
}

fn open(path: &Path) -> Result<Opened, StoreError> {
    let database = Database::open(path)?;
    Ok(Opened { state: database.state()?, incidents: database.open_incidents()?, database })
}

/// The error of a step at a path.
pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { operation, path, source }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}
