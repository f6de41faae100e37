//! What `ase-agent import environment` remembers under the state directory, read again when it changes.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ase_probes::{clock, regular_file};

use crate::{
    imports::memory::{FILE, LARGEST, Memory},
    model::settings::Settings,
};

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks at the file now and then.
#[derive(Debug)]
pub struct EnvironmentWatch {
    file: Option<PathBuf>,
    modified: Option<SystemTime>,
    looked: Instant,
    seen: Option<Arc<Memory>>,
}

impl EnvironmentWatch {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        let file = settings.state_dir.as_ref().map(|folder| folder.join(FILE));
        let mut watch = Self { file, modified: None, looked: clock::now(), seen: None };
        watch.read();
        watch
    }

    /// The environment as it was imported last; none where it never was.
    pub fn seen(&self) -> Option<&Arc<Memory>> {
        self.seen.as_ref()
    }

    /// Looks again if it is time.
    pub fn look(&mut self) {
        let now = clock::now();
        if now.duration_since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.read();
        }
    }

    fn read(&mut self) {
        let Some(file) = &self.file else { return };
        let modified = fs::metadata(file).and_then(|about| about.modified()).ok();
        if modified.is_none() || modified == self.modified {
            return;
        }
        self.modified = modified;
        let Some(memory) = regular_file::read(file, LARGEST).ok().and_then(|bytes| Memory::from_json(&bytes)) else {
            tracing::warn!(file = %file.display(), "is no memory of an environment; what was known of it stays");
            return;
        };
        if memory.environment.suspended == Some(true) {
            tracing::error!(environment = memory.environment.name, "the environment is suspended, by its own word");
        }
        self.seen = Some(Arc::new(memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::environment::Environment;

    fn watch(file: PathBuf) -> EnvironmentWatch {
        EnvironmentWatch { file: Some(file), modified: None, looked: clock::now(), seen: None }
    }

    #[test]
    fn a_file_is_read_when_it_changes_and_damage_keeps_what_was_known() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(FILE);
        let mut watch = watch(file.clone());
        watch.read();
        assert!(watch.seen().is_none(), "there is none yet");
        let suspended = Environment { suspended: Some(true), ..Environment::default() };
        let (memory, _) = Memory::note(None, suspended, Duration::from_secs(7));
        fs::write(&file, memory.to_json()).expect("the folder is writable");
        watch.read();
        assert_eq!(watch.seen().map(|seen| seen.environment.suspended), Some(Some(true)));
        fs::write(&file, "{").expect("the folder is writable");
        watch.modified = None;
        watch.read();
        assert!(watch.seen().is_some());
    }
}
