//! How often a time server of somebody else's may be asked: every 64 s, and which endpoints are one.

use std::time::Duration;

use ase_probes::probe::Probe;

use super::catalog::{Endpoint, Target};

/// One time server of somebody else's is not asked more often than this (RFC 8633 section 3 asks for politeness; 64 s, 2⁶ s,
/// is the shortest interval that RFC 5905 appendix A.1 lets a client poll at by default).
pub const TIME_SERVER_REST: Duration = Duration::from_secs(64);

/// The longest pause after a time server's plea to ask less often: 1024 s, 2¹⁰ s, is the longest interval at which a client
/// polls by the default limits that RFC 5905 section 7.3 suggests.
pub const LONGEST_PLEA: Duration = Duration::from_secs(1024);

impl Endpoint {
    /// Whether it is a time server of somebody else's: it is given rest between two questions, whoever wants to ask.
    pub fn is_public_time_server(&self) -> bool {
        self.target.is_public_time_server()
    }
}

impl Target {
    /// Whether it is a time server of somebody else's.
    pub fn is_public_time_server(&self) -> bool {
        matches!(self.probe, Probe::Ntp(_)) && !self.host.is_own()
    }
}
