//! What `ase-agent import environment` remembers under the state directory, read again when it changes, and never waited for
//! beyond the start.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ase_probes::{clock, errand::Errand, regular_file};

use crate::{
    imports::memory::{FILE, LARGEST, Memory},
    model::settings::Settings,
};

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long the start waits for it: a disk takes milliseconds, if it does not hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file as it is now: when it was changed, and what it says if it is a memory. `None` where it is as it was, or gone.
type FileState = Option<(SystemTime, Option<Memory>)>;

/// Looks at the file now and then.
#[derive(Debug)]
pub struct EnvironmentWatch {
    file: Option<PathBuf>,
    modified: Option<SystemTime>,
    looked: Instant,
    looking: Errand<FileState>,
    seen: Option<Arc<Memory>>,
}

impl EnvironmentWatch {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        let file = settings.state_dir.as_ref().map(|folder| folder.join(FILE));
        let mut watch = Self { file, modified: None, looked: clock::now(), looking: Errand::default(), seen: None };
        watch.send();
        watch.wait(PATIENCE);
        watch
    }

    /// The environment as it was imported last; none where it never was.
    pub fn seen(&self) -> Option<&Arc<Memory>> {
        self.seen.as_ref()
    }

    /// Takes in what the last look saw, and looks again if it is time.
    pub fn look(&mut self) {
        let seen = self.looking.result().flatten();
        self.take(seen);
        let now = clock::now();
        if now.duration_since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.send();
        }
    }

    fn send(&mut self) {
        let Some(file) = self.file.clone() else { return };
        let before = self.modified;
        self.looking.send(move || look(&file, before));
    }

    fn wait(&mut self, patience: Duration) {
        let seen = self.looking.wait(patience).flatten();
        self.take(seen);
    }

    fn take(&mut self, seen: FileState) {
        let (Some((modified, memory)), Some(file)) = (seen, &self.file) else { return };
        self.modified = Some(modified);
        let Some(memory) = memory else {
            tracing::warn!(file = %file.display(), "is no memory of an environment; what was known of it stays");
            return;
        };
        if memory.environment.suspended == Some(true) {
            tracing::error!(environment = memory.environment.name, "the environment is suspended, by its own word");
        }
        self.seen = Some(Arc::new(memory));
    }
}

fn look(file: &Path, before: Option<SystemTime>) -> FileState {
    let modified = fs::metadata(file).and_then(|about| about.modified()).ok().filter(|now| Some(*now) != before)?;
    let bytes = regular_file::read(file, LARGEST).ok();
    Some((modified, bytes.and_then(|bytes| Memory::from_json(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::environment::Environment;

    fn watch(file: PathBuf) -> EnvironmentWatch {
        let looking = Errand::default();
        EnvironmentWatch { file: Some(file), modified: None, looked: clock::now(), looking, seen: None }
    }

    fn read(watch: &mut EnvironmentWatch) {
        watch.send();
        watch.wait(Duration::from_secs(60));
    }

    #[test]
    fn a_file_is_read_when_it_changes_and_damage_keeps_what_was_known() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(FILE);
        let mut watch = watch(file.clone());
        read(&mut watch);
        assert!(watch.seen().is_none(), "there is none yet");
        let suspended = Environment { suspended: Some(true), ..Environment::default() };
        let (memory, _) = Memory::note(None, suspended, Duration::from_secs(7));
        fs::write(&file, memory.to_json()).expect("the folder is writable");
        read(&mut watch);
        assert_eq!(watch.seen().map(|seen| seen.environment.suspended), Some(Some(true)));
        fs::write(&file, "{").expect("the folder is writable");
        watch.modified = None;
        read(&mut watch);
        assert!(watch.seen().is_some());
    }
}
