//! The decision table: which cause a symptom has under which contrasts, and how sure that is. Data, read by `conclude.rs`.
//!
//! For each symptom the first rule wins whose needs are all known to hold; the last rule of a symptom needs nothing.
//! Rule numbers are those of the decision procedure; letters tell variants apart. Silence is never confirmed.

mod groups;
mod hints;
mod late;
mod rule;

pub use hints::{
    ALL_RULE, EGRESS_DENIED, HELLO_DROPPED, HOST_PORT, ONE_HOST, OVER, PORT_DENIED, PORT_RULE, REQUEST_DROPPED, ROUTE,
    SOME_HOSTS, UDP_RULE,
};
pub use late::shows_late;
pub use rule::Rule;

use ase_probes::{
    cause::{Cause, Side},
    verdict::Confidence::{Confirmed, Likely, Possible},
};

use crate::{diagnosis::symptom::Symptom::*, model::contrast::Contrast::*};
use groups::{AFTER_ACCEPT, FLOWS, FOUND_BY_NAME, HELLO, LED_BY_NAME, LOSSY, NEW_FLOW, SILENT, SILENT_STREAM};
use hints::{
    CAME_SLOWLY, COMES_AND_GOES, IGNORES_SOME, LED_ASTRAY, NEW_FLOWS, OLD_TLS, ONE_OF_SEVERAL, OTHER_NAMES, OWN_CLOCK,
    PLATFORM_DENIED, PORTAL, SOME_INSTANCES, TRACKING_FULL,
};
use rule::{keep, rule};

/// Every rule, in order.
pub const RULES: &[Rule] = &[
    // What this machine itself lacks comes first.
    rule(
        "R11t",
        &[Forbidden, SilentConnect, SilentDns, SilentNtp],
        &[(TrackingFull, true)],
        Cause::LocalFirewall,
        Likely,
    )
    .hint(TRACKING_FULL),
    rule("R06", SILENT, &[(LinkUp, false)], Cause::NextHopDown, Confirmed)
        .hint("the network card has no link: in Azure detach and attach the NIC, or redeploy the VM"),
    rule("R06n", SILENT, &[(NextHopDownElsewhere, true), (ControlAnswers, false)], Cause::NextHopDown, Likely),
    rule("R06mn", SILENT, &[(NextHopDownElsewhere, true), (OtherPortsWork, false)], Cause::NextHopDown, Likely),
    rule("R03n", SILENT, &[(FirewallElsewhere, true), (ControlAnswers, false)], Cause::LocalFirewall, Likely),
    rule("R05n", SILENT, &[(SetupElsewhere, true), (ControlAnswers, false)], Cause::LocalSetup, Likely),
    rule(
        "R64a",
        SILENT,
        &[(ControlAnswers, false), (AnythingWorks, false), (LinkUp, true)],
        Cause::LocalFirewall,
        Possible,
    )
    .hint("nothing answers, not even the platform's own address, which no route and by default no NSG touches"),
    // Outcomes that follow the flow, not the destination.
    // Where source ports decide at several hosts of a path that loses packets as well, those flows die for good.
    rule("R61l", FLOWS, &[(LossyPath, true), (SomeFlowsDie, true)], Cause::FlowHashLoss, Likely).hint(ONE_OF_SEVERAL),
    // Who got an answer, if a wrong one, lost no flow.
    keep("R41t", &[Passed], &[(ComesAndGoes, true), (PeerAnswered, true)], Likely).hint(SOME_INSTANCES),
    // Loss lets some of many packets pass: a whole port that never answers while others do is no chance.
    rule(
        "R64q",
        &[SilentConnect],
        &[(LossyPath, true), (BeyondLoss, true), (SamePortWorks, false), (OtherPortsWork, true)],
        Cause::Dropped,
        Likely,
    )
    .hint(PORT_DENIED),
    // Loss makes any pattern now and then, so that it is asked for before all others.
    rule("R60", LOSSY, &[(LossyPath, true)], Cause::PacketLoss, Likely),
    // A SYN that is let through in the end has met a full table, not a dead instance.
    rule("R62c", &[Passed], &[(OnlyHandshakesRepeat, true)], Cause::FlowTableFull, Likely).hint(NEW_FLOWS),
    // Where nobody works on the port now, the way is gone; a table that is full lets others in.
    rule("R62cs", SILENT, &[(OnlyHandshakesRepeat, true), (SamePortWorks, true)], Cause::FlowTableFull, Likely)
        .hint(NEW_FLOWS),
    // Whoever asks seldom, or by datagrams that are not repeated, may meet no free place for a while.
    rule(
        "R62ct",
        &[SilentConnect, SilentNtp],
        &[(HandshakesRepeatOnPorts, true), (OtherPortsWork, true), (AsksThePlatform, false)],
        Cause::FlowTableFull,
        Possible,
    )
    .hint(NEW_FLOWS),
    rule("R61u", &[SilentDns, SilentNtp], &[(Intermittent, true), (PortDecides, true)], Cause::FlowHashLoss, Likely)
        .hint(ONE_OF_SEVERAL),
    rule("R61", NEW_FLOW, &[(Intermittent, true), (PortDecides, true)], Cause::FlowHashLoss, Confirmed)
        .hint(ONE_OF_SEVERAL),
    // Where other hosts work on the port, it is tried out whether some flows pass: that needs no past.
    rule("R61o", &[SilentConnect], &[(SamePortWorks, true), (PortDecides, true)], Cause::FlowHashLoss, Confirmed)
        .hint(ONE_OF_SEVERAL),
    rule("R61ou", &[SilentDns, SilentNtp], &[(SamePortWorks, true), (PortDecides, true)], Cause::FlowHashLoss, Likely)
        .hint(ONE_OF_SEVERAL),
    // On a port that is known to lose flows who is silent is asked for its own source ports, two at a time; until they tell
    // otherwise, those of others speak for it, as they do where its own port is not worth sixteen flows. A host that is
    // alone on its port may have met the bad half of the flows each time it was asked.
    rule("R61k", FLOWS, &[(SomeFlowsDie, true), (PortDecides, true)], Cause::FlowHashLoss, Likely).hint(ONE_OF_SEVERAL),
    rule("R61p", FLOWS, &[(SomeFlowsDie, true)], Cause::FlowHashLoss, Likely).hint(ONE_OF_SEVERAL),
    rule("R62o", &[SilentConnect], &[(SamePortWorks, true), (NewFlowsMixed, true)], Cause::FlowTableFull, Likely)
        .hint(NEW_FLOWS),
    rule("R61a", &[Passed], &[(Intermittent, true), (PortDecides, true)], Cause::FlowHashLoss, Confirmed)
        .hint(ONE_OF_SEVERAL),
    // Whatever new flows do now, as after a repair: its turns were those of the flows.
    rule("R61q", &[Passed], &[(Intermittent, true), (SomeFlowsDie, true)], Cause::FlowHashLoss, Likely)
        .hint(ONE_OF_SEVERAL),
    // A path or a host that comes and goes lets all flows pass right after one did.
    rule(
        "R62g",
        &[Passed, SilentConnect],
        &[(OwnHandshakesRepeat, true), (NewFlowsPass, false), (PortDecides, false)],
        Cause::FlowTableFull,
        Likely,
    )
    .hint(NEW_FLOWS),
    rule(
        "R62i",
        &[Passed, SilentConnect],
        &[
            (ByDatagram, false),
            (Intermittent, true),
            (AlwaysConnects, false),
            (NewFlowsPass, false),
            (PortDecides, false),
        ],
        Cause::FlowTableFull,
        Likely,
    )
    .hint(NEW_FLOWS),
    rule("R62a", &[SilentConnect], &[(Intermittent, true), (NewFlowsMixed, true)], Cause::FlowTableFull, Likely)
        .hint(NEW_FLOWS),
    rule(
        "R62b",
        &[Passed],
        &[(ByDatagram, false), (Intermittent, true), (AlwaysConnects, false), (NewFlowsMixed, true)],
        Cause::FlowTableFull,
        Likely,
    )
    .hint(NEW_FLOWS),
    // What a path loses it loses over TCP as well.
    rule(
        "R63m",
        &[Passed, SilentDns],
        &[
            (ByDatagram, true),
            (Intermittent, true),
            (NewFlowsMixed, true),
            (PortDecides, false),
            (DnsOverTcpAnswers, true),
            (LossyPath, false),
        ],
        Cause::DnsNoReply,
        Likely,
    )
    .hint(IGNORES_SOME),
    // A datagram that is lost is not repeated: where some pass from the same port that others are lost from, it is loss.
    rule(
        "R60d",
        &[Passed, SilentDns, SilentNtp],
        &[(ByDatagram, true), (Intermittent, true), (NewFlowsMixed, true), (PortDecides, false)],
        Cause::PacketLoss,
        Likely,
    ),
    // A way or a host that comes and goes lets everybody pass while it is there.
    // What lets every connection be made and cuts some of them later is no table that is full.
    keep(
        "R43t",
        &[Passed],
        &[(ByDatagram, false), (ComesAndGoes, true), (AlwaysConnects, true), (PortDecides, false)],
        Likely,
    )
    .hint(ONE_OF_SEVERAL),
    keep(
        "R64p",
        &[Passed],
        &[(ByDatagram, false), (ComesAndGoes, true), (NewFlowsPass, true), (PortDecides, false)],
        Likely,
    )
    .hint(COMES_AND_GOES),
    rule("R60s", &[Passed], &[(RoundTripGrew, true)], Cause::Slow, Likely),
    // A path that got slow makes time run out.
    rule("R60t", SILENT_STREAM, &[(RoundTripGrew, true)], Cause::Slow, Likely),
    // Large packets.
    // What came in full segments refutes it.
    rule(
        "R38",
        SILENT_STREAM,
        &[(FullSegmentsArrived, false), (SmallSegmentsPass, true)],
        Cause::MtuBlackhole,
        Confirmed,
    ),
    // Names that somebody else resolves lead anywhere.
    rule("R20n", &[NamesCompared], &[(DnsCanaryAnswers, true)], Cause::DnsIntercepted, Confirmed).hint(LED_ASTRAY),
    // What fails where it worked before fails for another reason.
    rule("R20i", LED_BY_NAME, &[(DnsCanaryAnswers, true), (RightAddress, false)], Cause::DnsIntercepted, Confirmed)
        .hint(LED_ASTRAY),
    rule("R20r", FOUND_BY_NAME, &[(AnswersRaced, true)], Cause::DnsIntercepted, Confirmed)
        .hint("two answers come to one question, or the server denies over TCP what an answer over UDP has"),
    rule("R20v", FOUND_BY_NAME, &[(AnswersInvented, true)], Cause::DnsIntercepted, Confirmed)
        .hint("the DNS server invents answers for names that do not exist, and this is one of them"),
    // An address that only the custom DNS gives, where nothing answers. That both sides differ is usual for many a name.
    rule("R35h", &[SilentConnect, RefusedConnect], &[(LedAstray, true)], Cause::DnsDivergent, Likely)
        .hint("the custom DNS leads to an address where this service does not answer; Azure DNS leads elsewhere"),
    // A TCP handshake without an answer.
    rule(
        "R64k",
        &[SilentConnect],
        &[(AsksThePlatform, true), (SamePortWorks, false), (OtherPortsWork, true)],
        Cause::Dropped,
        Likely,
    )
    .hint(PLATFORM_DENIED),
    rule("R64l", &[SilentConnect], &[(AsksThePlatform, true), (AnythingWorks, true)], Cause::Dropped, Possible)
        .hint(PLATFORM_DENIED),
    rule("R64h", &[SilentConnect], &[(SamePortWorks, true), (SameHostWorks, true)], Cause::Dropped, Likely)
        .hint(HOST_PORT),
    rule("R64i", &[SilentConnect], &[(SamePortWorks, true)], Cause::Dropped, Possible).hint(ONE_HOST),
    rule("R64b", &[SilentConnect], &[(CanaryAcceptedBefore, true), (OtherPortsWork, false)], Cause::Dropped, Likely)
        .hint("the appliance that answered on the path before is silent now: start it, or check its health probe"),
    rule("R64j", &[SilentConnect], &[(HeldFlowReset, true)], Cause::Dropped, Likely).hint(
        "the flow that was open before was reset: an appliance's rules have changed, look at its last policy update",
    ),
    rule("R64c", &[SilentConnect], &[(HeldFlowLives, true), (OtherPortsWork, true)], Cause::Dropped, Likely)
        .hint(PORT_RULE),
    rule("R64d", &[SilentConnect], &[(HeldFlowLives, true), (OtherPortsWork, false)], Cause::Dropped, Likely)
        .hint(ALL_RULE),
    rule("R64e", &[SilentConnect], &[(OtherPortsWork, false), (HeldFlowLives, false)], Cause::Dropped, Likely)
        .hint(ROUTE),
    rule("R64f", &[SilentConnect], &[(OtherPortsWork, false), (ControlAnswers, true)], Cause::Dropped, Likely)
        .hint(EGRESS_DENIED),
    rule("R64g", &[SilentConnect], &[(SamePortWorks, false), (OtherPortsWork, true)], Cause::Dropped, Likely)
        .hint(PORT_DENIED),
    rule("R64", &[SilentConnect], &[], Cause::Dropped, Possible),
    // A refusal whose sender is not known.
    rule("R10", &[RefusedConnect], &[(CanaryRefuses, true)], Cause::Rejected, Likely)
        .hint("a box on the path refuses this port for every destination, even where nobody can be"),
    rule("R10a", &[RefusedConnect], &[(AnsweredNearby, true)], Cause::Rejected, Likely)
        .hint("the refusal comes from close by, not from the destination"),
    rule("R09", &[RefusedConnect], &[], Cause::Refused, Likely),
    // DNS and NTP by datagram.
    rule("R20", &[SilentDns], &[(UdpCanaryAnswers, true)], Cause::DnsIntercepted, Confirmed),
    rule("R12", &[SilentDns, SilentNtp], &[(OthersAnswer, true)], Cause::AsymmetricReply, Confirmed),
    rule("R33u", &[SilentDns], &[(SmallDatagramPasses, true)], Cause::MtuBlackhole, Confirmed)
        .hint("large DNS answers by UDP vanish: set the EDNS size to 1232 on the resolver"),
    rule("R62e", &[SilentDns], &[(Intermittent, false), (PlainDnsPasses, true)], Cause::ProtocolViolation, Likely)
        .hint("the server, or a box before it, drops questions with EDNS (RFC 6891)"),
    rule("R64u", &[SilentDns], &[(DnsOverTcpAnswers, true), (SamePortWorks, false)], Cause::Dropped, Likely)
        .hint(UDP_RULE),
    rule("R63", &[SilentDns], &[(DnsOverTcpAnswers, true)], Cause::DnsNoReply, Likely)
        .hint("the server answers over TCP and not over UDP"),
    rule("R63a", &[SilentDns], &[(DnsOverTcpAccepts, true), (CanaryAccepts, false)], Cause::DnsNoReply, Confirmed),
    rule("R63b", &[SilentDns], &[(DnsOverTcpAccepts, true)], Cause::DnsNoReply, Likely),
    rule(
        "R62f",
        &[SilentDnsStream],
        &[(PlainDnsPasses, true), (SameHostWorks, false)],
        Cause::ProtocolViolation,
        Likely,
    )
    .hint("the server, or a box before it, drops questions with EDNS (RFC 6891)"),
    rule("R63c", &[SilentDnsStream], &[(CanaryAccepts, true)], Cause::ProxiedBlind, Confirmed),
    rule("R63d", &[SilentDnsStream], &[(CanaryAccepts, false)], Cause::DnsNoReply, Confirmed),
    rule("R63e", &[SilentDnsStream], &[], Cause::DnsNoReply, Likely),
    rule(
        "R64m",
        &[SilentDns],
        &[(AsksThePlatform, true), (SamePortWorks, false), (OtherPortsWork, true)],
        Cause::Dropped,
        Likely,
    )
    .hint(PLATFORM_DENIED),
    rule("R64n", &[SilentDns], &[(AsksThePlatform, true), (AnythingWorks, true)], Cause::Dropped, Possible)
        .hint(PLATFORM_DENIED),
    rule("R64v", &[SilentDns, SilentNtp], &[(OtherPortsWork, false), (ControlAnswers, true)], Cause::Dropped, Likely)
        .hint(EGRESS_DENIED),
    rule("R64w", &[SilentDns, SilentNtp], &[(SamePortWorks, false), (OtherPortsWork, true)], Cause::Dropped, Likely)
        .hint(PORT_DENIED),
    rule("R64x", &[SilentDns, SilentNtp], &[(SamePortWorks, true)], Cause::Dropped, Possible).hint(ONE_HOST),
    rule("R64y", &[SilentDns, SilentNtp], &[], Cause::Dropped, Possible),
    rule("R21a", &[NameDenied], &[(AzureAnswersPrivate, true)], Cause::DnsDivergent, Confirmed)
        .hint("Azure DNS has a private endpoint for the name: forward the service's public zone to 168.63.129.16"),
    keep("R21g", &[NameDenied], &[(PrivateZoneGap, true)], Confirmed).hint(
        "the custom DNS hosts the privatelink zone without this record: add it, or forward the zone to 168.63.129.16",
    ),
    keep("R21b", &[NameDenied], &[(AzureResolves, true)], Confirmed)
        .hint("a zone on the custom DNS shadows the public name: add the record or forward the zone"),
    keep("R21c", &[NameDenied], &[(AzureResolves, false)], Confirmed)
        .on(Side::Remote)
        .hint("neither resolver knows the name: the dependency may be retired, or the name is misspelt"),
    keep("R21", &[NameDenied], &[], Confirmed),
    // TLS.
    rule("R37o", &[CutAtHello, ClosedAtSqlHello], &[(OldTlsAnswers, true)], Cause::TlsRejected, Confirmed)
        .hint(OLD_TLS),
    rule("R36o", &[NothingCommon], &[(OldTlsAnswers, true)], Cause::LocalLimit, Confirmed).hint(OLD_TLS),
    keep("R36r", &[NothingCommon], &[], Possible),
    rule("R37a", HELLO, &[(OtherNamePasses, true)], Cause::TlsBlocked, Confirmed)
        .hint("the same address lets another server name pass: a rule denies this name"),
    rule("R37b", HELLO, &[(HostHttpBlocked, true)], Cause::TlsBlocked, Confirmed)
        .hint("port 80 of this host shows the firewall's block page: its application rules deny the name"),
    rule("R37c", HELLO, &[(CanaryAccepts, true)], Cause::TlsBlocked, Confirmed),
    // What a firewall denies one name by says little of another that fails in its own way.
    rule("R37p", HELLO, &[(PlainHttpBlocked, true)], Cause::TlsBlocked, Likely).hint(
        "port 80 of another host shows the firewall's block page: its application rules may deny this name as well",
    ),
    rule("R39", &[LostAtHello], &[], Cause::Dropped, Likely).hint(HELLO_DROPPED),
    // Who keeps a name from its server lets nothing of the answer come.
    rule("R38s", &[SilentAtHello], &[(AnswerBegan, true)], Cause::Dropped, Possible).hint(CAME_SLOWLY),
    rule("R38p", &[SilentAtHello], &[], Cause::TlsBlocked, Possible),
    rule("R37", &[CutAtHello], &[], Cause::TlsBlocked, Likely),
    keep("R37s", &[ClosedAtSqlHello], &[], Likely).hint(OLD_TLS),
    rule("R33", &[TimeDiffers], &[(ClockWrong, true)], Cause::LocalClock, Confirmed).hint(OWN_CLOCK),
    rule(
        "R33d",
        &[CertificateDates, ListOverdue],
        &[(ClockWrong, true), (DatesHold, true)],
        Cause::LocalClock,
        Confirmed,
    )
    .hint(OWN_CLOCK),
    // A clock that is wrong excuses no more than it is wrong by.
    rule("R36c", &[CertificateDates], &[(DatesHold, false)], Cause::TlsCertInvalid, Confirmed).hint(OVER),
    rule("R36d", &[CertificateDates], &[(ClockWrong, false)], Cause::TlsCertInvalid, Confirmed).hint(OVER),
    rule("R36e", &[CertificateDates], &[], Cause::TlsCertInvalid, Likely).hint(OVER),
    rule("R36n", &[CertificateName], &[(ResolversDisagree, true)], Cause::DnsDivergent, Likely)
        .hint("the custom DNS leads to a server that cannot prove the name"),
    rule("R36", &[CertificateName], &[], Cause::TlsCertInvalid, Confirmed).hint(OTHER_NAMES),
    rule("R34c", &[CertificateIssuer], &[(IssuersPlural, true)], Cause::LocalSetup, Likely)
        .hint("no certificate verifies whoever issued it: the bundle of authorities on this machine is incomplete"),
    rule("R34", &[CertificateIssuer], &[(IssuerShared, true)], Cause::TlsIntercepted, Confirmed),
    rule("R35d", &[CertificateIssuer], &[(ResolversDisagree, true)], Cause::DnsDivergent, Likely)
        .hint("the custom DNS leads to a server that cannot prove the name"),
    rule("R35m", &[CertificateIssuer], &[(CanaryAccepts, true)], Cause::TlsIntercepted, Likely),
    keep("R35", &[CertificateIssuer], &[], Likely),
    // Accepted, and then nothing.
    rule("R42r", AFTER_ACCEPT, &[(CanaryAccepts, true)], Cause::ProxiedBlind, Confirmed)
        .hint("whatever accepts these connections does so for every address"),
    rule("R41", &[SilentAtRequest, LostAtRequest], &[(BogusHostSamePage, false)], Cause::Dropped, Likely)
        .hint(REQUEST_DROPPED),
    rule("R43", &[CutAtRequest, CutAtPrelogin], &[], Cause::Reset, Likely).on(Side::Unknown),
    rule("R64r", &[SilentAtRequest, LostAtRequest, SilentAtPrelogin, LostAtPrelogin], &[], Cause::Dropped, Possible)
        .on(Side::Unknown),
    // An answer in clear that is not the expected one.
    rule("R35o", &[OddAnswer], &[(ResolversDisagree, true)], Cause::DnsDivergent, Likely)
        .hint("the custom DNS leads to a server that answers something else; Azure DNS leads elsewhere"),
    rule("R40a", &[OddAnswer], &[(CanaryAccepts, true)], Cause::HttpBlocked, Likely),
    // Most servers have one site for every name, so that the same page for an invented name says nothing; other servers do
    // not have it.
    rule("R40b", &[OddAnswer], &[(PageShared, true)], Cause::HttpBlocked, Likely).hint(PORTAL),
    rule("R40c", &[OddAnswer], &[(ForeignRedirect, true)], Cause::HttpBlocked, Possible)
        .hint("the answer leads to another domain: a portal or proxy may answer in the server's place"),
    rule("R40w", &[OddAnswer], &[(PageNamesFilter, true)], Cause::HttpBlocked, Possible).hint(
        "the page says that it blocks: look for a proxy or filter on the path, or for one before the service itself",
    ),
    rule("R41s", &[OddAnswer], &[(BogusHostSamePage, false)], Cause::HttpStatus, Likely),
    rule("R41p", &[OddAnswer], &[], Cause::HttpStatus, Possible),
    // Time.
    rule("R81", &[TimeDiffers], &[(UdpCanaryAnswers, true)], Cause::NtpWrongTime, Confirmed)
        .on(Side::Path)
        .hint("an appliance answers NTP for every address"),
    rule("R80", &[TimeDiffers], &[(ClockWrong, false)], Cause::NtpWrongTime, Confirmed)
        .on(Side::Remote)
        .hint("the other clocks agree with this machine and not with this server"),
    rule("R50", &[TimeDiffers], &[], Cause::NtpWrongTime, Possible).on(Side::Unknown),
    // What proves too little although it passed.
    rule("R42b", &[BareAccept], &[(CanaryAccepts, true)], Cause::ProxiedBlind, Confirmed)
        .hint("this port is accepted for every address, so that the accept proves nothing"),
    // A handful of sampled ports may all have met the flows that die.
    rule("R51", &[Gateway], &[(RedirectPortsSilent, true), (SomeFlowsDie, false)], Cause::SqlRedirectBlocked, Possible),
    rule("R20q", &[Answered], &[(AsksTheTime, false), (UdpCanaryAnswers, true)], Cause::DnsIntercepted, Confirmed)
        .hint("whatever answers DNS here does so for every address: comparisons of resolvers mean nothing until then"),
    rule("R81q", &[Answered], &[(AsksTheTime, true), (UdpCanaryAnswers, true)], Cause::NtpWrongTime, Likely)
        .on(Side::Path)
        .hint("an appliance answers NTP for every address: whether its time is right, nobody here can tell"),
    rule("R00a", &[BareAccept, Answered, Gateway, Passed], &[], Cause::None, Confirmed),
    keep("R00", &[Settled, Forbidden, BlockPage, ListOverdue, SilentAtResponse, NamesCompared], &[], Possible),
];
