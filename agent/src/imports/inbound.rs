//! How the management addresses that an environment lists differ from the documented ones.

use crate::lint::{addresses::AddressSet, read::InboundEntry, requirements::Management};

/// Counts of addresses, of an environment that lists its management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagementList {
    /// Listed by the environment.
    pub listed: u128,
    /// Listed, and not documented.
    pub not_documented: u128,
    /// Documented, and not listed.
    pub not_listed: u128,
}

impl ManagementList {
    /// Compares what an environment lists; none where it lists no management.
    pub fn of(entries: &[InboundEntry], management: &Management) -> Option<Self> {
        let own = entries.iter().filter(|entry| entry.description.to_ascii_lowercase().contains("management"));
        let listed = own.fold(AddressSet::default(), |all, entry| all.union(&AddressSet::of(&entry.endpoints)));
        let documented = management.set();
        (!listed.is_empty()).then(|| Self {
            listed: listed.count(),
            not_documented: listed.minus(&documented).count(),
            not_listed: documented.minus(&listed).count(),
        })
    }
}
