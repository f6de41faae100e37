//! A flow that the daemon has really seen: whom it asked, by which protocol, and whether that worked when it last did.

use std::net::IpAddr;

use ase_probes::class::Class;

use crate::lint::{finding::Severity, traffic::Protocols};

/// One flow out of the subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFlow {
    /// The endpoint's id.
    pub name: String,
    /// Its protocol.
    pub protocols: Protocols,
    /// The port.
    pub port: u16,
    /// The addresses that were asked; none where only the name is remembered.
    pub addresses: Vec<IpAddr>,
    /// Those of them that failed when they were last asked.
    pub failed: Vec<IpAddr>,
    /// How bad its loss is.
    pub severity: Severity,
    /// Whether it worked when it was last tried.
    pub worked: bool,
}

impl SeenFlow {
    /// The flow of an endpoint's id: `login.live.com:443`, `168.63.129.16:53/udp`. None where the id says no port.
    pub fn of_id(id: &str, class: Class) -> Option<Self> {
        let (place, transport) = id.split_once('/').map_or((id, ""), |(place, transport)| (place, transport));
        let (host, port) = place.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let by_datagram = match class {
            Class::Ntp => true,
            Class::Dns => transport != "tcp",
            Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => false,
        };
        Some(Self {
            name: id.to_owned(),
            protocols: if by_datagram { Protocols::UDP } else { Protocols::TCP },
            port,
            addresses: host.trim_matches(['[', ']']).parse().into_iter().collect(),
            failed: Vec::new(),
            severity: Severity::Warning,
            worked: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_protocol_port_and_perhaps_the_address() {
        let dns = SeenFlow::of_id("168.63.129.16:53/udp", Class::Dns).expect("it has a port");
        assert_eq!((dns.protocols, dns.port, dns.addresses.len()), (Protocols::UDP, 53, 1));
        assert_eq!(SeenFlow::of_id("10.0.0.4:53/tcp", Class::Dns).map(|flow| flow.protocols), Some(Protocols::TCP));
        let web = SeenFlow::of_id("login.live.com:443", Class::Https).expect("it has a port");
        assert_eq!((web.protocols, web.port, web.addresses.len()), (Protocols::TCP, 443, 0));
        assert_eq!(SeenFlow::of_id("[2001:db8::1]:123", Class::Ntp).map(|flow| flow.addresses.len()), Some(1));
        for odd in ["my endpoint", "a:b", "a:0", "a:70000", ""] {
            assert_eq!(SeenFlow::of_id(odd, Class::Tcp), None, "{odd}");
        }
    }
}
