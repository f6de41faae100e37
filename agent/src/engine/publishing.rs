//! When a snapshot is published. A change waits a little for others, so that the cost does not grow with the number of
//! visits; what must not wait is told at once. It takes the time and reads no clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::snapshot::Snapshot;

/// How long a change waits for others. No reader looks oftener than once a second; a person notices from 100 ms on.
pub const PACE: Duration = Duration::from_millis(100);

/// The way from the loop to the readers.
#[derive(Debug)]
pub struct Publisher {
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// How many were published after the first.
    published: u64,
    due: Option<Instant>,
}

impl Publisher {
    /// Publishes a first snapshot.
    pub fn new(first: Snapshot) -> Self {
        Self { snapshots: watch::Sender::new(Arc::new(first)), published: 0, due: None }
    }

    /// A receiver of every snapshot to come; it holds the latest one already.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Notes that something changed, which may wait for [`PACE`].
    pub fn changed(&mut self, now: Instant) {
        self.due.get_or_insert(now + PACE);
    }

    /// Notes that something changed which must not wait.
    pub fn hurry(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
    }

    /// When the next snapshot is due; `None` while the latest one tells everything.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is due now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Publishes a snapshot under the next number.
    pub fn publish(&mut self, snapshot: Snapshot) {
        self.due = None;
        self.published += 1;
        self.snapshots.send_replace(Arc::new(Snapshot { number: self.published, ..snapshot }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use ase_probes::clock;

    #[test]
    fn changes_are_told_together_and_urgent_ones_at_once() {
        let (mut publisher, start) = (Publisher::new(sample::snapshot()), clock::now());
        assert_eq!(publisher.due(), None);
        publisher.changed(start);
        publisher.changed(start + PACE / 2);
        assert_eq!(publisher.due(), Some(start + PACE), "later changes do not put it off");
        assert!(!publisher.is_due(start + PACE / 2) && publisher.is_due(start + PACE));
        publisher.hurry(start + PACE / 2);
        assert!(publisher.is_due(start + PACE / 2));
        publisher.publish(sample::snapshot());
        assert_eq!(publisher.due(), None);
    }

    #[test]
    fn snapshots_are_numbered_in_their_order_whatever_the_clock_says() {
        let mut publisher = Publisher::new(sample::snapshot());
        let snapshots = publisher.subscribe();
        let mut seen = vec![snapshots.borrow().number];
        for millis in [0, 500, 100] {
            let mut next = sample::snapshot();
            next.at += Duration::from_millis(millis);
            publisher.publish(next);
            seen.push(snapshots.borrow().number);
        }
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn no_flood_of_changes_publishes_more_than_ten_times_a_second() {
        let (mut publisher, start) = (Publisher::new(sample::large(1)), clock::now());
        let published = (0..10_000u32).filter(|millis| {
            let now = start + Duration::from_millis(u64::from(*millis));
            publisher.changed(now);
            let is_due = publisher.is_due(now);
            if is_due {
                publisher.publish(sample::large(1));
            }
            is_due
        });
        assert!(published.count() <= 100);
    }
}
