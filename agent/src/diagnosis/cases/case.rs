//! One case: an endpoint that shows a sign of trouble, what its visits show beside the sign, and what was concluded.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    http::Answer,
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    verdict::{Confidence, Finding, Phase},
};

use crate::{
    diagnosis::{neighbourhood::Peer, posed::SMALL_SEGMENT, symptom::Sign},
    model::{
        contrast::{Contrast, Contrasts},
        diagnosis::{Diagnosis, Origin, Scope},
        visit::Visit,
    },
    net::{address::full_segment, domain},
};

/// An endpoint that shows a sign of trouble.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) sign: Sign,
    /// Whom the lost exchange was with.
    pub(super) target: Peer,
    /// When the first visit that showed it began, since the Unix epoch.
    pub(super) since: Duration,
    /// The same by the steady clock.
    pub(super) began: Duration,
    /// The same on the monotonic clock, as far as the agent noticed.
    pub(super) opened: Instant,
    /// Since when it is known to show what it shows, by the steady clock: it begins anew where another sign has another cause,
    /// and where the end of its incident was seen at another endpoint.
    pub(super) noticed: Duration,
    /// Whether it was confirmed when its endpoint's visits last told anything.
    pub(super) is_confirmed: bool,
    pub(super) foreign_redirect: bool,
    /// Whether the page that came says that a filter wrote it.
    pub(super) names_filter: bool,
    /// Whether as many bytes came as one full segment holds before the exchange fell silent, some of them in a larger segment
    /// than pass anyway. How full the largest was is not known: a peer's own may be smaller than this machine's.
    pub(super) full_segments: bool,
    /// Whether anything of the answer came before the exchange fell silent; what a server says before TLS is none.
    pub(super) answer_began: bool,
    /// Between which moments the dates hold that the visit showed, in seconds after it.
    pub(super) dates: Option<(f64, f64)>,
    /// The DNS servers that did not resolve its name, each in the way that its sign shows.
    pub(super) servers: Vec<SocketAddr>,
    /// Who said that it is unreachable, where that is a router on the way.
    pub(super) router: Option<IpAddr>,
    /// Where its name led; empty for a fixed address, and where the name did not resolve.
    pub(super) led_to: Vec<IpAddr>,
    /// What the last conclusion was drawn from; `None` before the first.
    pub(super) known: Option<Contrasts>,
    /// The contrasts that could still change the conclusion.
    pub(super) open: Vec<Contrast>,
    pub(super) diagnosis: Arc<Diagnosis>,
}

impl Case {
    pub(super) fn new(sign: Sign, (since, began): (Duration, Duration), opened: Instant, target: Peer) -> Self {
        let (known, open) = (None, Vec::new());
        let led_to = Vec::new();
        Self {
            sign,
            target,
            since,
            began,
            opened,
            noticed: began,
            is_confirmed: false,
            foreign_redirect: false,
            names_filter: false,
            full_segments: false,
            answer_began: false,
            dates: None,
            servers: Vec::new(),
            router: None,
            led_to,
            known,
            open,
            diagnosis: nothing(),
        }
    }

    /// The same with what the visit itself shows beside its sign.
    pub(super) fn of(self, visit: &Visit) -> Self {
        let led_to = visit.resolution.as_ref().map(|found| found.addresses.clone()).unwrap_or_default();
        let first = visit.outcomes.first();
        let tcp = first.and_then(|outcome| outcome.seen.tcp);
        // What came in order and is longer came in large packets, unless the peer wrote it in small pieces.
        let full = first.map_or(0, |outcome| full_segment(outcome.address.ip()));
        let many = tcp.filter(|info| info.bytes_received >= u64::from(info.segment_size.max(full)));
        let full_segments = many.is_some_and(|info| info.received_segment > SMALL_SEGMENT.into());
        let protocol = visit.outcomes.first().map(|outcome| &outcome.protocol);
        let says_before_tls = matches!(protocol, Some(Protocol::Tds(reply)) if reply.prelogin.is_some());
        let answer_began = many.is_some() || !says_before_tls && tcp.is_some_and(|info| info.bytes_received > 0);
        let servers = visit.resolution.as_ref().map(Resolution::failed_alike).unwrap_or_default();
        let router = visit.outcomes.first().and_then(router);
        let (foreign_redirect, names_filter) = (redirects_away(visit), names_filter(visit));
        let dates = dates(visit);
        Self { foreign_redirect, names_filter, full_segments, answer_began, dates, servers, router, led_to, ..self }
    }

    /// The same with what was concluded before it was seen again.
    pub(super) fn with_conclusion_of(self, earlier: Self) -> Self {
        Self { known: earlier.known, open: earlier.open, diagnosis: earlier.diagnosis, ..self }
    }

    pub(super) fn is_trouble(&self) -> bool {
        self.diagnosis.finding.cause != Cause::None
    }

    /// Whether a visit with this sign belongs to it. An endpoint that was healthy until this visit starts a new case; it
    /// is no part of the one that was open before.
    pub(super) fn goes_on(&self, sign: &Sign, works: bool) -> bool {
        self.is_trouble() && (!works || self.sign.symptom == sign.symptom)
    }
}

/// The router on the way that said in an ICMP message that the peer cannot be reached.
fn router(outcome: &Outcome) -> Option<IpAddr> {
    let icmp = outcome.seen.icmp.filter(|icmp| !icmp.from_self)?;
    icmp.offender.filter(|offender| *offender != outcome.address.ip())
}

/// Between which moments the certificate that decides is valid, or the list the newest, in seconds after the visit by the
/// clock that it was judged by.
fn dates(visit: &Visit) -> Option<(f64, f64)> {
    let outcome = visit.outcomes.first()?;
    let after = |date: i64| date as f64 - visit.began.as_secs_f64();
    if let Some(list) = outcome.http_answer().and_then(|answer| answer.crl.as_ref()) {
        return list.next_update.map(|next| (f64::NEG_INFINITY, after(next)));
    }
    let decisive = outcome.handshake()?.ends_first()?;
    Some((after(decisive.not_before), after(decisive.not_after)))
}

/// Whether the answer leads to a host outside the domain that was asked.
fn redirects_away(visit: &Visit) -> bool {
    let Some(outcome) = visit.outcomes.first() else { return false };
    let location = outcome.http_answer().and_then(|answer| answer.location.as_deref());
    let Some(host) = location.and_then(|location| location.split_once("://")).map(|(_, rest)| rest) else {
        return false;
    };
    let host = host.split(['/', ':', '?']).next().unwrap_or_default().to_ascii_lowercase();
    visit.resolution.as_ref().is_some_and(|resolution| domain::left(&resolution.name, &host).is_some())
}

/// Whether the page that came says of itself that a filter wrote it.
fn names_filter(visit: &Visit) -> bool {
    visit.outcomes.first().and_then(Outcome::http_answer).is_some_and(Answer::names_a_filter)
}

pub(super) fn nothing_found() -> Finding {
    Finding::new(Cause::Unknown, Phase::None, Confidence::Possible)
}

/// Stands in until the case is thought over for the first time.
fn nothing() -> Arc<Diagnosis> {
    Arc::new(Diagnosis {
        finding: nothing_found(),
        rule: "",
        origin: Origin::Guess,
        scope: Scope::Endpoint,
        hint: None,
        contrasts: Vec::new(),
        alternatives: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{evidence::TcpInfo, tds};

    use crate::{diagnosis::symptom::Symptom, model::catalog::Host, net::port::Port, sample};

    #[test]
    fn many_bytes_in_small_pieces_are_no_full_segment() {
        let mut visit =
            (**sample::snapshot().endpoints.iter().find_map(|view| view.last.as_ref()).expect("a visit")).clone();
        let mut are_full = |bytes_received: u64, received_segment: u32| {
            visit.outcomes[0].seen.tcp = Some(TcpInfo { bytes_received, received_segment, ..TcpInfo::default() });
            let target = Peer { host: Host::Name("example.com".to_owned()), port: Port::tcp(443) };
            let sign = Sign::quiet(Symptom::SilentAtRequest, None);
            Case::new(sign, (Duration::ZERO, Duration::ZERO), ase_probes::clock::now(), target).of(&visit).full_segments
        };
        let told = [(1447, 1447), (1448, 1448), (5000, 1348), (5000, 536)];
        assert_eq!(told.map(|(bytes, segment)| are_full(bytes, segment)), [false, true, true, false]);
    }

    #[test]
    fn what_came_before_time_ran_out_is_an_answer_that_began_and_what_a_database_says_before_tls_is_not() {
        let visit =
            (**sample::snapshot().endpoints.iter().find_map(|view| view.last.as_ref()).expect("a visit")).clone();
        let began = |protocol: &Protocol, bytes_received: u64| {
            let mut visit = visit.clone();
            visit.outcomes[0].protocol = protocol.clone();
            visit.outcomes[0].seen.tcp = Some(TcpInfo { bytes_received, ..TcpInfo::default() });
            let target = Peer { host: Host::Name("example.com".to_owned()), port: Port::tcp(443) };
            let sign = Sign::quiet(Symptom::SilentAtHello, None);
            Case::new(sign, (Duration::ZERO, Duration::ZERO), ase_probes::clock::now(), target).of(&visit).answer_began
        };
        let database = |prelogin| Protocol::Tds(Box::new(tds::Reply { prelogin, ..tds::Reply::default() }));
        let version = tds::ServerVersion { major: 16, minor: 0, build: 0 };
        let prelogin = tds::Prelogin { version, encryption: tds::Encryption::On };
        let (asked, strict) = (database(Some(prelogin)), database(None));
        let nothing = Protocol::Nothing;
        let told = [(&nothing, 0), (&nothing, 90), (&asked, 43), (&asked, 1448), (&strict, 90)];
        assert_eq!(told.map(|(protocol, bytes)| began(protocol, bytes)), [false, true, false, true, true]);
    }
}
