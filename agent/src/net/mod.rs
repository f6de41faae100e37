//! Addresses, the policy of which may be asked, and durations as people write them.

pub mod address;
pub mod duration;
pub mod policy;
pub mod port;
