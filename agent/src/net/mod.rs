//! Addresses, the policy of which may be asked, durations and patterns as people write them.

pub mod address;
pub mod duration;
pub mod listen;
pub mod pattern;
pub mod policy;
pub mod port;
