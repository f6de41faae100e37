//! Extended DNS errors (RFC 8914): how a server explains why it could not answer.

use std::fmt;

/// Characters of an explanation that are shown at most: a server may send 64 KiB.
const SHOWN: usize = 200;

/// One explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The INFO-CODE.
    pub code: u16,
    /// The EXTRA-TEXT, as the server wrote it.
    pub text: String,
}

impl ExtendedError {
    /// Reads the data of the EDNS option 15; `None` if it is too short to hold a code.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let (code, text) = data.split_first_chunk()?;
        // Some servers end the text with a zero, which RFC 8914 section 2 asks readers to bear.
        let text = String::from_utf8_lossy(text).trim_end_matches('\0').to_owned();
        Some(Self { code: u16::from_be_bytes(*code), text })
    }

    /// The code's name in IANA's registry of extended DNS errors; `None` for one that this version does not know.
    pub fn name(&self) -> Option<&'static str> {
        NAMES.get(usize::from(self.code)).copied()
    }
}

/// What peers say may hold anything: it is escaped and cut.
impl fmt::Display for ExtendedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.code)?,
            None => write!(f, "code {}", self.code)?,
        }
        if self.text.is_empty() {
            return Ok(());
        }
        let shown: String = self.text.chars().take(SHOWN).collect();
        let more = if self.text.chars().count() > SHOWN { "…" } else { "" };
        write!(f, ": \"{}{more}\"", shown.escape_debug())
    }
}

/// RFC 8914 section 4, RFC 9520 section 2.4, RFC 9824, and the registrations since.
const NAMES: [&str; 31] = [
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
    "Signature Expired before Valid",
    "Too Early",
    "Unsupported NSEC3 Iterations Value",
    "Unable to conform to policy",
    "Synthesized",
    "Invalid Query Type",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_named_escaped_and_cut() {
        let shown = |data: &[u8]| ExtendedError::read(data).map(|error| error.to_string());
        assert_eq!(shown(&[0, 22]).as_deref(), Some("No Reachable Authority (22)"));
        assert_eq!(shown(b"\0\x0fby policy\0").as_deref(), Some("Blocked (15): \"by policy\""));
        assert_eq!(shown(b"\xff\xfe\x1b[31m\xff").as_deref(), Some("code 65534: \"\\u{1b}[31m\u{fffd}\""));
        assert_eq!(shown(&[0]), None);
        let long = shown(&[&[0, 0][..], &[b'a'; 300]].concat()).expect("a code and a text");
        assert!(long.ends_with("a…\"") && long.chars().count() < 220, "{long}");
    }
}
