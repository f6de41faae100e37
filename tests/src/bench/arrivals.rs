//! When which simulated server was asked: the account of probes that no tool under test keeps itself.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ase_probes::clock;

/// A stretch of time since the start of the bench.
pub(super) type Window = std::ops::Range<Duration>;

/// All arrivals so far.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    start: Instant,
    servers: Arc<Mutex<BTreeMap<SocketAddr, Vec<Duration>>>>,
}

/// What arrived in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Connections or questions.
    pub(super) count: u64,
    /// By how much the gaps between two arrivals at one server missed the interval, in order of size.
    pub(super) gap_errors: Vec<Duration>,
}

impl Arrivals {
    /// Nothing has arrived.
    pub(super) fn new() -> Self {
        Self { start: clock::now(), servers: Arc::default() }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes an arrival at a server.
    pub(super) fn note(&self, server: SocketAddr) {
        self.lock().entry(server).or_default().push(self.start.elapsed());
    }

    /// What arrived in a window, where each server is asked once in an interval.
    pub(super) fn within(&self, window: &Window, interval: Duration) -> Seen {
        let servers = self.lock();
        let mut seen = Seen::default();
        for times in servers.values() {
            seen.count += times.iter().filter(|at| window.contains(*at)).count() as u64;
            seen.gap_errors.extend(gap_errors(times, window, interval));
        }
        seen.gap_errors.sort();
        seen
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Duration>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far each gap that ends in the window is from the interval.
fn gap_errors(times: &[Duration], window: &Window, interval: Duration) -> impl Iterator<Item = Duration> {
    let gaps = times.windows(2).filter(|pair| window.contains(&pair[1]));
    gaps.map(move |pair| (pair[1] - pair[0]).abs_diff(interval))
}

/// The value below which this share of sorted values lies, by the nearest rank; `None` of nothing.
pub(super) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_gap_counts_where_it_ends_and_a_missing_probe_makes_a_long_one() {
        let times = [MS(0), MS(1000), MS(2003), MS(4003)];
        let errors: Vec<Duration> = gap_errors(&times, &(MS(1500)..MS(5000)), MS(1000)).collect();
        assert_eq!(errors, [MS(3), MS(1000)]);
    }

    #[test]
    fn arrivals_are_counted_within_the_window_and_by_server() {
        let arrivals = Arrivals::new();
        let servers = [1, 2].map(|last| SocketAddr::from(([198, 18, 1, last], 80)));
        servers.into_iter().for_each(|server| arrivals.note(server));
        arrivals.note(servers[0]);
        let seen = arrivals.within(&(Duration::ZERO..MS(3_600_000)), MS(0));
        assert_eq!((seen.count, seen.gap_errors.len()), (3, 1));
        assert_eq!(arrivals.within(&(MS(3_600_000)..MS(3_600_001)), MS(0)), Seen::default());
    }

    #[test]
    fn a_quantile_is_the_value_of_the_nearest_rank() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(
            (quantile(&hundred, 0.5), quantile(&hundred, 0.99), quantile(&hundred, 1.0)),
            (Some(50), Some(99), Some(100))
        );
        assert_eq!((quantile(&[7], 0.5), quantile::<u32>(&[], 0.5)), (Some(7), None));
    }
}
