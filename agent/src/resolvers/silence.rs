//! Counts how many names in a row a DNS server left unanswered; `names.rs` decides what is not asked for that.

use crate::resolvers::compare::{DnsOutcome, Server};

/// How many surveys in a row each side left without any answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    custom: usize,
    azure: usize,
}

impl Silence {
    /// Takes in how both sides answered for one name.
    pub(super) fn hear(&mut self, custom: DnsOutcome, azure: DnsOutcome) {
        let count = |before: usize, outcome| if outcome == DnsOutcome::Timeout { before.saturating_add(1) } else { 0 };
        (self.custom, self.azure) = (count(self.custom, custom), count(self.azure, azure));
    }

    /// The side that left so many names in a row unanswered, the custom DNS first.
    pub(super) fn side(self, names: usize) -> Option<Server> {
        if self.custom >= names {
            Some(Server::Custom)
        } else if self.azure >= names {
            Some(Server::Azure)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_silent_after_names_in_a_row_and_speaks_after_one_answer() {
        let mut silence = Silence::default();
        for (custom, azure, side) in [
            (DnsOutcome::Timeout, DnsOutcome::Answer, None),
            (DnsOutcome::Timeout, DnsOutcome::Answer, None),
            (DnsOutcome::Servfail, DnsOutcome::Timeout, None),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, None),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, Some(Server::Azure)),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, Some(Server::Custom)),
            (DnsOutcome::Nxdomain, DnsOutcome::Answer, None),
        ] {
            silence.hear(custom, azure);
            assert_eq!(silence.side(3), side, "{custom:?}, {azure:?}");
        }
    }
}
