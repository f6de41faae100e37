//! Ports as people write them for the witness: `454`, `454/tcp`, `123/udp`, separated by commas.

use std::{collections::BTreeSet, fmt};

use ase_probes::dns::Transport;

/// Ports that one knock asks about, and one witness listens on, at most: so many fit a message.
pub const MOST: usize = 24;

/// A port with its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Over what.
    pub transport: Transport,
    /// Its number, at least 1.
    pub number: u16,
}

impl Port {
    /// Four bytes on the wire: 6 or 17, as in the headers of IP (RFC 5237), a zero, the number.
    pub(super) fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.number.to_be_bytes();
        [if self.transport == Transport::Tcp { 6 } else { 17 }, 0, high, low]
    }

    /// What four bytes say; `None` for anything that is no port.
    pub(super) fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        let transport = match bytes {
            [6, 0, ..] => Transport::Tcp,
            [17, 0, ..] => Transport::Udp,
            _ => return None,
        };
        let number = u16::from_be_bytes([bytes[2], bytes[3]]);
        (number > 0).then_some(Self { transport, number })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.transport.label())
    }
}

/// Reads one port.
///
/// # Errors
/// The rule that the text breaks, with the text.
pub fn parse(text: &str) -> Result<Port, String> {
    let broken = || format!("({}) must be a port from 1 to 65535, with /udp behind it for UDP", text.escape_debug());
    let (number, transport) = match text.trim().rsplit_once('/') {
        None => (text.trim(), Transport::Tcp),
        Some((number, "tcp")) => (number, Transport::Tcp),
        Some((number, "udp")) => (number, Transport::Udp),
        Some(_) => return Err(broken()),
    };
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u16>() {
        Ok(number) if number > 0 && is_plain => Ok(Port { transport, number }),
        _ => Err(broken()),
    }
}

/// Each port once, in the order in which they were given.
///
/// # Errors
/// That there are too many.
pub fn each_once(ports: &[Port]) -> Result<Vec<Port>, String> {
    let mut known = BTreeSet::new();
    let ports: Vec<Port> = ports.iter().copied().filter(|port| known.insert(port.to_bytes())).collect();
    if ports.len() > MOST { Err(format!("{} ports are too many: at most {MOST}", ports.len())) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_people_write_them() {
        for (text, shown) in [("454", "454/tcp"), ("454/tcp", "454/tcp"), ("123/udp", "123/udp"), (" 80 ", "80/tcp")] {
            assert_eq!(parse(text).map(|port| port.to_string()).as_deref(), Ok(shown), "{text}");
        }
        for text in ["", "0", "65536", "http", "80/sctp", "+80", "80/", "-1", "8\u{1b}0"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("must be a port from 1 to 65535") && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn a_port_survives_the_wire_and_nothing_else_is_one() {
        for text in ["1", "65535", "53/udp"] {
            let port = parse(text).expect("a port");
            assert_eq!(Port::from_bytes(port.to_bytes()), Some(port));
        }
        for bytes in [[0, 0, 1, 1], [6, 1, 1, 1], [17, 0, 0, 0]] {
            assert_eq!(Port::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_port_that_is_given_twice_is_one_and_their_number_is_bounded() {
        let ports = ["80", "454", "80/tcp", "80/udp"].map(|text| parse(text).expect("a port"));
        assert_eq!(each_once(&ports).map(|ports| ports.len()), Ok(3));
        let many: Vec<Port> = (1..=25).map(|number| Port { transport: Transport::Tcp, number }).collect();
        assert_eq!(each_once(&many), Err("25 ports are too many: at most 24".to_owned()));
    }
}
