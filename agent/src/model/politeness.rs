//! How often a time server of somebody else's may be asked: every 64 s, and which endpoints are one.

use std::time::Duration;

use ase_probes::class::Class;

use super::catalog::Endpoint;

/// One time server of somebody else's is not asked more often than this (RFC 8633 section 3 asks for politeness; 64 s, 2⁶ s,
/// is the shortest interval that RFC 5905 appendix A.1 lets a client poll at by default).
pub const TIME_SERVER_REST: Duration = Duration::from_secs(64);

impl Endpoint {
    /// Whether it is a time server of somebody else's: it is given rest between two questions, whoever wants to ask.
    pub fn is_public_time_server(&self) -> bool {
        self.class == Class::Ntp && !self.target.host.is_own()
    }
}
