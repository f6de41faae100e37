//! What somebody types at the shell becomes a target: HOST, HOST:PORT, "HOST PORT" or a URL, with the question that its port or its
//! class suggests.

use std::{net::SocketAddr, time::Duration};

use ase_probes::{class::Class, dns, probe::Probe, resolve::valid_name, tcp};

use super::{
    question::{Asked, default_port, default_timeout, is_web},
    written_host,
};
use crate::model::{
    catalog::{Catalog, EndpointId},
    target::{Addresses, ExpectAddress, Host, ResolvedBy, Target},
};

/// What a DNS server is asked for where the catalogue watches none: the question of the built-in profile.
const ANY_NAME: &str = "management.azure.com";

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
            resolved_by: ResolvedBy::Custom,
            timeout,
        }
    }
}

/// What somebody wants to have asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The class of the question.
    pub class: Class,
    /// Whom to ask, as it was typed: HOST, HOST:PORT, a URL, or the id of a DNS server's endpoint (`10.0.0.4:53/tcp`).
    pub target: &'a str,
    /// The name that a DNS server is asked for; without one the question that shows whether it lives.
    pub name: Option<&'a str>,
}

impl Wish<'_> {
    /// The target, with the question of the catalogue's own endpoint where it has this one; then with its id too.
    ///
    /// # Errors
    /// What is wrong with the words, in a sentence that names them.
    pub fn target(&self, catalog: &Catalog) -> Result<(Target, Option<EndpointId>), String> {
        let (text, transport) = match (self.class, self.target.rsplit_once('/')) {
            (Class::Dns, Some((text, "tcp"))) => (text, dns::Transport::Tcp),
            (Class::Dns, Some((text, "udp"))) => (text, dns::Transport::Udp),
            _ => (self.target, dns::Transport::Udp),
        };
        let written = written_host::read("TARGET", text).map_err(|broken| broken.message)?;
        let class = self.class;
        if let Some(other) = written.class.filter(|other| *other != class && class != Class::Monitoring) {
            return Err(format!("TARGET ({text}) is a URL of class {other}, not of class {class}"));
        }
        let Some(port) = written.port.or(written.class.and_then(default_port)).or(default_port(class)) else {
            return Err(format!("TARGET ({text}) must have a port for class {class}: HOST:PORT"));
        };
        if written.path.is_some() && !is_web(class, port) {
            return Err(format!("TARGET ({text}) must be without a path for class {class}"));
        }
        let mut asked = Asked::plain(class, &written.host, port);
        asked.path = written.path.as_deref();
        let probe = match class {
            Class::Dns => self.dns(&written.host, transport, catalog)?,
            Class::Ntp | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => {
                asked.probe().map_err(|broken| broken.message)?
            }
        };
        let own = Peer { host: written.host, port }.target(probe, default_timeout(class));
        let is_plain = written.path.is_none() && self.name.is_none();
        let known =
            catalog.endpoints.iter().find(|endpoint| endpoint.class == class && is_same(&endpoint.target, &own));
        Ok(match known.filter(|_| is_plain) {
            Some(known) => (Target { addresses: Addresses::First, ..known.target.clone() }, Some(known.id.clone())),
            None => (own, None),
        })
    }

    fn dns(&self, host: &Host, transport: dns::Transport, catalog: &Catalog) -> Result<Probe, String> {
        if let Host::Name(name) = host {
            return Err(format!(
                "TARGET ({name}) must be the address of a DNS server for class dns; --name asks it for a name"
            ));
        }
        let Some(name) = self.name else {
            let watched = catalog.endpoints.iter().find_map(|endpoint| match &endpoint.target.probe {
                Probe::Dns(question) => Some(question.name.clone()),
                Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => None,
            });
            let name = watched.unwrap_or_else(|| ANY_NAME.to_owned());
            return Ok(Probe::Dns(dns::Question::liveness(name, transport)));
        };
        valid_name(name).map_err(|rule| format!("--name ({}) must be a name: {rule}", name.escape_debug()))?;
        Ok(Probe::Dns(dns::Question::address(name.to_owned(), dns::RecordType::A, transport)))
    }
}

/// Whether two questions go to the same port of the same host, over the same transport.
fn is_same(one: &Target, other: &Target) -> bool {
    let transport = |target: &Target| match &target.probe {
        Probe::Dns(question) => Some(question.transport),
        Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => None,
    };
    (&one.host, one.port) == (&other.host, other.port) && transport(one) == transport(other)
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
    use std::sync::Arc;

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

    /// The question in a few words, with this endpoint in the catalogue.
    fn wished(class: Class, target: &str, name: Option<&str>, watched: Option<&Target>) -> Result<String, String> {
        let mut catalog = Catalog::clone(&crate::sample::snapshot().catalog);
        let mut endpoint = (*catalog.endpoints[0]).clone();
        catalog.endpoints.clear();
        if let Some(target) = watched {
            (endpoint.class, endpoint.target) = (Class::Http, target.clone());
            catalog.endpoints.push(Arc::new(endpoint));
        }
        let (target, id) = Wish { class, target, name }.target(&catalog)?;
        let question = match &target.probe {
            Probe::Dns(question) => format!("{} by {}", question.name, question.transport.label()),
            Probe::Http(question) => question.path.clone(),
            Probe::Ntp(_) => "time".to_owned(),
            Probe::Tds(_) => "prelogin".to_owned(),
            Probe::Tcp(_) => "accept".to_owned(),
        };
        let watched = if id.is_some() { ", watched" } else { "" };
        Ok(format!("{}:{} {question}{watched}", target.host, target.port))
    }

    #[test]
    fn each_class_has_its_question_and_its_port() {
        for (class, target, name, expected) in [
            (Class::Https, "Login.Example.", None, "login.example:443 /"),
            (Class::Https, "https://a.example:8443/x?y", None, "a.example:8443 /x?y"),
            (Class::Http, "a.example", None, "a.example:80 /"),
            (Class::Sql, "a.example", None, "a.example:1433 prelogin"),
            (Class::Ntp, "10.0.0.4", None, "10.0.0.4:123 time"),
            (Class::Monitoring, "a.example", None, "a.example:12000 accept"),
            (Class::Tcp, "[fd00::4]:22", None, "fd00::4:22 accept"),
            (Class::Dns, "10.0.0.4", None, "10.0.0.4:53 management.azure.com by udp"),
            (Class::Dns, "10.0.0.4:53/tcp", Some("a.example"), "10.0.0.4:53 a.example by tcp"),
        ] {
            assert_eq!(wished(class, target, name, None).as_deref(), Ok(expected), "{class} {target}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_named_with_the_rule() {
        for (class, target, name, expected) in [
            (Class::Tcp, "a.example", None, "TARGET (a.example) must have a port for class tcp: HOST:PORT"),
            (Class::Dns, "a.example", None, "TARGET (a.example) must be the address of a DNS server"),
            (Class::Dns, "10.0.0.4", Some("a b"), "--name (a b) must be a name"),
            (
                Class::Https,
                "http://a.example",
                None,
                "TARGET (http://a.example) is a URL of class http, not of class https",
            ),
            (Class::Sql, "a.example:0", None, "between 1 and 65535"),
        ] {
            let error = wished(class, target, name, None).expect_err("nothing to ask");
            assert!(error.contains(expected), "{class} {target}: {error}");
        }
    }

    #[test]
    fn what_the_catalogue_watches_is_asked_as_the_daemon_asks_it() {
        let host = Host::Name("a.example".to_owned());
        let asked = Asked { path: Some("/list.crl"), ..Asked::plain(Class::Http, &host, 80) };
        let probe = asked.probe().map_err(|broken| broken.message).expect("a question");
        let target = Peer { host, port: 80 }.target(probe, Duration::from_secs(7));
        let wished = |class, text| wished(class, text, None, Some(&target));
        assert_eq!(wished(Class::Http, "a.example").as_deref(), Ok("a.example:80 /list.crl, watched"));
        assert_eq!(wished(Class::Http, "http://a.example/own").as_deref(), Ok("a.example:80 /own"));
        assert_eq!(wished(Class::Tcp, "a.example:80").as_deref(), Ok("a.example:80 accept"));
    }
}
