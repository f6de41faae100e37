//! Addresses, the policy of which may be asked, durations and patterns as people write them, words of others, and to whom
//! names belong.

pub mod address;
pub mod domain;
pub mod duration;
pub mod external_url;
pub mod foreign;
pub mod listen;
pub mod pattern;
pub mod policy;
pub mod port;
