//! What one failed exchange looks like, before any contrast: a closed set that the rules are written in.

use std::net::SocketAddr;

use ase_probes::{
    cause::Cause,
    evidence::{Ending, Stop, Trouble},
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    tls::{Handshake, Invalid},
    verdict::{Confidence, Finding, Phase},
};

use crate::model::visit::Visit;

/// Alerts of RFC 8446 section 6.2 that a peer sends where it finds nothing it can do among what is offered.
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
const INSUFFICIENT_SECURITY: u8 = 71;

/// What a failed exchange looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symptom {
    /// The exchange proves its cause by itself; no contrast changes it.
    Settled,
    /// This machine refuses to send (EPERM).
    Forbidden,
    /// No answer to any SYN.
    SilentConnect,
    /// A reset answers the SYN, and no ICMP message says who sent it.
    RefusedConnect,
    /// No answer to a DNS question by datagram.
    SilentDns,
    /// The DNS server's host accepts the connection, and answers nothing.
    SilentDnsStream,
    /// No answer to an NTP packet.
    SilentNtp,
    /// Cut after the ClientHello.
    CutAtHello,
    /// Closed after the ClientHello inside TDS, whose server had answered PRELOGIN.
    ClosedAtSqlHello,
    /// An alert that says that no version or cipher suite is common.
    NothingCommon,
    /// Silence after a ClientHello that was acknowledged.
    SilentAtHello,
    /// Silence after a ClientHello that was not acknowledged.
    LostAtHello,
    /// Cut after the request.
    CutAtRequest,
    /// Silence after a request that was acknowledged.
    SilentAtRequest,
    /// Silence after a request that was not acknowledged.
    LostAtRequest,
    /// Silence in the midst of an answer.
    SilentAtResponse,
    /// Cut after the PRELOGIN packet.
    CutAtPrelogin,
    /// Silence after a PRELOGIN packet that was acknowledged.
    SilentAtPrelogin,
    /// Silence after a PRELOGIN packet that was not acknowledged.
    LostAtPrelogin,
    /// The certificate's dates do not hold now.
    CertificateDates,
    /// The certificate is for other names.
    CertificateName,
    /// No trusted authority issued the certificate.
    CertificateIssuer,
    /// The DNS server says that the name has no address.
    NameDenied,
    /// The time differs from ours.
    TimeDiffers,
    /// A firewall's or proxy's page in the peer's place.
    BlockPage,
    /// A revocation list whose successor is due.
    ListOverdue,
    /// An answer in clear that is not the expected one.
    OddAnswer,
    /// A bare accept, on a port where no better proof exists.
    BareAccept,
    /// A DNS or time server that answered.
    Answered,
    /// A gateway that proved itself, and may redirect its clients to other ports.
    Gateway,
    /// A flow that passed where others of the same kind do not.
    Passed,
    /// Both resolvers were compared and should worry somebody.
    NamesCompared,
}

impl Symptom {
    /// Every symptom.
    pub const ALL: [Self; 32] = [
        Self::Settled,
        Self::Forbidden,
        Self::SilentConnect,
        Self::RefusedConnect,
        Self::SilentDns,
        Self::SilentDnsStream,
        Self::SilentNtp,
        Self::CutAtHello,
        Self::ClosedAtSqlHello,
        Self::NothingCommon,
        Self::SilentAtHello,
        Self::LostAtHello,
        Self::CutAtRequest,
        Self::SilentAtRequest,
        Self::LostAtRequest,
        Self::SilentAtResponse,
        Self::CutAtPrelogin,
        Self::SilentAtPrelogin,
        Self::LostAtPrelogin,
        Self::CertificateDates,
        Self::CertificateName,
        Self::CertificateIssuer,
        Self::NameDenied,
        Self::TimeDiffers,
        Self::BlockPage,
        Self::ListOverdue,
        Self::OddAnswer,
        Self::BareAccept,
        Self::Answered,
        Self::Gateway,
        Self::Passed,
        Self::NamesCompared,
    ];
}

impl Symptom {
    /// Whether the endpoint itself worked.
    pub fn is_quiet(self) -> bool {
        matches!(self, Self::BareAccept | Self::Answered | Self::Gateway | Self::Passed | Self::NamesCompared)
    }

    /// Whether every healthy visit of its kind shows it: an answer that proves too little, here as everywhere. Such
    /// endpoints have no case until a measurement says that the answers are somebody else's.
    pub fn is_usual(self) -> bool {
        matches!(self, Self::BareAccept | Self::Answered | Self::Gateway)
    }
}

/// A symptom, whom it was seen at, and what the exchange alone made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What it looks like.
    pub symptom: Symptom,
    /// What the exchange alone says.
    pub finding: Finding,
    /// Who was asked: the endpoint's address, or a DNS server while its name was resolved.
    pub peer: Option<SocketAddr>,
    /// Whether it was seen while the endpoint's name was resolved, so that the endpoint itself was not tested.
    pub is_resolving: bool,
}

impl Sign {
    /// The sign of an endpoint that worked.
    pub fn quiet(symptom: Symptom, peer: Option<SocketAddr>) -> Self {
        let finding = Finding::new(Cause::None, Phase::None, Confidence::Confirmed);
        Self { symptom, finding, peer, is_resolving: false }
    }
}

/// Whether a cause means that the peer itself answered, if not as it should: no packet of that exchange was lost for good.
pub fn is_of_the_peer(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::HttpStatus
            | Cause::ProtocolViolation
            | Cause::TlsCertInvalid
            | Cause::TlsRejected
            | Cause::DnsServfail
            | Cause::DnsRefused
            | Cause::DnsNxdomain
            | Cause::DnsNodata
            | Cause::NtpDenied
            | Cause::NtpUnsynced
            | Cause::NtpWrongTime
    )
}

/// Reads the sign of a visit that ended with this finding.
pub fn read(visit: &Visit, finding: Finding) -> Sign {
    if let Some(outcome) = visit.outcomes.first() {
        return Sign { symptom: of(outcome, finding), finding, peer: Some(outcome.address), is_resolving: false };
    }
    let failed = visit.resolution.as_ref().and_then(Resolution::telling);
    let symptom = failed.map_or(Symptom::Settled, |outcome| of(outcome, finding));
    Sign { symptom, finding, peer: failed.map(|outcome| outcome.address), is_resolving: visit.resolution.is_some() }
}

/// The symptom of one exchange that ended with this finding.
pub fn of(outcome: &Outcome, finding: Finding) -> Symptom {
    // An answer that breaks the protocol is an answer: no contrast for silence applies, though no good one came. And
    // what could not be had whole over TCP was cut over UDP, which the exchange over TCP alone does not show.
    if finding.cause == Cause::LocalFirewall && outcome.seen.icmp.is_none() {
        return Symptom::Forbidden;
    }
    if finding.cause.is_local() || matches!(finding.cause, Cause::ProtocolViolation | Cause::DnsNoTcp) {
        return Symptom::Settled;
    }
    if matches!(finding.cause, Cause::DnsNxdomain | Cause::DnsNodata) {
        return Symptom::NameDenied;
    }
    if finding.cause == Cause::NtpWrongTime {
        return Symptom::TimeDiffers;
    }
    if finding.cause == Cause::HttpBlocked {
        return Symptom::BlockPage;
    }
    if outcome.http_answer().and_then(|answer| answer.crl.as_ref()).is_some_and(|crl| crl.overdue) {
        return Symptom::ListOverdue;
    }
    if finding.cause == Cause::HttpStatus && finding.confidence == Confidence::Possible {
        return Symptom::OddAnswer;
    }
    if matches!(finding.cause, Cause::TlsCertInvalid | Cause::TlsIntercepted) {
        return outcome.handshake().and_then(certificate).unwrap_or(Symptom::Settled);
    }
    if finding.cause == Cause::TlsRejected {
        return refused(outcome);
    }
    match &outcome.seen.stop {
        Some(stop) if outcome.seen.icmp.is_none() => of_stop(stop, outcome),
        Some(_) | None => Symptom::Settled,
    }
}

fn refused(outcome: &Outcome) -> Symptom {
    match outcome.seen.stop.as_ref().map(|stop| &stop.trouble) {
        Some(Trouble::Alert(HANDSHAKE_FAILURE | PROTOCOL_VERSION | INSUFFICIENT_SECURITY)) => Symptom::NothingCommon,
        Some(Trouble::Closed) if matches!(outcome.protocol, Protocol::Tds(_)) => Symptom::ClosedAtSqlHello,
        Some(_) | None => Symptom::Settled,
    }
}

fn of_stop(stop: &Stop, outcome: &Outcome) -> Symptom {
    let end = stop.trouble.ending();
    let lost = outcome.seen.tcp.is_some_and(|info| info.unacked > 0);
    match (stop.phase, end, lost) {
        (Phase::Connect, Ending::Silence, _) => Symptom::SilentConnect,
        (Phase::Connect, Ending::Refused, _) => Symptom::RefusedConnect,
        (Phase::Dns, Ending::Silence, _) if outcome.seen.tcp.is_some() => Symptom::SilentDnsStream,
        (Phase::Dns, Ending::Silence, _) => Symptom::SilentDns,
        (Phase::Ntp, Ending::Silence, _) => Symptom::SilentNtp,
        (Phase::Tls, Ending::Cut | Ending::Refused, _) => Symptom::CutAtHello,
        (Phase::Tls, Ending::Silence, false) => Symptom::SilentAtHello,
        (Phase::Tls, Ending::Silence, true) => Symptom::LostAtHello,
        (Phase::Request, Ending::Cut | Ending::Refused, _) => Symptom::CutAtRequest,
        (Phase::Request, Ending::Silence, false) => Symptom::SilentAtRequest,
        (Phase::Request, Ending::Silence, true) => Symptom::LostAtRequest,
        (Phase::Response, Ending::Silence, _) => Symptom::SilentAtResponse,
        (Phase::Tds, Ending::Cut | Ending::Refused, _) => Symptom::CutAtPrelogin,
        (Phase::Tds, Ending::Silence, false) => Symptom::SilentAtPrelogin,
        (Phase::Tds, Ending::Silence, true) => Symptom::LostAtPrelogin,
        (Phase::Local | Phase::None, _, _)
        | (_, Ending::Other, _)
        | (Phase::Connect | Phase::Dns | Phase::Ntp | Phase::Response, Ending::Cut, _)
        | (Phase::Dns | Phase::Ntp | Phase::Response, Ending::Refused, _) => Symptom::Settled,
    }
}

fn certificate(handshake: &Handshake) -> Option<Symptom> {
    Some(match handshake.invalid.as_ref()? {
        Invalid::Expired | Invalid::NotYetValid => Symptom::CertificateDates,
        Invalid::WrongName => Symptom::CertificateName,
        Invalid::UnknownIssuer => Symptom::CertificateIssuer,
        Invalid::NoNames | Invalid::Other(_) | Invalid::Beyond(_) => Symptom::Settled,
    })
}
