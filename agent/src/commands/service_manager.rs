//! What the daemon tells systemd and takes from it: when it is ready, reloads or stops, how things stand in one sentence,
//! that its loop still turns, and the socket that it was started with (sd_notify(3), sd_watchdog_enabled(3),
//! sd_listen_fds(3)). Without systemd nothing is told and nothing is taken.

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::{engine::snapshot::Snapshot, readers::summary::Summary, witness::listener::Open};

/// A daemon is ready after its first round; units that are ordered after it wait no longer than this for it. The first
/// round of a healthy network takes 6 s, of one that is cut off 12 s with the default time-outs.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The sentence is looked at this often: counting 10 000 endpoints is no work for each of their visits.
const SENTENCE_EVERY: Duration = Duration::from_secs(1);
/// The watchdog is fed when this part of its time is over. sd_watchdog_enabled(3) recommends half; a third leaves room
/// for one beat of the loop that comes late.
const FEED_AT: u32 = 3;

/// What systemd knows of this daemon.
#[derive(Debug)]
pub struct ServiceManager {
    started: Instant,
    is_ready: bool,
    /// Reloads under way.
    is_reloading: bool,
    watchdog: Option<Duration>,
    fed: Instant,
    looked: Option<Instant>,
    /// Why the last reload was refused.
    refused: Option<String>,
    sentence: String,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl ServiceManager {
    /// Nothing was told yet. The sentence will be that of these snapshots.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, now: Instant) -> Self {
        Self {
            started: now,
            is_ready: false,
            is_reloading: false,
            watchdog: sd_notify::watchdog_enabled(),
            fed: now,
            looked: None,
            refused: None,
            sentence: String::new(),
            snapshots,
        }
    }

    /// The loop has turned once more.
    pub fn turned(&mut self, now: Instant) {
        let words = self.due(now);
        tell(&words.iter().map(Word::state).collect::<Vec<_>>());
    }

    /// The configuration is being read again.
    pub fn reloading(&mut self) {
        if !self.is_reloading {
            self.is_reloading = true;
            tell(&[NotifyState::Reloading]);
        }
    }

    /// The configuration was read, and taken in force or not.
    pub fn reloaded(&mut self, result: &Result<(), String>) {
        self.is_reloading = false;
        self.looked = None;
        self.refused = result.as_ref().err().map(|error| first_line(error).to_owned());
        tell(&[NotifyState::Ready]);
    }

    /// No more visits begin.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// What is to be told now.
    fn due(&mut self, now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        if self.watchdog.is_some_and(|patience| now.duration_since(self.fed) >= patience / FEED_AT) {
            self.fed = now;
            words.push(Word::Alive);
        }
        if self.looked.is_some_and(|looked| now.duration_since(looked) < SENTENCE_EVERY) {
            return words;
        }
        self.looked = Some(now);
        let is_late = now.duration_since(self.started) >= READY_WITHIN;
        let (summary, is_round_over) = {
            let snapshot = self.snapshots.borrow();
            (Summary::of(&snapshot), snapshot.agent.ready)
        };
        if !self.is_ready && (is_round_over || is_late) {
            self.is_ready = true;
            words.push(Word::Ready);
        }
        let standing = if is_round_over { summary.sentence() } else { "the first round is under way".to_owned() };
        let sentence = match &self.refused {
            Some(error) => format!("{standing}; the configuration in force is an old one: {error}"),
            None => standing,
        };
        if sentence != self.sentence {
            self.sentence.clone_from(&sentence);
            words.push(Word::Sentence(sentence));
        }
        words
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Ready,
    Alive,
    Sentence(String),
}

impl Word {
    fn state(&self) -> NotifyState<'_> {
        match self {
            Self::Ready => NotifyState::Ready,
            Self::Alive => NotifyState::Watchdog,
            Self::Sentence(sentence) => NotifyState::Status(sentence),
        }
    }
}

/// A status is one line (sd_notify(3)).
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn tell(states: &[NotifyState<'_>]) {
    if !states.is_empty()
        && let Err(error) = sd_notify::notify(states)
    {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// The socket that systemd opened for the web server, if it did; it must be asked before any thread is started, as the
/// variables that tell it are removed.
///
/// # Errors
/// Several sockets, or one that is no TCP listener.
pub fn socket() -> io::Result<Option<TcpListener>> {
    let mut given = ListenFd::from_env();
    if given.len() > 1 {
        let text = format!("{} sockets were passed, and the web server takes one", given.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = given.take_tcp_listener(0)?;
    listener.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
    Ok(listener)
}

/// The sockets that systemd opened for a witness; asked before any thread is started, too.
///
/// # Errors
/// A socket that is neither a TCP listener nor a UDP socket.
pub fn sockets() -> io::Result<Vec<Open>> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for place in 0..given.len() {
        match given.take_tcp_listener(place) {
            Ok(listener) => sockets.extend(listener.map(Open::adopt_tcp).transpose()?),
            Err(_) => sockets.extend(given.take_udp_socket(place)?.map(Open::adopt_udp).transpose()?),
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use ase_probes::clock;

    use super::*;
    use crate::sample;

    fn manager(watchdog: Option<Duration>, now: Instant) -> (ServiceManager, watch::Sender<Arc<Snapshot>>) {
        let mut snapshot = sample::snapshot();
        snapshot.agent.ready = false;
        let (sender, snapshots) = watch::channel(Arc::new(snapshot));
        (ServiceManager { watchdog, ..ServiceManager::new(snapshots, now) }, sender)
    }

    #[test]
    fn a_daemon_is_ready_after_its_first_round_and_says_how_things_stand_when_that_changes() {
        let now = clock::now();
        let (mut manager, snapshots) = manager(None, now);
        assert_eq!(manager.due(now), [Word::Sentence("the first round is under way".to_owned())]);
        assert_eq!(manager.due(now + SENTENCE_EVERY), []);
        snapshots.send_modify(|snapshot| Arc::make_mut(snapshot).agent.ready = true);
        let sentence = Summary::of(&snapshots.borrow()).sentence();
        assert_eq!(manager.due(now + SENTENCE_EVERY * 2), [Word::Ready, Word::Sentence(sentence)]);
        assert_eq!(manager.due(now + SENTENCE_EVERY * 3), []);
    }

    #[test]
    fn a_first_round_that_does_not_end_holds_nobody_up_for_ever() {
        let now = clock::now();
        let (mut manager, _snapshots) = manager(None, now);
        assert!(!manager.due(now + READY_WITHIN - SENTENCE_EVERY).contains(&Word::Ready));
        assert!(manager.due(now + READY_WITHIN).contains(&Word::Ready));
    }

    #[test]
    fn the_watchdog_is_fed_in_time_and_only_when_the_loop_turns() {
        let (now, patience) = (clock::now(), Duration::from_secs(30));
        let (mut manager, _snapshots) = manager(Some(patience), now);
        let fed: Vec<u64> =
            (0..60).filter(|second| manager.due(now + Duration::from_secs(*second)).contains(&Word::Alive)).collect();
        assert_eq!(fed, [10, 20, 30, 40, 50]);
        assert_eq!(
            manager.due(now + Duration::from_secs(600))[0],
            Word::Alive,
            "a loop that hung feeds when it goes on"
        );
    }

    #[test]
    fn without_a_watchdog_nothing_is_fed() {
        let now = clock::now();
        let (mut manager, _snapshots) = manager(None, now);
        assert!((0..60).all(|second| !manager.due(now + Duration::from_secs(second)).contains(&Word::Alive)));
    }

    #[test]
    fn a_reload_that_was_refused_stays_in_the_status_until_one_succeeds() {
        let now = clock::now();
        let (mut manager, _snapshots) = manager(None, now);
        manager.reloaded(&Err("agent.yaml:3: unknown key\nagent.yaml:9: too long".to_owned()));
        let refused =
            "the first round is under way; the configuration in force is an old one: agent.yaml:3: unknown key";
        assert_eq!(manager.due(now), [Word::Sentence(refused.to_owned())]);
        assert_eq!(manager.due(now + SENTENCE_EVERY), []);
        manager.reloaded(&Ok(()));
        assert_eq!(manager.due(now), [Word::Sentence("the first round is under way".to_owned())]);
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(first_line("agent.yaml:3: unknown key\nagent.yaml:9: too long"), "agent.yaml:3: unknown key");
        assert_eq!(first_line(""), "");
    }
}
