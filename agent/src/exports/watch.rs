//! Reads exported files on a thread of its own, again when one is another than before; a bad new file keeps the judgement of
//! the old ones, and says so.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use crate::{
    exports::{
        disk::{self, Print},
        judged::{Judged, judged},
        view::Reading,
    },
    model::{catalog::Catalog, exports::Exports, settings::Settings},
};

/// Time between two looks at the files: that of the looks at this machine.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a reading brought.
type Brought = Result<Arc<Judged>, Vec<String>>;

/// What is read and how it is judged.
#[derive(Clone, Debug, PartialEq)]
struct Task {
    exports: Exports,
    catalog: Arc<Catalog>,
    /// The address that packets leave from.
    stands: Option<IpAddr>,
}

/// The watch over the exports of a configuration.
#[derive(Debug)]
pub struct ExportsWatch {
    task: Task,
    reading: Reading,
    brought: Receiver<Brought>,
    /// Whatever is sent wakes the thread, which ends when this is gone.
    tasks: Sender<Task>,
}

impl ExportsWatch {
    /// Begins to read; `None` where the configuration names no exports, or this machine gives no thread for it.
    pub fn start(settings: &Settings, stands: Option<IpAddr>) -> Option<Self> {
        let (exports, catalog) = (settings.exports.clone()?, Arc::clone(&settings.catalog));
        let task = Task { exports, catalog, stands };
        let ((tasks, orders), (bring, brought)) = (mpsc::channel(), mpsc::channel());
        let first = task.clone();
        let run = move || watch(first, &orders, &bring);
        let started = thread::Builder::new().name("exports".to_owned()).spawn(run);
        if let Err(error) = started {
            tracing::warn!(%error, "exported files cannot be read: no thread");
            return None;
        }
        Some(Self { task, reading: Reading::default(), brought, tasks })
    }

    /// Goes on under other settings: everything is read again. What was judged stays in force until then, if the files are
    /// still the same ones.
    pub fn reload(before: Option<Self>, settings: &Settings, stands: Option<IpAddr>) -> Option<Self> {
        let mut next = Self::start(settings, stands)?;
        if let Some(before) = before.filter(|before| before.task.exports.files == next.task.exports.files) {
            next.reading = before.reading;
        }
        Some(next)
    }

    /// Takes in what was read meanwhile. `stands` is the address that packets leave from now.
    pub fn look(&mut self, stands: Option<IpAddr>) {
        while let Ok(brought) = self.brought.try_recv() {
            self.take(brought);
        }
        if stands.is_some() && stands != self.task.stands {
            self.task.stands = stands;
            // The thread is gone only with this program.
            drop(self.tasks.send(self.task.clone()));
        }
    }

    /// Waits for the first reading, at most so long.
    pub fn wait(&mut self, patience: Duration) {
        if self.reading.judged.is_none() && self.reading.wrong.is_empty() {
            match self.brought.recv_timeout(patience) {
                Ok(brought) => self.take(brought),
                Err(_) => self.reading.wrong = vec!["exports: the files were not read in time".to_owned()],
            }
        }
    }

    /// What is known of the files.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    fn take(&mut self, brought: Brought) {
        match brought {
            Ok(judged) => {
                tracing::info!(
                    files = judged.files.len(),
                    findings = judged.report.findings.len(),
                    threats = judged.threats().count(),
                    "exported rules and routes judged"
                );
                self.reading = Reading { judged: Some(judged), wrong: Vec::new() };
            }
            Err(wrong) => {
                let kept = self.reading.judged.is_some();
                wrong.iter().for_each(|wrong| tracing::warn!(kept, "{wrong}"));
                self.reading.wrong = wrong;
            }
        }
    }
}

/// Reads whenever a file is another than before or the task is, until nobody wants it any more.
fn watch(mut task: Task, orders: &Receiver<Task>, bring: &Sender<Brought>) {
    let mut seen: Option<Vec<Print>> = None;
    loop {
        let prints = || task.exports.files.iter().map(|file| Print::of(&file.path)).collect::<Vec<_>>();
        let before = prints();
        if seen.as_ref() != Some(&before) {
            let brought = disk::read(&task.exports.files)
                .map(|read| Arc::new(judged(&task.exports, &task.catalog, read, task.stands)));
            if bring.send(brought).is_err() {
                return;
            }
            // What is written while it is read shows at the next look.
            seen = Some(before);
        }
        match orders.recv_timeout(LOOK_EVERY) {
            Ok(next) => (task, seen) = (next, None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config;

    /// Longer than any reading takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    const DENY: &str = r#"{"name": "ase-nsg", "securityRules": [{"name": "Deny", "priority": 4000, "direction": "Outbound",
        "access": "Deny", "protocol": "*", "sourceAddressPrefix": "*", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "*"}]}"#;

    fn settings(folder: &Path) -> Settings {
        let file = folder.join("ase-agent.yaml");
        fs::write(&file, "exports: {nsg: nsg.json, subnet: 10.0.1.0/24}\n").expect("it is written");
        config::load(Some(&file)).expect("it is good")
    }

    /// Wakes the thread and waits for what it brings.
    fn next(watch: &mut ExportsWatch) {
        watch.tasks.send(watch.task.clone()).expect("the thread lives");
        let brought = watch.brought.recv_timeout(PATIENCE).expect("it brings something");
        watch.take(brought);
    }

    fn groups(reading: &Reading) -> usize {
        reading.judged.as_ref().map_or(0, |judged| judged.report.findings.len())
    }

    #[test]
    fn a_bad_new_file_keeps_the_old_judgement_and_says_so_until_it_is_good_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("nsg.json");
        fs::write(&file, DENY).expect("it is written");
        let settings = settings(folder.path());
        let mut watch = ExportsWatch::start(&settings, None).expect("exports are named");
        watch.wait(PATIENCE);
        let before = groups(watch.reading());
        assert!(before > 0 && watch.reading().wrong.is_empty(), "{:?}", watch.reading().wrong);
        for (bad, words) in
            [("", "is empty"), ("{", "cannot be judged: no JSON"), (r#"{"routes": []}"#, "holds something else")]
        {
            fs::write(&file, bad).expect("it is written");
            next(&mut watch);
            assert_eq!(groups(watch.reading()), before, "the old judgement stays");
            assert!(watch.reading().wrong[0].contains(words), "{:?}", watch.reading().wrong);
        }
        fs::remove_file(&file).expect("it is removed");
        next(&mut watch);
        assert!(watch.reading().judged.is_some() && watch.reading().wrong[0].contains("exports.nsg ("));
        fs::write(&file, DENY.replace("4000", "300")).expect("it is written");
        next(&mut watch);
        assert!(watch.reading().wrong.is_empty());
    }

    #[test]
    fn a_reload_keeps_the_judgement_of_the_same_files_until_they_are_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("nsg.json"), DENY).expect("it is written");
        let settings = settings(folder.path());
        let mut watch = ExportsWatch::start(&settings, None).expect("exports are named");
        watch.wait(PATIENCE);
        let watch = ExportsWatch::reload(Some(watch), &settings, None).expect("exports are named");
        assert!(watch.reading().judged.is_some());
        let without = Settings { exports: None, ..settings.clone() };
        assert!(ExportsWatch::reload(Some(watch), &without, None).is_none());
        let mut others = settings;
        others.exports.iter_mut().for_each(|exports| exports.files[0].path = folder.path().join("other.json"));
        let mut watch = ExportsWatch::reload(None, &others, None).expect("exports are named");
        watch.wait(PATIENCE);
        assert!(watch.reading().judged.is_none() && watch.reading().wrong[0].contains("other.json"));
    }
}
