//! Whether an endpoint is up for the risk: three confirmed bad samples in a row take it down, two good ones bring it
//! back. Pure. A sample that teaches nothing changes nothing.
//!
//! A bad sample counts only after the schedule's confirmation with a new socket failed too, so that one lost packet can
//! never make one. Whatever the agent's own machine prevented is no sample at all.

use ase_probes::{cause::Side, verdict::Verdict};

use crate::model::visit::Judgement;

/// Bad samples in a row that take an endpoint down.
pub const DOWN_AFTER: u8 = 3;
/// Good samples in a row that bring it back.
pub const UP_AFTER: u8 = 2;

/// What one confirmed visit says about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The peer proved itself.
    Good,
    /// It did not, and the confirmation did not either.
    Bad,
    /// Nothing was learned: neither good nor bad.
    Unknown,
}

impl Sample {
    /// The sample of a visit that needs no confirmation any more, by what it means.
    pub fn of(judged: Judgement) -> Self {
        match judged {
            Ok(Verdict::Healthy | Verdict::Degraded(_)) => Self::Good,
            Ok(Verdict::Failed(finding)) if finding.side == Side::Local => Self::Unknown,
            Ok(Verdict::Failed(_)) => Self::Bad,
            Ok(Verdict::Inconclusive(_)) | Err(_) => Self::Unknown,
        }
    }
}

/// How an endpoint counts towards its class's quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It works.
    Up,
    /// It is lost.
    Down,
    /// It cannot be tested now.
    Untested {
        /// Whether it was lost when it was last tested.
        was_down: bool,
    },
}

/// Where an endpoint stands after all its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Not enough samples yet.
    #[default]
    Unseen,
    /// Up.
    Up,
    /// Down.
    Down,
}

impl Standing {
    /// Returns the word used in the store.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Finds the standing with this word.
    pub fn from_label(label: &str) -> Option<Self> {
        [Self::Unseen, Self::Up, Self::Down].into_iter().find(|standing| standing.label() == label)
    }
}

/// One endpoint's samples, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hysteresis {
    /// Where it stands.
    pub standing: Standing,
    /// Bad samples in a row.
    pub bad: u8,
    /// Good samples in a row.
    pub good: u8,
    /// Whether the last sample taught something.
    pub tested: bool,
}

impl Hysteresis {
    /// Takes a sample. The first good one is enough for an endpoint that never stood.
    pub fn take(&mut self, sample: Sample) {
        match sample {
            Sample::Unknown => self.tested = false,
            Sample::Good => {
                (self.tested, self.bad, self.good) = (true, 0, self.good.saturating_add(1));
                if self.good >= UP_AFTER || self.standing == Standing::Unseen {
                    self.standing = Standing::Up;
                }
            }
            Sample::Bad => {
                (self.tested, self.good, self.bad) = (true, 0, self.bad.saturating_add(1));
                if self.bad >= DOWN_AFTER {
                    self.standing = Standing::Down;
                }
            }
        }
    }

    /// How it counts now.
    pub fn counted(&self) -> Counted {
        match (self.standing, self.tested) {
            (Standing::Up, true) => Counted::Up,
            (Standing::Down, true) => Counted::Down,
            (Standing::Unseen, _) | (Standing::Up, false) => Counted::Untested { was_down: false },
            (Standing::Down, false) => Counted::Untested { was_down: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &str) -> Counted {
        let mut hysteresis = Hysteresis::default();
        for letter in samples.chars() {
            hysteresis.take(match letter {
                'g' => Sample::Good,
                'b' => Sample::Bad,
                _ => Sample::Unknown,
            });
        }
        hysteresis.counted()
    }

    #[test]
    fn three_bad_take_down_two_good_bring_back_and_unknown_changes_nothing() {
        const UNSEEN: Counted = Counted::Untested { was_down: false };
        let rows = [
            ("", UNSEEN),
            ("g", Counted::Up),
            ("bb", UNSEEN),
            ("bbb", Counted::Down),
            ("gbb", Counted::Up),
            ("gbbgbb", Counted::Up),
            ("gbb?b", Counted::Down),
            ("bbbg", Counted::Down),
            ("bbbgg", Counted::Up),
            ("bbbgbg", Counted::Down),
            ("g?", UNSEEN),
            ("bbb?", Counted::Untested { was_down: true }),
        ];
        for (samples, expected) in rows {
            assert_eq!(after(samples), expected, "{samples}");
        }
    }

    #[test]
    fn every_standing_has_its_word() {
        for standing in [Standing::Unseen, Standing::Up, Standing::Down] {
            assert_eq!(Standing::from_label(standing.label()), Some(standing));
        }
        assert_eq!(Standing::from_label("sideways"), None);
    }
}
