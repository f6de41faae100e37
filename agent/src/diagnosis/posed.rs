//! What a follow-up measurement asks of the peer that failed: the endpoint's own question with one thing changed, so that a
//! different answer has one reason.

use std::time::Duration;

use ase_probes::{
    dns::{self, Question, Transport},
    egress::Shape,
    http, ntp,
    probe::Probe,
    tcp, tds,
};

use crate::{
    diagnosis::ask::Errand,
    model::{catalog::Host, contrast::Ask},
};

/// A name that nobody can have (RFC 6761 section 6.4).
pub const NOBODY: &str = "ase-agent-contrast.invalid";
/// A path that no server has.
const NO_PATH: &str = "/ase-agent-contrast";
/// Segments that pass wherever IP itself does, in bytes (RFC 9293 section 3.7.1).
pub(super) const SMALL_SEGMENT: u16 = 536;

/// Hops within which no public peer lies.
const FEW_HOPS: u8 = 2;
/// The port of time servers (RFC 5905 section 7.2).
const NTP: u16 = 123;
/// The bare connection, with which every stream begins.
pub const CONNECT: Probe = Probe::Tcp(tcp::Question { listen: Duration::ZERO });

/// What any name server answers, and nobody else does.
pub fn liveness() -> Question {
    Question::liveness("www.microsoft.com".to_owned(), Transport::Udp)
}

/// A question, and how its packets are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posed {
    /// The question.
    pub probe: Probe,
    /// How its packets are made.
    pub shape: Shape,
}

/// What a measurement asks; `None` where the failed question has nothing that it could change.
pub fn posed(errand: &Errand) -> Option<Posed> {
    let own = failed(errand);
    let plain = |probe| Some(Posed { probe, shape: Shape::default() });
    match errand.key.ask {
        Ask::SmallSegments => {
            Some(Posed { probe: own, shape: Shape { segment_size: Some(SMALL_SEGMENT), ..Shape::default() } })
        }
        Ask::AnySource => Some(Posed { probe: own, shape: Shape { any_source: true, ..Shape::default() } }),
        Ask::SmallDatagram => plain(Probe::Dns(question(own)?.offering(None))),
        Ask::DnsOverTcp => plain(Probe::Dns(Question { transport: Transport::Tcp, ..question(own)? })),
        Ask::OtherName => plain(named(own, errand.beside.as_ref().map_or(NOBODY, |beside| &beside.name))?),
        Ask::BogusHost => plain(elsewhere(own, errand.page.is_some())?),
        // The source port, or the hello, is chosen where the question is asked.
        Ask::SourcePorts | Ask::OldTls => plain(own),
        // Where nobody can be, the address is what differs; any answer tells.
        Ask::TcpCanary => plain(CONNECT),
        Ask::UdpCanary if errand.key.peer.port() == NTP => plain(Probe::Ntp(ntp::Question)),
        Ask::UdpCanary | Ask::DnsCanary => plain(Probe::Dns(liveness())),
        Ask::FewHops => Some(Posed { probe: CONNECT, shape: Shape { hop_limit: Some(FEW_HOPS), ..Shape::default() } }),
        Ask::RedirectPorts
        | Ask::Control
        | Ask::HeldFlow
        | Ask::ThisMachine
        | Ask::Comparison
        | Ask::Neighbours
        | Ask::Memory => None,
    }
}

/// The question that failed: the endpoint's own, or the one for its name's address, where a name server is the peer.
fn failed(errand: &Errand) -> Probe {
    let target = &errand.endpoint.target;
    match (&target.probe, &target.host) {
        (Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) | Probe::Ntp(_), Host::Name(name))
            if errand.key.peer.port() != target.port =>
        {
            Probe::Dns(Question::address(name.clone(), dns::RecordType::A, Transport::Udp))
        }
        (own, _) => own.clone(),
    }
}

fn question(probe: Probe) -> Option<Question> {
    match probe {
        Probe::Dns(question) => Some(question),
        Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => None,
    }
}

/// The same under another server name, in the same wrapping: TLS inside TDS is not TLS on a bare connection.
fn named(probe: Probe, name: &str) -> Option<Probe> {
    let host = name.to_owned();
    match probe {
        Probe::Http(question) if matches!(question.scheme, http::Scheme::Https(_)) => {
            Some(Probe::Http(http::Question { host, ..question }))
        }
        Probe::Tds(question) => Some(Probe::Tds(tds::Question { host, ..question })),
        Probe::Http(_) | Probe::Dns(_) | Probe::Ntp(_) | Probe::Tcp(_) => None,
    }
}

/// The same for another page: for one that nobody has, where the answer to the right one is known; else for the plainest
/// one of the same host, which no rule for the endpoint's own path can mean.
fn elsewhere(probe: Probe, has_page: bool) -> Option<Probe> {
    let Probe::Http(question) = probe else { return None };
    let (host, path) = match (has_page, question.path.as_str()) {
        (true, _) => (NOBODY.to_owned(), NO_PATH),
        (false, "/") => (question.host.clone(), NO_PATH),
        (false, _) => (question.host.clone(), "/"),
    };
    Some(Probe::Http(http::Question { host, path: path.to_owned(), proof: http::Proof::AnyResponse, ..question }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::SocketAddr, sync::Arc};

    use ase_probes::tls::Verify;

    use crate::{
        diagnosis::ask::{Beside, Key},
        model::catalog::Endpoint,
        sample,
    };

    const ASKS: [Ask; 12] = [
        Ask::TcpCanary,
        Ask::UdpCanary,
        Ask::DnsCanary,
        Ask::FewHops,
        Ask::OldTls,
        Ask::SmallSegments,
        Ask::AnySource,
        Ask::SmallDatagram,
        Ask::DnsOverTcp,
        Ask::OtherName,
        Ask::BogusHost,
        Ask::SourcePorts,
    ];

    /// One question of every class, each to a host that is known by name.
    fn questions() -> Vec<(u16, Probe)> {
        let web = |scheme, port| {
            let (host, path) = ("a.example".to_owned(), "/list.crl".to_owned());
            let (proof, session) = (http::Proof::AnyResponse, http::Session::default());
            Probe::Http(http::Question { scheme, host, port, path, proof, session })
        };
        let sql = |flavour| Probe::Tds(tds::Question { host: "a.example".to_owned(), flavour });
        vec![
            (53, Probe::Dns(Question::liveness("b.example".to_owned(), Transport::Udp))),
            (53, Probe::Dns(Question::liveness("b.example".to_owned(), Transport::Tcp))),
            (123, Probe::Ntp(ntp::Question)),
            (80, web(http::Scheme::Http, 80)),
            (443, web(http::Scheme::Https(Verify::Full), 443)),
            (1433, sql(tds::Flavour::Tds7)),
            (1433, sql(tds::Flavour::Tds8)),
            (12000, Probe::Tcp(tcp::Question::default())),
        ]
    }

    fn errand(ask: Ask, (port, probe): (u16, Probe), peer: u16, page: Option<(u16, Vec<u8>)>) -> Errand {
        let mut endpoint = Endpoint::clone(&sample::snapshot().endpoints[0].endpoint);
        (endpoint.target.host, endpoint.target.port) = (Host::Name("a.example".to_owned()), port);
        endpoint.target.probe = probe;
        let address = SocketAddr::from(([198, 51, 100, 7], peer));
        let beside = Some(Beside { name: "c.example".to_owned(), address });
        Errand { key: Key { ask, peer: address, about: None }, endpoint: Arc::new(endpoint), beside, page }
    }

    /// What the wire shows of two questions that differs. Which page is wanted counts as one thing.
    fn differences(one: &Posed, other: &Posed) -> Vec<&'static str> {
        let mut differ = Vec::new();
        let mut note = |what, differs: bool| {
            if differs {
                differ.push(what);
            }
        };
        note("segments", one.shape.segment_size != other.shape.segment_size);
        note("source", one.shape.any_source != other.shape.any_source);
        note("hops", one.shape.hop_limit != other.shape.hop_limit);
        match (&one.probe, &other.probe) {
            (Probe::Dns(a), Probe::Dns(b)) => {
                note("name", (&a.name, a.record) != (&b.name, b.record));
                note("transport", a.transport != b.transport);
                note("edns", a.edns != b.edns);
            }
            (Probe::Http(a), Probe::Http(b)) => {
                note("scheme", a.scheme != b.scheme);
                note("page", (&a.host, a.port, &a.path) != (&b.host, b.port, &b.path));
            }
            (Probe::Tds(a), Probe::Tds(b)) => {
                note("name", a.host != b.host);
                note("wrapping", a.flavour != b.flavour);
            }
            (Probe::Ntp(_), Probe::Ntp(_)) => {}
            // A bare connection is how every stream begins.
            (Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_), Probe::Tcp(_)) => {}
            (Probe::Dns(a), Probe::Tcp(_)) if a.transport == Transport::Tcp => {}
            (_, _) => note("protocol", true),
        }
        differ
    }

    /// Whether a measurement is made for questions of this kind: canaries stand for streams or for datagrams.
    fn is_asked(ask: Ask, probe: &Probe) -> bool {
        let is_dns = matches!(probe, Probe::Dns(question) if question.transport == Transport::Udp);
        match ask {
            Ask::TcpCanary | Ask::FewHops => !is_dns && !matches!(probe, Probe::Ntp(_)),
            Ask::UdpCanary => is_dns || matches!(probe, Probe::Ntp(_)),
            Ask::DnsCanary => is_dns,
            _ => true,
        }
    }

    #[test]
    fn every_measurement_of_every_class_changes_one_thing_only() {
        for (port, probe) in questions() {
            let own = Posed { probe: probe.clone(), shape: Shape::default() };
            for ask in ASKS {
                for page in [None, Some((200, Vec::new()))] {
                    if !is_asked(ask, &probe) {
                        continue;
                    }
                    let Some(posed) = posed(&errand(ask, (port, probe.clone()), port, page)) else { continue };
                    let changed = differences(&own, &posed);
                    // A source port and a hello are chosen where the question is asked, an address by whoever asks.
                    let is_elsewhere = matches!(ask, Ask::SourcePorts | Ask::OldTls | Ask::TcpCanary)
                        || ask == Ask::UdpCanary && port == 123;
                    let expected = usize::from(!is_elsewhere);
                    // DNS over TCP is over TCP already.
                    let is_same = ask == Ask::DnsOverTcp
                        && matches!(&own.probe, Probe::Dns(question) if question.transport == Transport::Tcp);
                    assert_eq!(changed.len(), if is_same { 0 } else { expected }, "{ask:?} of {probe:?}: {changed:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_that_did_not_resolve_is_asked_again_at_the_name_server_in_every_class() {
        for (port, probe) in questions().into_iter().filter(|(port, _)| *port != 53) {
            let own = Question::address("a.example".to_owned(), dns::RecordType::A, Transport::Udp);
            let own = Posed { probe: Probe::Dns(own), shape: Shape::default() };
            for ask in [Ask::AnySource, Ask::SmallDatagram, Ask::DnsOverTcp] {
                let posed = posed(&errand(ask, (port, probe.clone()), 53, None)).expect("a name has a question");
                assert_eq!(differences(&own, &posed).len(), 1, "{ask:?} of {probe:?}");
            }
        }
    }

    #[test]
    fn a_time_server_with_a_name_is_asked_for_the_time() {
        let asked = posed(&errand(Ask::AnySource, (123, Probe::Ntp(ntp::Question)), 123, None)).expect("a question");
        assert_eq!(asked.probe, Probe::Ntp(ntp::Question));
    }
}
