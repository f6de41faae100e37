//! Everything about name servers: what they answer, how that compares, how they behave, and what this host's files say.

pub mod compare;
pub mod dhcp_lease;
pub mod host_files;
pub mod host_names;
pub mod load;
pub mod memory;
pub mod names;
pub mod nonexistent;
pub mod shell;
mod silence;
pub mod survey;
pub mod trial;
mod varying;
pub mod worker;
