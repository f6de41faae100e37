//! The NTP probe: one SNTP exchange, accepted only under the tests of RFC 5905 and RFC 4330.

use std::time::Duration;

/// What to ask: the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question;

/// Everything an NTP exchange showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The reply that echoed our origin timestamp; `None` if none came.
    pub packet: Option<Packet>,
    /// Datagrams that were not the answer: wrong origin, wrong mode, too short.
    pub strays: u32,
}

/// The fields of a reply (RFC 5905 section 7.3) and what follows from the four timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Leap indicator, 0 to 3; 3 means unsynchronised.
    pub leap: u8,
    /// Version number, 1 to 4.
    pub version: u8,
    /// Stratum, 0 to 255; 0 is a kiss-o'-death.
    pub stratum: u8,
    /// Reference id: an address, a source name, or the kiss code.
    pub reference_id: [u8; 4],
    /// Round trip to the primary source.
    pub root_delay: Duration,
    /// Dispersion to the primary source.
    pub root_dispersion: Duration,
    /// Server clock minus ours, in seconds.
    pub offset: f64,
    /// Round trip to the server, without the server's own time.
    pub delay: Duration,
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, _lines: &mut Vec<String>) {}
}

impl Question {
    /// Makes one attempt.
    pub async fn run(&self, _attempt: &crate::attempt::Attempt<'_>) -> crate::outcome::Outcome {
        unimplemented!("written next")
    }
}
