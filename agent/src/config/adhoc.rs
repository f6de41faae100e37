//! What somebody types at the shell becomes a target: HOST, HOST:PORT, "HOST PORT" or a URL, with the question that its port or its
//! class suggests.

use std::{net::SocketAddr, time::Duration};

use ase_probes::{class::Class, probe::Probe, tcp};

use super::{
    question::{Asked, default_port, default_timeout},
    written_host,
};
use crate::model::target::{Addresses, ExpectAddress, Host, Target};

/// Whom somebody means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Peer {
    /// Reads what was typed: one word or two, the port after a colon or a blank, or a URL. An address in IPv6 notation needs
    /// brackets where a colon parts it from its port. `default` is the port of a host without one.
    ///
    /// # Errors
    /// What is wrong with the words, in a sentence that names them.
    pub fn read(words: &[String], default: u16) -> Result<Self, String> {
        let text = match words {
            [one] => one.clone(),
            [host, port] if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
            [host, port] => format!("{host}:{port}"),
            _ => return Err("expected HOST, HOST:PORT or HOST PORT".to_owned()),
        };
        let written = written_host::read("HOST", &text).map_err(|broken| broken.message)?;
        let port = written.port.or(written.class.and_then(default_port)).unwrap_or(default);
        Ok(Self { host: written.host, port })
    }

    /// Only the accept is asked for, within this time, at the first address: what a connect of an app does.
    pub fn accept(&self, within: Duration) -> Target {
        self.target(Probe::Tcp(tcp::Question { listen: Duration::ZERO }), within)
    }

    /// The question that proves a peer behind this port, where its protocol is known; with the class's own time-out.
    pub fn proof(&self) -> Option<Target> {
        let class = match self.port {
            80 => Class::Http,
            443 => Class::Https,
            1433 => Class::Sql,
            _ => return None,
        };
        let probe = Asked::plain(class, &self.host, self.port).probe().ok()?;
        Some(self.target(probe, default_timeout(class)))
    }

    fn target(&self, probe: Probe, timeout: Duration) -> Target {
        Target {
            host: self.host.clone(),
            port: self.port,
            probe,
            addresses: Addresses::First,
            expect_address: ExpectAddress::Any,
            timeout,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Peer::read(&words, 80).map(|peer| peer.to_string())
    }

    #[test]
    fn a_peer_is_read_in_every_way_that_people_type_it() {
        for (words, expected) in [
            (&["web.example"][..], "web.example:80"),
            (&["web.example:443"], "web.example:443"),
            (&["Web.Example.", "1433"], "web.example:1433"),
            (&["10.0.0.4:1433"], "10.0.0.4:1433"),
            (&["fd00::4"], "[fd00::4]:80"),
            (&["[fd00::4]"], "[fd00::4]:80"),
            (&["[fd00::4]:443"], "[fd00::4]:443"),
            (&["fd00::4", "443"], "[fd00::4]:443"),
            (&["https://web.example/path"], "web.example:443"),
        ] {
            assert_eq!(read(words).as_deref(), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_peer_is_named_with_the_rule() {
        for (words, expected) in [
            (
                &["web.example:http"][..],
                "HOST (web.example:http) must be a host, or host:port with a port between 1 and 65535",
            ),
            (&["web.example:0"], "between 1 and 65535"),
            (&["web.example", "65536"], "HOST (web.example:65536)"),
            (&["a..example"], "HOST (a..example) must be a name or an address"),
            (&["a\u{1b}.example"], "HOST (a\\u{1b}.example)"),
            (&["a", "1", "2"], "HOST PORT"),
        ] {
            let error = read(words).expect_err("no peer");
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_peer_can_be_proved_where_its_protocol_is_known() {
        let peer = |port| Peer { host: Host::Name("a.example".to_owned()), port };
        assert!([80, 443, 1433].into_iter().all(|port| peer(port).proof().is_some()));
        assert_eq!(peer(12000).proof(), None);
    }
}
